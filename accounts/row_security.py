"""What the database itself keeps apart: set up after every migration, so that new tables are covered as well.

On PostgreSQL a role without rights of its own (`steward_tenant`) sees, in every table that organisations own rows of,
those of the organisation that the session names. The tables' owner, as which commands and migrations work, sees all.
On both databases audit entries can only be added.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models, router, transaction

from accounts.models import AuditEntry, TenantModel

ROLE = "steward_tenant"
POLICY = "steward_wall"
"""Found by its name: a rule that changes needs a new name, so that installations take it up."""
RULE = "organisation_id = nullif(current_setting('steward.organisation', true), '')::uuid"
RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
APPEND_ONLY = "Audit entries are only ever added."

CREATE_ROLE = f"CREATE ROLE {ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS"
GRANT_ROLE = f"GRANT {ROLE} TO {{login}}"

STATE = """
SELECT c.relname, c.relrowsecurity,
       has_table_privilege(%s, c.oid, 'SELECT') AND has_table_privilege(%s, c.oid, 'INSERT'),
       EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = %s)
FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
"""
GRANT_SCHEMA = f"""
GRANT USAGE ON SCHEMA {{schema}} TO {ROLE};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {{schema}} TO {ROLE};
ALTER DEFAULT PRIVILEGES IN SCHEMA {{schema}} GRANT {RIGHTS} ON TABLES TO {ROLE};
ALTER DEFAULT PRIVILEGES IN SCHEMA {{schema}} GRANT USAGE, SELECT ON SEQUENCES TO {ROLE};
"""
POSTGRESQL_AUDIT = f"""
CREATE OR REPLACE FUNCTION steward_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{APPEND_ONLY}' USING ERRCODE = 'restrict_violation'; END $$;
CREATE OR REPLACE TRIGGER steward_append_only BEFORE UPDATE OR DELETE ON {{table}}
FOR EACH ROW EXECUTE FUNCTION steward_append_only();
REVOKE UPDATE, DELETE ON {{table}} FROM {ROLE};
"""
SQLITE_AUDIT = """
CREATE TRIGGER IF NOT EXISTS steward_append_only_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{message}'); END
"""


def after_migrate(using: str, **options: Any) -> None:
    """Sets up what is missing. Connected to `post_migrate`; `flush` sends that too, but makes no tables.

    Raises:
        ImproperlyConfigured: the role is missing and this login may not create it; says what an administrator runs.
    """
    if using != DEFAULT_DB_ALIAS or "plan" not in options:
        return
    connection = connections[using]
    if connection.vendor == "postgresql":
        ensure_role(connection)
        with transaction.atomic(using=using):
            protect_tables(connection)
    elif connection.vendor == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            protect_audit_in_sqlite(connection, verb)


def walled_models() -> Iterator[type[models.Model]]:
    """The models whose rows belong to an organisation: tenants' own, and documents that hold its id as a value."""
    for model in apps.get_models():
        holds_id = any(field.name == "organisation_id" and not field.null for field in model._meta.local_fields)
        if (holds_id or issubclass(model, TenantModel)) and router.allow_migrate_model(DEFAULT_DB_ALIAS, model):
            yield model


# --- The role -----------------------------------------------------------------------------------------------------
def ensure_role(connection: Any) -> None:
    """Creates the role once for the whole server, where several databases of it may be migrated at the same time.

    Raises:
        ImproperlyConfigured: it is missing and cannot be created, or it may do more than it should.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_user), rolsuper OR rolbypassrls OR rolcanlogin FROM pg_roles "
                       "RIGHT JOIN (SELECT 1) one ON rolname = %s", [ROLE])  # fmt: skip
        login, too_much = cursor.fetchone()
    if too_much:
        raise ImproperlyConfigured(f"The role {ROLE} must be NOLOGIN, NOSUPERUSER and NOBYPASSRLS.")
    wanted, last = [CREATE_ROLE, GRANT_ROLE.format(login=login)], "nothing was tried"
    for statement in wanted:
        if not _can_set_role(connection) and (problem := _attempt(connection, statement)) is not None:
            last = problem
    if not _can_set_role(connection):
        raise ImproperlyConfigured(
            f"This login cannot act as the role {ROLE}, behind which organisations are kept apart ({last}). "
            "Once for this server, a database administrator runs: " + "; ".join(wanted) + ";"
        )


def _can_set_role(connection: Any) -> bool:
    return _attempt(connection, f"SET LOCAL ROLE {ROLE}", keep=False) is None


def _attempt(connection: Any, statement: str, *, keep: bool = True) -> str | None:
    """Why `statement` failed, None when it did not. Another process may be doing the same: what counts is the end."""
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(statement)
            transaction.set_rollback(not keep, using=connection.alias)
    except DatabaseError as exc:
        return str(exc).strip().partition("\n")[0]
    return None


# --- Tables -------------------------------------------------------------------------------------------------------
def protect_tables(connection: Any) -> None:
    """Grants, row security and policies for the tables that lack them; a table that has all is not locked."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [POLICY])  # one migration at a time
        cursor.execute("SELECT quote_ident(current_schema())")
        cursor.execute(GRANT_SCHEMA.format(schema=cursor.fetchone()[0]))
        cursor.execute(STATE, [ROLE, ROLE, POLICY])
        state = {name: (secured, granted, walled) for name, secured, granted, walled in cursor.fetchall()}
        ours = set(connection.introspection.django_table_names(include_views=False)) & set(state)
        for table in sorted(table for table in ours if not state[table][1]):
            cursor.execute(f"GRANT {RIGHTS} ON {quote(table)} TO {ROLE}")
        for table in sorted({model._meta.db_table for model in walled_models()} & ours):
            secured, _granted, walled = state[table]
            if not (secured and walled):
                _wall_off(cursor, quote(table), is_walled=walled)
        if AuditEntry._meta.db_table in ours:
            cursor.execute(POSTGRESQL_AUDIT.format(table=quote(AuditEntry._meta.db_table)))


def _wall_off(cursor: Any, table: str, *, is_walled: bool) -> None:
    if not is_walled:
        cursor.execute(f"CREATE POLICY {POLICY} ON {table} TO {ROLE} USING ({RULE}) WITH CHECK ({RULE})")
    cursor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def protect_audit_in_sqlite(connection: Any, verb: str) -> None:
    """Refuses `verb` (UPDATE or DELETE) on audit entries."""
    table = AuditEntry._meta.db_table
    with connection.cursor() as cursor:
        if table in connection.introspection.table_names(cursor):
            cursor.execute(SQLITE_AUDIT.format(table=table, verb=verb, message=APPEND_ONLY))
