"""Users as platform Administrators manage them, over the API and in the admin, which calls the same services."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEntry, Membership, Organisation, PersonalAccessToken, Session, TokenFamily, User
from accounts.services.invitations import invitation_create
from accounts.services.organisations import organisation_create
from accounts.services.tokens import token_create
from accounts.services.users import user_change, user_delete, user_disable
from accounts.tenancy import all_organisations
from conftest import PASSWORD
from platform_site.lib.errors import Conflict, PermissionRefused
from platform_site.lib.identifiers import uuid7
from tests.architecture.conftest import make_generation

USERS = "/api/v1/users"
NORA = "nora@home.example"


def one(user) -> str:
    return f"{USERS}/{user.pk}"


@pytest.fixture
def desk(administrator, api_of):
    """The API as the administrator calls it."""
    return api_of(administrator)


@pytest.fixture
def second(db):
    return User.objects.create_user("second@steward.example", PASSWORD, role="administrator")


def changes(action: str) -> dict:
    return AuditEntry.objects.get(action=action).changes


# --- Who gets in --------------------------------------------------------------------------------------------------
def test_everybody_else_is_refused(alice_api, alice, bob):
    for answer in (
        alice_api.get(USERS),
        alice_api.post(USERS, {"email": NORA, "role": "administrator"}),
        alice_api.post(USERS, {}),
        *(getattr(alice_api, verb)(one(user), {"role": "administrator"})
          for verb in ("get", "patch", "delete") for user in (alice, bob)),
        alice_api.get(f"{USERS}/{uuid7()}"),
    ):  # fmt: skip
        assert answer.status_code == 403
    alice.refresh_from_db()
    assert (alice.role, alice.is_staff) == ("user", False)


def test_a_token_needs_the_scope_to_manage(administrator, api_of):
    from rest_framework.test import APIClient

    for scopes, status in ((["read", "write"], 403), (["manage"], 200)):
        client = APIClient()
        raw = token_create(user=administrator, name="Program", scopes=scopes)[1]
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {raw}")
        assert client.get(USERS).status_code == status


# --- Lists --------------------------------------------------------------------------------------------------------
def test_users_are_listed_filtered_and_searched(desk, alice, bob, victor):
    User.objects.filter(pk=bob.pk).update(is_active=False)

    def found(query: str) -> set[str]:
        return {row["email"] for row in desk.get(f"{USERS}?{query}").json()["results"]}

    assert len(found("")) == 4
    assert found("role=administrator") == {"admin@steward.example"}
    assert found("is_active=false") == {bob.email}
    assert found("q=ACME") == {alice.email, victor.email}
    assert found("q=victor&role=user&is_active=true&limit=5") == {victor.email}
    assert found("q=%25") == found("q=_") == set(), "signs of patterns are taken as they are"
    row = desk.get(one(alice)).json()
    assert "password" not in str(row)
    assert (row["email"], row["is_active"], row["role_source"]) == (alice.email, True, "local")


@pytest.mark.parametrize(
    "query",
    [
        "user__password__startswith=a", "password__startswith=a", "email=x", "ordering=password", "is_active=maybe",
        "role=king", "limit=201", "cursor=1", "q=" + "x" * 101, "role=user&role=administrator",
    ],
)  # fmt: skip
def test_what_a_list_does_not_know_is_refused_by_name(query, desk):
    answer = desk.get(f"{USERS}?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.partition("=")[0]}


# --- Making -------------------------------------------------------------------------------------------------------
def test_a_new_user_gets_a_link_to_set_a_password(desk, letters, client):
    answer = desk.post(USERS, {"email": NORA.upper(), "name": "Nora", "password": "hunter2hunter2", "is_active": False})
    assert answer.status_code == 201, answer.json()
    nora = User.objects.get(email=NORA)
    assert (nora.role, nora.is_active, nora.has_usable_password()) == ("user", True, False)
    link = letters(NORA)[0].path("/password/reset/")
    assert client.get(link, follow=True).status_code == 200
    assert AuditEntry.objects.get(action="account.create", target_id=str(nora.pk)).changes["role"] == ["", "user"]


@pytest.mark.parametrize("body", [
    {}, {"email": "nora"}, {"email": "ALICE@acme.example"}, {"email": NORA, "role": "owner"},
    {"email": NORA, "name": "a\nb"}, {"email": NORA, "name": "x" * 121}, {"email": "nör\u0430@home.example"},
])  # fmt: skip
def test_what_cannot_be_made_is_refused(body, desk, alice):
    answer = desk.post(USERS, body)
    assert answer.status_code == 400, answer.json()
    assert not User.objects.filter(email=NORA).exists()


# --- Changing -----------------------------------------------------------------------------------------------------
def test_changes_are_audited_with_before_and_after_and_the_rest_is_ignored(desk, alice):
    body = {"name": "Alice B.", "role": "administrator", "email": "x@home.example", "password": "hunter2hunter2",
            "is_superuser": True, "id": str(uuid7())}  # fmt: skip
    answer = desk.patch(one(alice), body)
    assert answer.status_code == 200, answer.json()
    assert changes("account.change") == {"name": ["Alice", "Alice B."], "role": ["user", "administrator"]}
    alice.refresh_from_db()
    assert (alice.email, alice.check_password(PASSWORD)) == ("alice@acme.example", True)


def test_a_demotion_counts_at_once_and_ends_nothing(desk, second, api_of):
    theirs = api_of(second)
    assert theirs.get(USERS).status_code == 200
    assert desk.patch(one(second), {"role": "user"}).status_code == 200
    assert theirs.get(USERS).status_code == 403
    assert theirs.get("/api/v1/users/me").status_code == 200


def test_disabling_ends_everything_they_hold(desk, alice, alice_api, alice_pages, acme):
    raw = token_create(user=alice, name="Program")[1]
    invitation = invitation_create(organisation=acme, email=NORA, role="owner", actor=alice)
    assert desk.patch(one(alice), {"is_active": False}).json()["is_active"] is False
    assert alice_api.get("/api/v1/users/me").status_code == 401
    assert alice_pages.get("/").status_code == 302
    bearer = {"Authorization": f"Bearer {raw}"}
    assert alice_api.__class__().get("/api/v1/users/me", headers=bearer).status_code == 401
    assert not Session.objects.filter(user=alice).exists()
    assert not TokenFamily.objects.filter(user=alice, revoked_at=None).exists()
    assert not PersonalAccessToken.objects.filter(user=alice, revoked_at=None).exists()
    assert changes("account.disable") == {"is_active": [True, False], "invitations_withdrawn": [0, 1]}
    assert invitation.email == NORA
    assert desk.patch(one(alice), {"is_active": True}).json()["is_active"] is True
    assert changes("account.enable") == {"is_active": [False, True]}
    assert alice_api.get("/api/v1/users/me").status_code == 401, "what was ended stays ended"


def test_nobody_changes_their_own_role_or_standing(desk, administrator, second):
    for body in ({"role": "user"}, {"is_active": False}, {"role": "user", "name": "Other"}):
        assert desk.patch(one(administrator), body).status_code == 403
    assert desk.delete(one(administrator)).status_code == 403
    administrator.refresh_from_db()
    assert (administrator.role, administrator.is_active, administrator.name) == ("administrator", True, "Administrator")
    assert desk.patch(one(administrator), {"name": "Ada", "role": "administrator"}).status_code == 200


def test_a_role_of_the_identity_provider_is_not_changed_here(desk, alice):
    User.objects.filter(pk=alice.pk).update(role_source="oidc")
    answer = desk.patch(one(alice), {"role": "administrator"})
    assert answer.status_code == 409
    assert "identity provider" in answer.json()["detail"]


@pytest.mark.parametrize("body", [{"role": "king"}, {"role": None}, {"is_active": "maybe"}, {"name": "\u202e"}, []])
def test_what_cannot_be_changed_is_refused(body, desk, alice):
    assert desk.patch(one(alice), body).status_code == 400


def test_an_unknown_user_is_not_there(desk):
    for verb in ("get", "patch", "delete"):
        assert getattr(desk, verb)(f"{USERS}/{uuid7()}", {}).status_code == 404


# --- Deleting -----------------------------------------------------------------------------------------------------
def test_a_deleted_user_is_gone_and_their_work_stays(desk, alice, victor, victor_api, acme):
    with all_organisations():
        generation = make_generation(acme, victor)
    assert desk.delete(one(victor)).status_code == 204
    assert victor_api.get("/api/v1/users/me").status_code == 401
    assert not User.objects.filter(pk=victor.pk).exists()
    with all_organisations():
        generation.refresh_from_db()
    assert generation.created_by_id is None
    assert changes("account.delete")["email"] == [victor.email, ""]


def test_the_only_owner_among_others_is_not_deleted(desk, alice, victor, acme, join):
    answer = desk.delete(one(alice))
    assert answer.status_code == 409
    assert "Acme" in answer.json()["detail"]
    join("second@acme.example", acme, "owner")
    assert desk.delete(one(alice)).status_code == 204
    assert Organisation.objects.get(pk=acme.pk).closed_at is None


def test_an_organisation_without_anybody_is_closed(desk, bob, globex):
    assert desk.delete(one(bob)).status_code == 204
    globex.refresh_from_db()
    assert globex.is_closed
    assert changes("organisation.close")


# --- At the same time ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("service", [
    lambda user, actor: user_change(user=user, actor=actor, role="user"),
    lambda user, actor: user_disable(user=user, actor=actor),
    lambda user, actor: user_delete(user=user, actor=actor),
], ids=["demote", "disable", "delete"])  # fmt: skip
def test_two_administrators_who_end_each_other_leave_one(service, administrator, second, at_once):
    Membership.objects.filter(user=administrator).delete()
    outcomes = at_once(lambda: service(second, administrator), lambda: service(administrator, second))
    left = User.objects.filter(role="administrator", is_active=True)
    assert left.count() == 1, outcomes
    assert sum(isinstance(outcome, PermissionRefused) for outcome in outcomes) == 1


# --- The admin ----------------------------------------------------------------------------------------------------
@pytest.fixture
def admin_pages(administrator, pages_of):
    return pages_of(administrator)


def admin_url(model: str, page: str, *args) -> str:
    return reverse(f"admin:accounts_{model}_{page}", args=args)


def form_of(user, **values):
    form = {"email": user.email, "name": user.name, "role": user.role, "is_active": "on", "new_password": ""} | values
    return {name: value for name, value in form.items() if value is not None}


def test_the_admin_makes_and_changes_users_through_the_services(admin_pages, letters, alice):
    answer = admin_pages.post(admin_url("user", "add"), {"email": NORA, "name": "Nora", "role": "user"})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert letters(NORA)[0].path("/password/reset/")
    nora = User.objects.get(email=NORA)
    admin_pages.post(admin_url("user", "change", nora.pk), form_of(nora, name="N.", role="administrator"))
    assert changes("account.change") == {"name": ["Nora", "N."], "role": ["user", "administrator"]}
    admin_pages.post(admin_url("user", "change", alice.pk), form_of(alice, is_active=None))
    assert changes("account.disable")["is_active"] == [True, False]
    admin_pages.post(admin_url("user", "change", alice.pk), form_of(alice, new_password="another good pass phrase"))
    alice.refresh_from_db()
    assert alice.is_active and alice.check_password("another good pass phrase")
    assert AuditEntry.objects.filter(action="account.set_password", target_id=str(alice.pk)).exists()


def test_the_admin_changes_an_address_and_forgets_that_it_was_confirmed(admin_pages, alice, bob):
    from django.utils import timezone

    User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
    admin_pages.post(admin_url("user", "change", alice.pk), form_of(alice, email="alice@new.example"))
    alice.refresh_from_db()
    assert (alice.email, alice.email_verified_at) == ("alice@new.example", None)
    taken = admin_pages.post(admin_url("user", "change", alice.pk), form_of(alice, email="BOB@globex.example"))
    assert taken.status_code == 200, "shown again with what is wrong"


def test_the_admin_deletes_through_the_services(admin_pages, alice, victor, bob, globex):
    admin_pages.post(admin_url("user", "delete", victor.pk), {"post": "yes"})
    assert AuditEntry.objects.get(action="account.delete").target_id == str(victor.pk)
    chosen = {"action": "delete_selected", "_selected_action": [str(bob.pk)], "post": "yes"}
    admin_pages.post(admin_url("user", "changelist"), chosen)
    assert not User.objects.filter(pk=bob.pk).exists()
    globex.refresh_from_db()
    assert globex.is_closed


def test_what_a_service_refuses_is_told_in_the_admin(admin_pages, alice, victor, administrator, acme):
    page = admin_pages.post(admin_url("user", "delete", alice.pk), {"post": "yes"}, follow=True).content.decode()
    assert "is the only owner of Acme" in page
    chosen = {"action": "delete_selected", "_selected_action": [str(victor.pk), str(alice.pk)], "post": "yes"}
    page = admin_pages.post(admin_url("user", "changelist"), chosen, follow=True).content.decode()
    assert "is the only owner of Acme" in page
    assert "Successfully deleted" not in page
    assert User.objects.filter(pk__in=[alice.pk, victor.pk]).count() == 2
    own = admin_pages.post(admin_url("user", "change", administrator.pk), form_of(administrator, role="user"))
    administrator.refresh_from_db()
    assert (own.status_code, administrator.role) == (302, "administrator")
    assert admin_pages.post(admin_url("user", "delete", administrator.pk), {"post": "yes"}).status_code == 403


def test_the_admin_names_closes_opens_and_enters_organisations(admin_pages, administrator, acme, alice):
    admin_pages.post(admin_url("organisation", "add"), {"name": "Bakery", "owner": alice.email})
    assert Membership.objects.get(organisation__name="Bakery").user == alice
    assert AuditEntry.objects.get(action="organisation.create", target_name="Bakery").actor_id == administrator.pk
    refused = admin_pages.post(admin_url("organisation", "add"), {"name": "Other", "owner": "nobody@home.example"})
    assert "nobody with this address" in refused.content.decode()
    admin_pages.post(admin_url("organisation", "change", acme.pk), {"name": "Acme & Sons"})
    assert changes("organisation.change") == {"name": ["Acme", "Acme & Sons"]}

    def act(action: str):
        form = {"action": action, "_selected_action": [str(acme.pk)]}
        return admin_pages.post(admin_url("organisation", "changelist"), form)

    assert act("enter").url == "/"
    assert "You see <strong>Acme &amp; Sons</strong>" in admin_pages.get("/").content.decode()
    act("close")
    acme.refresh_from_db()
    assert acme.is_closed
    act("reopen")
    acme.refresh_from_db()
    assert not acme.is_closed
    assert admin_pages.post(admin_url("organisation", "delete", acme.pk), {"post": "yes"}).status_code == 403


def test_the_admin_changes_memberships_through_the_services(admin_pages, alice, bob, acme, victor):
    add = {"user": str(bob.pk), "organisation": str(acme.pk), "role": "viewer"}
    assert admin_pages.post(admin_url("membership", "add"), add).status_code == 302
    assert changes("membership.create") == {"role": ["", "viewer"]}
    his = Membership.objects.get(user=bob, organisation=acme)
    admin_pages.post(admin_url("membership", "change", his.pk), {"role": "member"})
    assert changes("membership.change") == {"role": ["viewer", "member"]}
    admin_pages.post(admin_url("membership", "delete", his.pk), {"post": "yes"})
    assert changes("membership.remove") == {"role": ["member", ""]}
    hers = Membership.objects.get(user=alice)
    page = admin_pages.post(admin_url("membership", "change", hers.pk), {"role": "viewer"}, follow=True)
    assert "This is the last owner" in page.content.decode()
    admin_pages.post(admin_url("membership", "delete", hers.pk), {"post": "yes"})
    hers.refresh_from_db()
    assert hers.role == "owner"


@pytest.mark.parametrize("model", ["user", "organisation", "membership"])
def test_admin_lists_take_few_queries_whatever_their_length(model, admin_pages, join, settings):
    settings.RATELIMIT_ENABLE = False

    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_pages.get(admin_url(model, "changelist")).status_code == 200
        return len(captured)

    def fill(numbers) -> None:
        for number in numbers:
            person = User.objects.create_user(f"u{number}@home.example")
            organisation_create(name=f"Number {number}", owner=person)

    fill(range(3))
    few = count()
    fill(range(3, 30))
    assert count() == few
    assert few <= 20


def test_a_conflict_is_no_half_change(desk, alice, acme):
    """A refused part takes back the parts before it."""
    User.objects.filter(pk=alice.pk).update(role_source="oidc")
    assert desk.patch(one(alice), {"name": "Changed", "role": "administrator"}).status_code == 409
    alice.refresh_from_db()
    assert alice.name == "Alice"
    with pytest.raises(Conflict):
        user_change(user=alice, actor=User.objects.get(email="admin@steward.example"), role="administrator")
