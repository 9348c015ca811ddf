"""What each role may do, who is nobody, and which organisation a request works in."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import permissions
from accounts.credentials import TOKEN, Credential
from accounts.middleware import choose_organisation
from accounts.models import AuditEntry, Membership
from accounts.permissions import MANAGE, OPERATE, OWN, REOPEN, VIEW, allowed, require_in
from platform_site.lib.errors import NotFound, PermissionRefused
from platform_site.lib.identifiers import uuid7

ALL = (VIEW, OPERATE, MANAGE, OWN, REOPEN)


def held(user, organisation) -> list[str]:
    return [permission for permission in ALL if allowed(user, permission, organisation.pk)]


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("viewer", [VIEW]),
        ("member", [VIEW, OPERATE]),
        ("administrator", [VIEW, OPERATE, MANAGE]),
        ("owner", [VIEW, OPERATE, MANAGE, OWN]),
    ],
)
def test_each_role_includes_those_below_it(role, expected, acme, join):
    assert held(join("mia@acme.example", acme, role).user, acme) == expected


def test_an_outsider_holds_nothing_and_is_told_nothing(bob, acme):
    assert held(bob, acme) == []
    with pytest.raises(NotFound):
        require_in(bob, VIEW, acme.pk)


def test_a_platform_administrator_holds_what_owners_hold(administrator, acme):
    assert held(administrator, acme) == [VIEW, OPERATE, MANAGE, OWN]


@pytest.mark.parametrize("who", ["alice", "administrator"])
def test_disabled_users_hold_nothing(who, request, acme):
    user = request.getfixturevalue(who)
    user.is_active = False
    assert held(user, acme) == []
    assert permissions.role_in(user, acme.pk) is None


def test_a_closed_organisation_allows_its_owners_to_reopen_it_and_nothing_else(acme, alice, victor, administrator):
    acme.closed_at = timezone.now()
    acme.save()
    assert held(alice, acme) == held(administrator, acme) == [REOPEN]
    assert held(victor, acme) == []
    with pytest.raises(NotFound):
        require_in(alice, VIEW, acme.pk)
    with pytest.raises(PermissionRefused):
        require_in(victor, REOPEN, acme.pk)


def test_nobody_holds_anything_where_there_is_nothing(administrator):
    assert not allowed(administrator, VIEW, uuid7())


def test_one_query_decides_and_nothing_is_remembered(alice, acme):
    with CaptureQueriesContext(connection) as captured, pytest.raises(NotFound):
        require_in(alice, OWN, uuid7())
    assert len(captured) == 1
    assert allowed(alice, OWN, acme.pk)
    Membership.objects.filter(user=alice).update(role="viewer")
    with pytest.raises(PermissionRefused):
        require_in(alice, OWN, acme.pk)


# --- Which organisation -------------------------------------------------------------------------------------------
def narrowed(user, organisation) -> Credential:
    return Credential(TOKEN, uuid7(), user.pk, "token", organisation_id=organisation.pk)


def test_without_a_choice_the_first_is_taken(alice, acme, globex, join):
    join(alice.email, globex, "viewer")
    assert choose_organisation(alice, None, None) == acme
    assert choose_organisation(alice, None, None, remembered=str(globex.pk)) == globex
    assert choose_organisation(alice, str(globex.pk), None) == globex


@pytest.mark.parametrize("remembered", ["", "none", "x" * 5000, "01890000-0000-7000-8000-000000000000"])
def test_a_remembered_choice_that_is_gone_falls_back_to_the_first(alice, acme, remembered):
    assert choose_organisation(alice, None, None, remembered=remembered) == acme


def test_what_is_named_is_opened_or_refused_and_never_replaced(alice, acme, globex):
    for wanted in (str(globex.pk), str(uuid7()), "acme", "1", "0" * 40, "\x00"):
        with pytest.raises(NotFound) as refused:
            choose_organisation(alice, wanted, None)
        assert refused.value.detail == "There is no such organisation."


def test_a_narrowed_token_opens_one_organisation_only(alice, acme, globex, join):
    join(alice.email, globex, "owner")
    credential = narrowed(alice, globex)
    assert choose_organisation(alice, None, credential) == globex
    assert choose_organisation(alice, str(globex.pk), credential) == globex
    with pytest.raises(NotFound):
        choose_organisation(alice, str(acme.pk), credential)
    Membership.objects.filter(user=alice, organisation=globex).delete()
    assert choose_organisation(alice, None, credential) is None, "not the first one instead"


def test_a_closed_organisation_is_not_chosen(alice, acme, globex, join):
    join(alice.email, globex, "viewer")
    acme.closed_at = timezone.now()
    acme.save()
    assert choose_organisation(alice, None, None, remembered=str(acme.pk)) == globex
    with pytest.raises(NotFound):
        choose_organisation(alice, str(acme.pk), None)


@pytest.mark.parametrize("header", ["{globex}", "01890000-0000-7000-8000-000000000000", "acme", "''"])
def test_the_api_answers_foreign_random_and_malformed_choices_alike(header, alice_api, globex):
    value = header.format(globex=globex.pk)
    for path in ("/api/v1/runs", "/api/v1/users/me", "/api/v1/organizations"):
        answer = alice_api.get(path, headers={"X-Organization": value})
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such organisation.")


def test_a_page_refuses_a_foreign_choice_as_well(alice_pages, globex):
    answer = alice_pages.get("/runs", headers={"X-Organization": str(globex.pk)})
    assert answer.status_code == 404
    assert "Content-Security-Policy" in answer.headers


def test_a_stranger_who_names_an_organisation_is_asked_to_sign_in(client, acme):
    assert client.get("/api/v1/runs", headers={"X-Organization": str(acme.pk)}).status_code == 401


# --- Platform Administrators --------------------------------------------------------------------------------------
def entries(organisation):
    return AuditEntry.objects.filter(action="organisation.enter", organisation_id=organisation.pk)


def test_an_administrator_sees_nothing_foreign_without_a_choice(administrator, api_of, acme):
    answer = api_of(administrator).get("/api/v1/organizations").json()["results"]
    assert [one["name"] for one in answer] == ["Home"]
    assert api_of(administrator).get(f"/api/v1/organizations/{acme.pk}").status_code == 404


def test_an_administrator_enters_by_choice_and_the_trail_tells_of_it_once_an_hour(administrator, api_of, acme):
    client = api_of(administrator)
    for _ in range(3):
        answer = client.get(f"/api/v1/organizations/{acme.pk}", headers={"X-Organization": str(acme.pk)})
        assert answer.status_code == 200
        assert answer.json()["role"] is None
    assert entries(acme).count() == 1
    assert entries(acme).get().actor_id == administrator.pk
    cache.clear()  # as after an hour
    client.get("/api/v1/runs", headers={"X-Organization": str(acme.pk)})
    assert entries(acme).count() == 2


def test_pages_say_that_an_administrator_is_visiting_and_lead_back(administrator, pages_of, acme, alice):
    browser = pages_of(administrator)
    assert browser.post("/organisation/switch", {"organisation": str(acme.pk)}).status_code == 302
    for path in ("/", "/organisation/members", "/account"):
        assert "You see <strong>Acme</strong> as platform administrator." in browser.get(path).content.decode(), path
    members = browser.get("/organisation/members").content.decode()
    assert alice.email in members
    browser.post("/organisation/switch", {"organisation": ""})
    assert "as platform administrator" not in browser.get("/").content.decode()
    assert entries(acme).count() == 1


def test_an_administrator_who_is_demoted_is_out_at_once(administrator, pages_of, acme, alice):
    browser = pages_of(administrator)
    browser.post("/organisation/switch", {"organisation": str(acme.pk)})
    type(administrator).objects.filter(pk=administrator.pk).update(role="user")
    page = browser.get("/organisation/members").content.decode()
    assert alice.email not in page
    assert "as platform administrator" not in page


def test_nobody_else_enters(bob, pages_of, acme):
    browser = pages_of(bob)
    assert browser.post("/organisation/switch", {"organisation": str(acme.pk)}).status_code == 404
    session = browser.session
    session["organisation_id"] = str(acme.pk)
    session.save()
    assert "Globex" in browser.get("/").content.decode()
    assert not entries(acme).exists()


def test_a_narrowed_token_of_an_administrator_enters_nothing(administrator, acme):
    with pytest.raises(NotFound):
        choose_organisation(administrator, str(acme.pk), narrowed(administrator, administrator.organisations.get()))


# --- Nobody's people ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path", ["/", "/runs", "/studio", "/apps", "/appliances", "/organisation", "/organisation/members"]
)
def test_people_without_an_organisation_get_a_calm_page(path, db, pages_of, django_user_model):
    lone = django_user_model.objects.create_user("lone@home.example", "correct horse battery staple")
    answer = pages_of(lone).get(path)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "You belong to no organisation" in page
    assert 'href="/organisations/new"' in page


def test_programs_without_an_organisation_get_an_error(db, api_of, django_user_model):
    lone = django_user_model.objects.create_user("lone@home.example", "correct horse battery staple")
    assert api_of(lone).get("/api/v1/runs").status_code == 403
    assert api_of(lone).get("/api/v1/organizations").json()["results"] == []
