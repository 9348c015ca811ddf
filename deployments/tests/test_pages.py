"""Pages and admin of applications."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from accounts.tenancy import all_organisations
from deployments.models import App, Deployment
from deployments.tests.conftest import get, reload, wait_for

POSTS = ["stop", "restart", "cancel", "rollback"]


@pytest.fixture
def administrator_pages(administrator) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture
def victor_pages(victor) -> Client:
    client = Client()
    client.force_login(victor)
    return client


def test_one_click_deploys_and_leads_to_the_application(generation, alice_pages):
    ready = generation()
    answer = alice_pages.post(reverse("deployments:deploy", args=[ready.pk]), {"name": "Counter"})
    with all_organisations():
        app = App.objects.get()
    assert answer.status_code == 302 and answer["Location"] == reverse("deployments:app", args=[app.pk])
    page = alice_pages.get(answer["Location"]).content.decode()
    assert "Counter" in page and "Cancel deployment" in page
    assert alice_pages.get(reverse("deployments:app_panel", args=[app.pk])).status_code == 200
    assert "Counter" in alice_pages.get(reverse("deployments:apps")).content.decode()


def test_live_page_links_to_the_application_and_stop_stops_it(live, alice_pages):
    page = alice_pages.get(reverse("deployments:app", args=[live.app_id])).content.decode()
    assert f'href="{live.url}"' in page
    assert alice_pages.post(reverse("deployments:stop", args=[live.pk])).status_code == 302
    wait_for(live, "stopped")
    page = alice_pages.get(reverse("deployments:app", args=[live.app_id])).content.decode()
    assert live.url not in page


def test_invalid_name_is_shown_as_an_error_page(generation, alice_pages):
    answer = alice_pages.post(reverse("deployments:deploy", args=[generation().pk]), {"name": ";touch M"})
    assert answer.status_code == 400 and "begins with a letter or digit" in answer.content.decode()
    assert alice_pages.post(reverse("deployments:deploy", args=[generation().pk])).status_code == 400


def test_viewer_sees_no_controls_and_is_refused_all_the_same(db, generation, deploy, victor_pages):
    deployment = deploy(generation())
    page = victor_pages.get(reverse("deployments:app", args=[deployment.app_id])).content.decode()
    assert "Cancel deployment" not in page
    for name in POSTS:
        assert victor_pages.post(reverse(f"deployments:{name}", args=[deployment.pk])).status_code == 403
    assert victor_pages.post(reverse("deployments:deploy", args=[generation().pk]), {"name": "A"}).status_code == 403


def test_outsider_finds_nothing(db, generation, deploy, bob_pages):
    deployment = deploy(generation())
    for name in ("app", "app_panel"):
        for app_id in (deployment.app_id, uuid.uuid4()):
            assert bob_pages.get(reverse(f"deployments:{name}", args=[app_id])).status_code == 404
    for name in POSTS:
        for deployment_id in (deployment.pk, uuid.uuid4()):
            assert bob_pages.post(reverse(f"deployments:{name}", args=[deployment_id])).status_code == 404
    ready = reverse("deployments:deploy", args=[deployment.release.generation_id])
    assert bob_pages.post(ready, {"name": "Mine"}).status_code == 404
    assert "Counter" not in bob_pages.get(reverse("deployments:apps")).content.decode()


def test_visitor_is_sent_to_sign_in_and_links_change_nothing(db, generation, deploy, alice_pages):
    deployment = deploy(generation())
    assert Client().get(reverse("deployments:apps")).status_code == 302
    assert Client().post(reverse("deployments:stop", args=[deployment.pk])).status_code == 302
    for name in POSTS:
        assert alice_pages.get(reverse(f"deployments:{name}", args=[deployment.pk])).status_code == 405
    assert reload(deployment).status == "queued"


def test_administrator_stops_and_restarts_any_organisations_application(live, administrator_pages):
    changelist = reverse("admin:deployments_deployment_changelist")
    assert live.url in administrator_pages.get(changelist).content.decode()
    answer = administrator_pages.post(changelist, {"action": "stop", "_selected_action": [str(live.pk)]}, follow=True)
    assert answer.status_code == 200
    wait_for(live, "stopped")
    administrator_pages.post(changelist, {"action": "restart", "_selected_action": [str(live.pk)]})
    assert get(wait_for(live, "live")) == "one"


@pytest.mark.parametrize("model", ["app", "release", "deployment"])
def test_admin_shows_everything_and_writes_nothing(db, generation, deploy, administrator_pages, model):
    deployment: Deployment = deploy(generation())
    pk = {"app": deployment.app_id, "release": deployment.release_id, "deployment": deployment.pk}[model]
    assert administrator_pages.get(reverse(f"admin:deployments_{model}_changelist")).status_code == 200
    change = reverse(f"admin:deployments_{model}_change", args=[pk])
    assert administrator_pages.get(change).status_code == 200
    assert administrator_pages.post(change, {"name": "x", "status": "live"}).status_code == 403
    assert administrator_pages.get(reverse(f"admin:deployments_{model}_add")).status_code == 403


def test_admin_is_closed_to_others(db, alice_pages):
    assert alice_pages.get(reverse("admin:deployments_deployment_changelist")).status_code == 302
