"""The administrators' desk: every list and form opens, actions call the services, keys go in and never come out."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.contrib import admin
from django.db import connection
from django.urls import reverse

from accounts.models import AuditEntry
from accounts.tenancy import all_organisations, organisation_scope
from aigen import services
from aigen.models import ProviderEndpoint
from runs.models import Run

import_module("platform_site.urls")  # decides what is registered

KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture
def desk(client, administrator):
    client.force_login(administrator)
    return client


@pytest.fixture
def rows(alice, acme):
    """One generation with its run, of another organisation than the administrator's."""
    with organisation_scope(acme.pk):
        return services.generation_create(
            actor=alice, organisation_id=acme.pk, prompt="A list of <b>books</b> with title", language="python"
        )


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=str)
def test_every_list_and_add_form_opens(desk, rows, model):
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    listed = desk.get(reverse(f"{name}_changelist"))
    assert listed.status_code == 200
    assert desk.get(reverse(f"{name}_changelist"), {"q": "book"}).status_code == 200
    added = desk.get(reverse(f"{name}_add"))
    assert added.status_code in (200, 403)


def test_a_run_is_shown_with_its_log_and_nothing_in_it_is_markup(desk, rows):
    from runs.events import EventDraft, events_append

    events_append(rows.run_id, [EventDraft.of("line", "<script>alert(1)</script>")])
    page = desk.get(reverse("admin:runs_run_change", args=[rows.run_id])).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_runs_of_any_organisation_are_cancelled_and_retried(desk, rows):
    url = reverse("admin:runs_run_changelist")
    desk.post(url, {"action": "cancel", "_selected_action": [str(rows.run_id)]})
    with all_organisations():
        assert Run.objects.get(pk=rows.run_id).state == "cancelled"
    desk.post(url, {"action": "retry", "_selected_action": [str(rows.run_id)]})
    with all_organisations():
        assert Run.objects.get(pk=rows.run_id).state == "queued"
    assert list(AuditEntry.objects.filter(action__startswith="run.").values_list("action", flat=True)) == [
        "run.retry",
        "run.cancel",
    ]


def endpoint_form(**changes):
    form = {
        "name": "lab",
        "kind": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "default_model": "tiny",
        "models_offered": "tiny\r\n large \n\nlarge",
        "new_api_key": KEY,
        "enabled": "on",
    }
    return form | changes


def test_a_provider_key_is_encrypted_and_never_shown(desk):
    answer = desk.post(reverse("admin:aigen_providerendpoint_add"), endpoint_form())
    assert answer.status_code == 302, answer.content.decode()[:2000]
    endpoint = ProviderEndpoint.objects.get(name="lab")
    assert endpoint.api_key == KEY
    assert endpoint.models_offered == ["tiny", "large"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT api_key FROM aigen_providerendpoint")
        assert KEY not in cursor.fetchone()[0]
    change = reverse("admin:aigen_providerendpoint_change", args=[endpoint.pk])
    assert KEY not in desk.get(change).content.decode()
    desk.post(change, endpoint_form(new_api_key="", default_model="other"))
    endpoint.refresh_from_db()
    assert (endpoint.api_key, endpoint.default_model) == (KEY, "other"), "an empty field keeps the key"
    desk.post(change, endpoint_form(new_api_key="", remove_api_key="on"))
    endpoint.refresh_from_db()
    assert endpoint.api_key == ""
    assert KEY not in str(list(AuditEntry.objects.values()))


def test_the_connection_test_shows_the_real_error(desk):
    desk.post(reverse("admin:aigen_providerendpoint_add"), endpoint_form())
    url = reverse("admin:aigen_providerendpoint_changelist")
    selected = [str(ProviderEndpoint.objects.get().pk)]
    page = desk.post(url, {"action": "test_connection", "_selected_action": selected}, follow=True).content.decode()
    assert "cannot be reached" in page


def test_only_administrators_get_in(client, alice):
    client.force_login(alice)
    answer = client.get("/admin/")
    assert answer.status_code == 302
    assert "/admin/login" in answer.headers["Location"]
    assert client.get("/admin/", follow=True).status_code == 403
    client.logout()
    assert client.get("/admin/runs/run/", follow=True).redirect_chain[-1][0] == "/sign-in?next=/admin/runs/run/"
    assert client.post("/admin/login/", {"username": alice.email, "password": "x"}).status_code == 302


def test_disabling_a_user_ends_their_tokens(desk, alice, alice_api):
    url = reverse("admin:accounts_user_changelist")
    desk.post(url, {"action": "disable", "_selected_action": [str(alice.pk)]})
    assert alice_api.get("/api/v1/users/me").status_code == 401
