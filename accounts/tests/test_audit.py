"""The audit trail: what is noted, that it stays, who reads it, and exports that are safe to open."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import audit
from accounts.models import AuditEntry
from accounts.models.audit import AppendOnly
from accounts.services.families import tokens_issue

URL, EXPORT = "/api/v1/audit", "/api/v1/audit/export"


def api_of(user) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer " + tokens_issue(user=user)["access"])
    return client


@pytest.fixture
def administrator_api(administrator):
    return api_of(administrator)


@pytest.fixture
def entries(alice, bob, acme, globex):
    """Three entries in acme, one in globex, one of the platform; the one of acme that came last is returned."""
    audit.record(actor=alice, action="thing.create", target=acme, organisation_id=acme.pk)
    audit.record(actor=alice, action="thing.change", target=acme, changes={"name": ["Old", "New"]})
    audit.record(actor=bob, action="thing.create", target=globex)
    audit.record(actor=None, action="account.sign_in_refused", changes={"email": ["", "x@y.example"]})
    return audit.record(actor=alice, action="other.delete", target=acme)


def actions(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [entry["action"] for entry in answer.json()["results"]]


def exported(answer) -> str:
    assert answer.status_code == 200
    return b"".join(answer).decode()


# --- It stays -----------------------------------------------------------------------------------------------------
def test_entries_are_only_ever_added(entries):
    rows = AuditEntry.objects
    for change in (
        lambda: rows.update(action="x"),
        lambda: rows.filter(pk=entries.pk).update(action="x"),
        lambda: rows.all().delete(),
        lambda: rows.bulk_update([entries], ["action"]),
        lambda: rows.bulk_create([entries], update_conflicts=True, update_fields=["action"], unique_fields=["id"]),
        lambda: rows.update_or_create(pk=entries.pk, defaults={"action": "x"}),
        entries.save,
        entries.delete,
        lambda: entries.save(update_fields=["action"]),
    ):
        with pytest.raises(AppendOnly):
            change()
    assert rows.get(pk=entries.pk).action == "other.delete"


@pytest.mark.django_db
def test_an_entry_cannot_be_replaced_by_one_with_its_id(entries):
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEntry(pk=entries.pk, action="forged").save()
    assert AuditEntry.objects.get(pk=entries.pk).action == "other.delete"


# --- Who reads it -------------------------------------------------------------------------------------------------
def test_those_who_manage_read_their_organisations_part_newest_first(alice_api, entries):
    assert actions(alice_api.get(URL)) == ["other.delete", "thing.change", "thing.create"]
    entry = alice_api.get(URL).json()["results"][1]
    assert entry["actor"]["email"] == "alice@acme.example"
    assert entry["target"]["name"] == "Acme"
    assert entry["changes"] == {"name": ["Old", "New"]}


def test_others_do_not(victor_api, bob_api, entries, acme, client):
    assert victor_api.get(URL).status_code == 403
    assert victor_api.get(EXPORT).status_code == 403
    assert bob_api.get(URL, {"organization": str(acme.pk)}).status_code == 404
    assert bob_api.get(URL, headers={"X-Organization": str(acme.pk)}).status_code == 404
    assert bob_api.get(URL, {"organization": "all"}).status_code == 403
    assert bob_api.get(EXPORT, {"organization": "all"}).status_code == 403
    assert client.get(URL).status_code == 401
    assert actions(bob_api.get(URL)) == ["thing.create"], "and sees what was done in globex alone"


def test_platform_administrators_read_everything_or_one_part(administrator_api, entries, acme):
    everything = actions(administrator_api.get(URL))
    assert {"account.sign_in_refused", "other.delete", "thing.create"} <= set(everything)
    assert actions(administrator_api.get(URL, {"organization": "all"})) == everything
    chosen = administrator_api.get(URL, {"organization": str(acme.pk), "action": "thing"})
    assert actions(chosen) == ["thing.change", "thing.create"]


def test_a_token_for_one_organisation_reads_that_ones_part(administrator, acme, globex, entries):
    from accounts.services.tokens import token_create

    home = administrator.memberships.get().organisation
    _, raw = token_create(user=administrator, name="CI", scopes=["manage"], organisation_id=home.pk)[:2]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {raw}")
    assert "other.delete" not in actions(client.get(URL))
    assert client.get(URL, {"organization": "all"}).status_code == 404
    assert client.get(URL, {"organization": str(acme.pk)}).status_code == 404


# --- What is looked for -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"action": "thing.change"}, ["thing.change"]),
        ({"action": "thing"}, ["thing.change", "thing.create"]),
        ({"actor": "ALICE@acme.example"}, ["other.delete", "thing.change", "thing.create"]),
        ({"actor": "nobody@acme.example"}, []),
        ({"actor": "{alice}"}, ["other.delete", "thing.change", "thing.create"]),
        ({"target_type": "organisation", "target_id": "{acme}", "action": "other"}, ["other.delete"]),
        ({"target_id": "elsewhere"}, []),
        ({"since": "{yesterday}"}, ["other.delete", "thing.change", "thing.create"]),
        ({"until": "{yesterday}"}, []),
        ({"since": "0001-01-01", "until": "9999-12-31T23:59:59+00:00"}, ["other.delete", "thing.change",
        "thing.create"]),
        ({"limit": "1"}, ["other.delete"]),
    ],
)  # fmt: skip
def test_filters(query, expected, alice_api, alice, acme, entries):
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    values = {"alice": str(alice.pk), "acme": str(acme.pk), "yesterday": yesterday}
    filled = {name: value.format(**values) for name, value in query.items()}
    assert actions(alice_api.get(URL, filled)) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("actor__password__startswith=a", "actor__password__startswith"),
        ("order_by=action", "order_by"),
        ("action=a&action=b", "action"),
        ("action=Thing%27--", "action"),
        ("actor=5", "actor"),
        ("since=yesterday", "since"),
        ("until=2026-13-45", "until"),
        ("since=9999-12-31T23:59:59-14:00", "since"),
        ("limit=0", "limit"),
        ("cursor=5", "cursor"),
        ("organization=5", "organization"),
        ("target_id=" + "x" * 255, "target_id"),
    ],
)
def test_what_cannot_be_looked_for_is_named(query, field, alice_api, entries):
    answer = alice_api.get(f"{URL}?{query}")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]


def test_pages_follow_each_other_without_a_gap(alice_api, alice, acme):
    for number in range(7):
        audit.record(actor=alice, action=f"thing.step_{number}", target=acme)
    seen, cursor = [], ""
    while cursor is not None:
        answer = alice_api.get(URL, {"limit": 3, "action": "thing", "cursor": cursor})
        seen += actions(answer)
        cursor = answer.json()["next_cursor"]
    assert seen == [f"thing.step_{number}" for number in reversed(range(7))]


@pytest.mark.parametrize("query", ["", "?action=thing", "?actor=alice@acme.example&since=2020-01-01"])
def test_the_list_takes_few_queries_and_uses_an_index(query, alice_api, alice, acme):
    for _ in range(30):
        audit.record(actor=alice, action="thing.create", target=acme)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert len(actions(alice_api.get(URL + query))) == 30
    statements = [entry["sql"] for entry in captured.captured_queries if entry["sql"].startswith("SELECT")]
    assert len(statements) <= 5, "\n".join(statements)
    trail = [statement for statement in statements if "accounts_auditentry" in statement]
    assert len(trail) == 1
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + trail[0])
            plan = str(cursor.fetchall())
        assert "USING INDEX" in plan and "TEMP B-TREE" not in plan, plan


# --- Exports ------------------------------------------------------------------------------------------------------
def test_csv_is_well_formed_and_harmless_in_a_spreadsheet(alice_api, alice, acme):
    dangerous = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\uff1d1+1"]
    for text in dangerous:
        acme.name = text
        audit.record(actor=alice, action="thing.create", target=acme, changes={"note": ["", 'a "quoted", one\r\nline']})
    text = exported(alice_api.get(EXPORT, {"action": "thing"}))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["target_name"] for row in rows] == [f"'{name}" for name in reversed(dangerous)]
    assert json.loads(rows[0]["changes"])["note"][1] == 'a "quoted", one\r\nline'
    assert "\r\n" in text and not text.replace("\r\n", "").count("\n")
    assert rows[0]["actor_email"] == "alice@acme.example"


def test_json_lines_hold_every_field(alice_api, entries):
    lines = exported(alice_api.get(EXPORT, {"format": "jsonl"})).splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["other.delete", "thing.change", "thing.create"]
    assert json.loads(lines[1])["changes"] == {"name": ["Old", "New"]}


def test_an_export_is_itself_noted_and_not_part_of_itself(alice_api, entries):
    assert "audit.export" not in exported(alice_api.get(EXPORT, {"action": "thing"}))
    noted = alice_api.get(URL, {"action": "audit.export"}).json()["results"]
    assert noted[0]["changes"] == {"format": ["", "csv"], "action": ["", "thing"]}


def test_an_export_is_written_part_by_part_and_complete(alice_api, alice, acme, monkeypatch):
    monkeypatch.setattr("accounts.services.audit_trail.EXPORT_ROWS", 10)
    for number in range(35):
        audit.record(actor=alice, action=f"thing.step_{number}", target=acme)
    answer = alice_api.get(EXPORT, {"format": "jsonl", "action": "thing"})
    assert answer.streaming
    lines = exported(answer).splitlines()
    assert [json.loads(line)["action"] for line in lines] == [f"thing.step_{number}" for number in reversed(range(35))]


def test_the_format_is_named_and_may_be_accepted_in_the_header(alice_api, entries):
    assert alice_api.get(EXPORT, {"format": "xlsx"}).json()["errors"]["format"]
    answer = alice_api.get(EXPORT, headers={"Accept": "text/csv"})
    assert exported(answer).startswith("id,at,")
    assert answer["Content-Disposition"] == 'attachment; filename="audit-trail.csv"'
    refused = alice_api.get(f"{EXPORT}?since=never", headers={"Accept": "text/csv"})
    assert refused.status_code == 400
    assert refused["Content-Type"] == "application/json"


# --- The page -----------------------------------------------------------------------------------------------------
def test_the_page_shows_before_and_after(alice_pages, entries):
    page = alice_pages.get("/organisation/audit").content.decode()
    assert "thing.change" in page and "Old" in page and "New" in page and "alice@acme.example" in page
    filtered = alice_pages.get("/organisation/audit?action=other&since=2020-01-01T10:00").content.decode()
    assert "other.delete" in filtered and "Old" not in filtered


def test_the_page_says_what_is_wrong_with_a_filter(alice_pages, entries):
    answer = alice_pages.get("/organisation/audit?since=never&actor=5")
    assert answer.status_code == 400
    text = answer.content.decode()
    assert "as ISO 8601" in text and "or the id of a user" in text
    assert "other.delete" not in text.partition("</datalist>")[2]


def test_the_page_is_for_those_who_manage(client, victor, bob_pages, acme, entries):
    client.force_login(victor)
    assert client.get("/organisation/audit").status_code == 403
    assert client.get("/organisation/audit/export").status_code == 403
    assert bob_pages.get("/organisation/audit?organization=all").status_code == 403
    assert bob_pages.get(f"/organisation/audit?organization={acme.pk}").status_code == 404
    assert "other.delete" not in bob_pages.get("/organisation/audit").content.decode()


def test_nothing_in_the_trail_is_markup(alice_pages, alice, acme):
    acme.name = "<script>alert(1)</script>"
    audit.record(actor=alice, action="thing.create", target=acme, changes={"<b>": ["<i>", "<img src=x>"]})
    page = alice_pages.get("/organisation/audit").content.decode()
    assert "<script>alert(1)" not in page and "<img src=x>" not in page and "<i>" not in page


def test_administrators_see_and_export_the_trail_in_the_admin(client, administrator, entries):
    from django.urls import reverse

    client.force_login(administrator)
    listed = reverse("admin:accounts_auditentry_changelist")
    assert client.get(listed).status_code == 200
    assert client.get(reverse("admin:accounts_auditentry_change", args=[entries.pk])).status_code == 200
    assert (
        client.post(reverse("admin:accounts_auditentry_delete", args=[entries.pk]), {"post": "yes"}).status_code == 403
    )
    answer = client.post(listed, {"action": "export", "_selected_action": [str(entries.pk)]})
    assert len(list(csv.DictReader(io.StringIO(exported(answer))))) == 1
    assert AuditEntry.objects.filter(action="audit.export", actor_id=administrator.pk).exists()


# --- What is noted ------------------------------------------------------------------------------------------------
def test_signing_in_and_its_refusal_are_noted_with_their_origin(client, alice):
    from conftest import PASSWORD

    for password in ("wrong", PASSWORD):
        client.post(
            "/api/v1/auth/login",
            {"email": alice.email, "password": password},
            content_type="application/json",
            headers={"User-Agent": "Probe/1"},
        )
    noted = list(AuditEntry.objects.filter(action__startswith="account.sign_in").order_by("id"))
    assert [entry.action for entry in noted] == ["account.sign_in_refused", "account.sign_in"]
    assert {(entry.address, entry.user_agent) for entry in noted} == {("127.0.0.1", "Probe/1")}
    assert all(entry.request_id for entry in noted)
    assert "wrong" not in str([vars(entry) for entry in noted])


def test_a_changed_provider_is_noted_with_before_and_after_but_never_its_key(client, administrator):
    from django.urls import reverse

    from aigen.models import ProviderEndpoint

    client.force_login(administrator)
    form = {"name": "lab", "kind": "openai", "default_model": "tiny",
    "base_url": "http://u:hunter2@lab.example/v1?k=hunter3",
            "models_offered": "tiny", "new_api_key": "sk-first-0123456789abcdef"}  # fmt: skip
    assert client.post(reverse("admin:aigen_providerendpoint_add"), form).status_code == 302
    endpoint = ProviderEndpoint.objects.get(name="lab")
    change = reverse("admin:aigen_providerendpoint_change", args=[endpoint.pk])
    client.post(change, form | {"default_model": "large", "new_api_key": "sk-second-0123456789abcdef"})
    client.post(reverse("admin:aigen_providerendpoint_delete", args=[endpoint.pk]), {"post": "yes"})
    noted = {entry.action: entry.changes for entry in AuditEntry.objects.filter(target_type="providerendpoint")}
    assert set(noted) == {"provider_endpoint.create", "provider_endpoint.change", "provider_endpoint.delete"}
    assert noted["provider_endpoint.change"]["default_model"] == ["tiny", "large"]
    assert noted["provider_endpoint.change"]["api_key"] == ["set", "replaced"]
    for secret in ("sk-first", "sk-second", "hunter2", "hunter3"):
        assert secret not in str(noted)
