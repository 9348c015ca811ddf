"""The second wall: on PostgreSQL, SQL that no manager wrote sees one organisation's rows as well."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, transaction
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path
from rest_framework.request import Request

from accounts import audit
from accounts.authentication import TokenAuthentication
from accounts.models import AuditEntry
from accounts.row_security import (
    POLICY,
    ROLE,
    RULE,
    ensure_role,
    protect_audit_in_sqlite,
    protect_tables,
    walled_models,
)
from accounts.tenancy import all_organisations, organisation_scope, request_scope
from runs.models import EventChunk, Run

on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="SQLite has no roles; `make test-services` runs this on PostgreSQL"
)


@pytest.fixture
def both(acme, globex):
    """A run with an event in each organisation, by the organisation's name."""
    with all_organisations():
        return {organisation.name: make_run(organisation) for organisation in (acme, globex)}


def make_run(organisation) -> Run:
    run = Run.objects.create(organisation=organisation, kind="work", title=f"Work of {organisation.name}")
    EventChunk.objects.create(run_id=run.pk, organisation_id=organisation.pk, first_seq=1, last_seq=1, body="[1]")
    return run


def titles() -> list[str]:
    """Every title that the database shows to a statement without any condition."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT title FROM runs_run ORDER BY title")
        return [title for (title,) in cursor.fetchall()]


def execute(sql: str, values: list | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.rowcount


ACME, GLOBEX = ["Work of Acme"], ["Work of Globex"]


# --- Statements ---------------------------------------------------------------------------------------------------
@on_postgresql
def test_statement_without_a_condition_sees_the_open_organisation(both, acme, globex):
    assert titles() == ACME + GLOBEX, "commands and migrations work as the tables' owner"
    with organisation_scope(acme.pk):
        assert titles() == ACME
        with organisation_scope(globex.pk):
            assert titles() == GLOBEX
        with all_organisations():
            assert titles() == ACME + GLOBEX
        assert titles() == ACME
    with request_scope():
        assert titles() == [], "nobody is signed in yet"
    assert titles() == ACME + GLOBEX


@on_postgresql
def test_events_are_behind_the_wall(both, acme):
    with organisation_scope(acme.pk):
        assert list(EventChunk.objects.values_list("organisation_id", flat=True)) == [acme.pk]


@on_postgresql
def test_foreign_rows_cannot_be_written(both, acme, globex):
    foreign = both["Globex"].pk
    with organisation_scope(acme.pk):
        assert execute("UPDATE runs_run SET title = 'Taken' WHERE id = %s", [foreign]) == 0
        assert execute("UPDATE runs_run SET title = 'Renamed'") == 1
        assert execute("DELETE FROM runs_eventchunk") == 1
        assert execute("DELETE FROM runs_run WHERE id = %s", [foreign]) == 0
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            execute("UPDATE runs_run SET organisation_id = %s", [globex.pk])
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Run.objects.create(organisation=globex, kind="work", title="Planted")
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            EventChunk.objects.bulk_create(
                [EventChunk(run_id=foreign, organisation_id=globex.pk, first_seq=2, last_seq=2, body="[]")]
            )
    assert titles() == ["Renamed", *GLOBEX]


@on_postgresql
def test_every_kind_of_cursor_is_behind_the_wall(both, acme):
    with organisation_scope(acme.pk), connection.cursor() as cursor:
        with cursor.copy("COPY (SELECT title FROM runs_run) TO STDOUT") as copy:
            assert b"".join(copy).decode().split("\n") == [*ACME, ""]
        assert [title for (title,) in cursor.stream("SELECT title FROM runs_run")] == ACME
        cursor.executemany("UPDATE runs_run SET title = %s", [("Once",), ("Twice",)])
        assert cursor.rowcount == 2, "one row for each"
        cursor.callproc("current_setting", ["steward.organisation"])
        assert cursor.fetchone() == (str(acme.pk),)
        with (
            pytest.raises(DatabaseError, match="row-level security"),
            transaction.atomic(),
            connection.wrap_database_errors,
            cursor.copy("COPY runs_run (title) FROM STDIN") as copy,
        ):
            copy.write_row(("Planted",))
    assert titles() == ["Twice", *GLOBEX]


@on_postgresql
def test_cursor_looks_again_when_the_scope_changed_after_it_was_made(both, acme):
    with connection.cursor() as cursor:
        with organisation_scope(acme.pk):
            cursor.execute("SELECT title FROM runs_run")
            assert cursor.fetchall() == [(ACME[0],)]
        cursor.execute("SELECT count(*) FROM runs_run")
        assert cursor.fetchone() == (2,)


@on_postgresql
def test_server_side_cursor_keeps_the_wall_that_it_was_opened_behind(both, acme, globex):
    with all_organisations():
        for _ in range(5):
            make_run(acme)
    with transaction.atomic(), organisation_scope(acme.pk):
        seen = []
        with connection.chunked_cursor() as cursor:
            cursor.execute("SELECT title FROM runs_run")
            while rows := cursor.fetchmany(2):
                seen += rows
                with organisation_scope(globex.pk):
                    assert titles() == GLOBEX
        assert seen == [(ACME[0],)] * 6
        with connection.chunked_cursor() as cursor:
            cursor.execute("SELECT title FROM runs_run")
            with all_organisations():
                assert titles() == ACME * 6 + GLOBEX
            assert list(cursor) == [(ACME[0],)] * 6
        assert len(list(Run.objects.iterator(chunk_size=2))) == 6
        with connection.chunked_cursor() as cursor:
            cursor.execute("SELECT title FROM runs_run")
            assert cursor.fetchone() == (ACME[0],)
            assert len(cursor.fetchall()) == 5


# --- Transactions -------------------------------------------------------------------------------------------------
@on_postgresql
def test_scopes_change_inside_one_transaction_and_its_savepoints(both, acme, globex):
    with transaction.atomic():
        with organisation_scope(acme.pk):
            assert titles() == ACME
            for _ in range(3):
                with pytest.raises(ZeroDivisionError), transaction.atomic(), organisation_scope(globex.pk):
                    assert titles() == GLOBEX
                    raise ZeroDivisionError  # the savepoint's rollback takes the server back to acme or before
                assert titles() == ACME
        assert titles() == ACME + GLOBEX
        with organisation_scope(globex.pk):
            with pytest.raises(DatabaseError), transaction.atomic(), all_organisations():
                execute("SELECT 1 / 0")
            assert titles() == GLOBEX


@on_postgresql
def test_savepoint_that_is_rolled_back_takes_the_wall_with_it_and_it_is_put_again(both, acme, globex):
    with organisation_scope(acme.pk):
        assert titles() == ACME
        savepoint = transaction.savepoint()
        with organisation_scope(globex.pk):
            assert titles() == GLOBEX, "put inside the savepoint"
            transaction.savepoint_rollback(savepoint)
            assert titles() == GLOBEX


def roll_back() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert titles() == ACME
        raise ZeroDivisionError


def fail() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        assert titles() == ACME
        execute("SELECT 1 / 0")


def swallow() -> None:
    """The commit that follows a swallowed error is a rollback, and says nothing."""
    with transaction.atomic():
        assert titles() == ACME
        with pytest.raises(DatabaseError):
            execute("SELECT 1 / 0")


def close() -> None:
    assert titles() == ACME
    connection.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("leave", [roll_back, fail, swallow, close])
def test_wall_is_put_again_however_a_transaction_ended(leave, both, acme):
    assert titles() == ACME + GLOBEX
    with organisation_scope(acme.pk):
        leave()
        assert titles() == ACME
    assert titles() == ACME + GLOBEX
    with organisation_scope(acme.pk):
        assert titles() == ACME
    with all_organisations(), transaction.atomic():
        with organisation_scope(acme.pk):
            assert titles() == ACME
        transaction.set_rollback(True)
    assert titles() == ACME + GLOBEX


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_threads_that_share_the_pool_never_see_another_threads_organisation(both, acme, globex):
    """Forty threads, twenty connections, a thousand scopes that are left in every way there is."""
    expected = {acme.pk: ACME, globex.pk: GLOBEX}
    wrong: list[object] = []
    start = threading.Barrier(40)

    def turn(number: int) -> None:
        organisation = acme.pk if number % 2 else globex.pk
        try:
            with organisation_scope(organisation), transaction.atomic():
                seen = titles()
                if seen != expected[organisation]:
                    wrong.append((number, seen))
                if number % 3 == 0:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        if number % 5 == 0 and (seen := titles()) != ACME + GLOBEX:
            wrong.append((number, seen))
        connection.close()

    def work(worker: int) -> None:
        start.wait()
        for number in range(25):
            turn(worker + number)

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(work, range(40)))
    assert wrong == []


# --- Requests -----------------------------------------------------------------------------------------------------
def raw_page(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"titles": titles()})


def raw_api(request: HttpRequest) -> JsonResponse:
    assert TokenAuthentication().authenticate(Request(request))
    return JsonResponse({"titles": titles()})


urlpatterns = [path("raw", raw_page), path("api/raw", raw_api)]


@on_postgresql
@pytest.mark.urls(__name__)
def test_request_sees_the_organisation_of_whoever_asks(both, alice_pages, alice_api, bob_api, administrator):
    desk = Client()
    desk.force_login(administrator)
    asked = [(alice_pages, "/raw"), (alice_api, "/api/raw"), (bob_api, "/api/raw"), (Client(), "/raw"), (desk, "/raw")]
    assert [client.get(path).json()["titles"] for client, path in asked] == [ACME, ACME, GLOBEX, [], []]
    assert titles() == ACME + GLOBEX


# --- What is set up -----------------------------------------------------------------------------------------------
def unwalled() -> list[str]:
    """The tables with an organisation's rows that have no wall."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_policies JOIN pg_class ON oid = tablename::regclass "
            "WHERE policyname = %s AND roles = %s AND relrowsecurity AND cmd = 'ALL' AND qual = with_check",
            [POLICY, [ROLE]],
        )
        walled = {table for (table,) in cursor.fetchall()}
    return sorted({model._meta.db_table for model in walled_models()} - walled)


@on_postgresql
def test_every_table_with_rows_of_organisations_has_its_wall(db):
    tables = {model._meta.db_table for model in walled_models()}
    assert {"runs_run", "runs_eventchunk", "deployments_app", "appliances_heartbeat", "accounts_invitation"} <= tables
    assert unwalled() == []


@on_postgresql
def test_table_that_lacks_its_wall_is_found_and_gets_it(db):
    execute(f"DROP POLICY {POLICY} ON runs_run")
    execute("ALTER TABLE aigen_generation DISABLE ROW LEVEL SECURITY")
    execute(f"REVOKE ALL ON conversations_message FROM {ROLE}")
    assert unwalled() == ["aigen_generation", "runs_run"]
    protect_tables(connection)
    assert unwalled() == []
    with request_scope():
        assert execute("SELECT 1 FROM conversations_message") == 0


@on_postgresql
def test_role_has_no_rights_of_its_own(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = %s", [ROLE])
        assert cursor.fetchone() == (False, False, False)
        cursor.execute("SELECT count(*) FROM pg_class JOIN pg_roles r ON r.oid = relowner WHERE rolname = %s", [ROLE])
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polname = %s LIMIT 1", [POLICY])
        assert "current_setting('steward.organisation'" in cursor.fetchone()[0], RULE


@on_postgresql
def test_login_that_may_not_create_the_role_is_told_what_an_administrator_runs(db):
    execute("CREATE ROLE modest LOGIN NOSUPERUSER NOCREATEROLE")
    execute("SET LOCAL SESSION AUTHORIZATION modest")
    with pytest.raises(ImproperlyConfigured) as refused:
        ensure_role(connection)
    assert f"CREATE ROLE {ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS; GRANT {ROLE} TO modest;" in str(refused.value)


@on_postgresql
def test_role_that_may_do_more_is_refused(db):
    execute(f"ALTER ROLE {ROLE} BYPASSRLS")
    with pytest.raises(ImproperlyConfigured, match="must be NOLOGIN"):
        ensure_role(connection)


# --- Audit entries ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
def test_database_only_adds_audit_entries(verb, alice, acme):
    statement = "UPDATE accounts_auditentry SET action = 'x'" if verb == "UPDATE" else "DELETE FROM accounts_auditentry"
    audit.record(actor=alice, action="organisation.rename", target=acme, organisation_id=acme.pk)
    if connection.vendor == "sqlite":
        protect_audit_in_sqlite(connection, "DELETE")  # the suite takes it away, as it empties tables
    with pytest.raises(IntegrityError, match="only ever added"), transaction.atomic():
        execute(statement)
    if connection.vendor == "postgresql":
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic(), request_scope():
            execute(statement)
    assert AuditEntry.objects.filter(action="organisation.rename").count() == 1
