"""Members: seen, given another role, removed; who may do that to whom, and what is left when two do it at once."""

import pytest

from accounts.models import AuditEntry, Invitation, Membership
from accounts.services.invitations import invitation_create
from accounts.services.memberships import membership_change, membership_remove
from accounts.tenancy import all_organisations
from platform_site.lib.errors import Conflict, NotFound, PermissionRefused
from platform_site.lib.identifiers import uuid7

MEMBERS = "/api/v1/organizations/{}/members"
RANKS = ["viewer", "member", "administrator", "owner"]


def path_of(membership: Membership) -> str:
    return f"{MEMBERS.format(membership.organisation_id)}/{membership.pk}"


def role_of(membership: Membership) -> str | None:
    return Membership.objects.filter(pk=membership.pk).values_list("role", flat=True).first()


@pytest.fixture
def own(alice):
    return Membership.objects.get(user=alice)


# --- Seeing -------------------------------------------------------------------------------------------------------
def test_members_see_each_other_in_pages(victor_api, alice, acme, join):
    for number in range(3):
        join(f"m{number}@acme.example", acme, "member")
    first = victor_api.get(MEMBERS.format(acme.pk) + "?limit=3").json()
    rest = victor_api.get(MEMBERS.format(acme.pk) + f"?limit=3&cursor={first['next_cursor']}").json()
    found = first["results"] + rest["results"]
    assert len(found) == 5
    assert rest["next_cursor"] is None
    assert set(found[0]) == {"id", "user", "role", "source", "created_at"}
    assert set(found[0]["user"]) == {"id", "email", "name"}, "nothing of their account"
    owners = victor_api.get(MEMBERS.format(acme.pk) + "?role=owner").json()["results"]
    assert [one["user"]["email"] for one in owners] == ["alice@acme.example"]


@pytest.mark.parametrize("query", ["role=king", "user__password__startswith=p", "organisation=1", "order=role"])
def test_what_a_list_does_not_know_is_named(query, alice_api, acme):
    answer = alice_api.get(MEMBERS.format(acme.pk) + f"?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.partition("=")[0]}


# --- Roles --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("actor_role", RANKS)
@pytest.mark.parametrize("before", RANKS)
@pytest.mark.parametrize("after", RANKS)
def test_nobody_gives_or_takes_more_than_they_have(actor_role, before, after, acme, alice, join):
    actor = join("actor@acme.example", acme, actor_role).user
    target = join("target@acme.example", acme, before)
    may = actor_role in ("administrator", "owner") and (actor_role == "owner" or "owner" not in (before, after))
    if may:
        assert membership_change(membership=target, role=after, actor=actor).role == after
    elif before == after and actor_role == "administrator":
        assert membership_change(membership=target, role=after, actor=actor).role == before, "nothing to change"
    else:
        with pytest.raises(PermissionRefused):
            membership_change(membership=target, role=after, actor=actor)
        assert role_of(target) == before


@pytest.mark.parametrize("actor_role", RANKS)
@pytest.mark.parametrize("target_role", RANKS)
def test_removing_follows_the_same_ranks(actor_role, target_role, acme, alice, join):
    actor = join("actor@acme.example", acme, actor_role).user
    target = join("target@acme.example", acme, target_role)
    if actor_role == "owner" or (actor_role == "administrator" and target_role != "owner"):
        membership_remove(membership=target, actor=actor)
        assert role_of(target) is None
    else:
        with pytest.raises(PermissionRefused):
            membership_remove(membership=target, actor=actor)
        assert role_of(target) == target_role


@pytest.mark.parametrize("body", [
    {"role": "owner"}, {"role": "administrator", "user": "x"}, {"organisation": "{acme}"}, {"is_staff": True},
    {"role": "owner", "source": "oidc"}, {"quota": 10**9}, {},
])  # fmt: skip
@pytest.mark.parametrize("verb", ["patch", "put", "post"])
def test_nobody_promotes_themselves_by_any_field_or_verb(body, verb, acme, alice, join, api_of):
    mine = join("oda@acme.example", acme, "administrator")
    api = api_of(mine.user)
    headers = {"X-HTTP-Method-Override": "PATCH"}
    answer = getattr(api, verb)(path_of(mine) + "?_method=PATCH", body, headers=headers)
    assert answer.status_code in (400, 403, 405) or answer.json()["role"] == "administrator"
    mine.refresh_from_db()
    mine.user.refresh_from_db()
    assert (mine.role, mine.source, mine.user.role, mine.organisation_id) == ("administrator", "local", "user", acme.pk)


def test_a_platform_administrator_does_not_raise_themselves_either(administrator, acme, join):
    mine = join(administrator.email, acme, "viewer")
    with pytest.raises(PermissionRefused):
        membership_change(membership=mine, role="owner", actor=administrator)


def test_a_change_is_told_and_audited_and_counts_at_once(alice_api, acme, join, api_of, letters):
    mia = join("mia@acme.example", acme, "administrator")
    her = api_of(mia.user)
    assert her.get(f"/api/v1/organizations/{acme.pk}/invitations").status_code == 200
    assert alice_api.patch(path_of(mia), {"role": "viewer"}).json()["role"] == "viewer"
    assert her.get(f"/api/v1/organizations/{acme.pk}/invitations").status_code == 403
    entry = AuditEntry.objects.get(action="membership.change")
    assert (entry.changes, entry.organisation_id) == ({"role": ["administrator", "viewer"]}, acme.pk)
    assert "You are viewer there now" in letters("mia@acme.example")[0].text
    assert alice_api.patch(path_of(mia), {"role": "king"}).status_code == 400
    assert alice_api.patch(path_of(mia), {"role": None}).status_code == 400


def test_removal_counts_at_once(alice_api, acme, join, api_of, pages_of, letters):
    mia = join("mia@acme.example", acme, "member")
    her, browser = api_of(mia.user), pages_of(mia.user)
    assert her.get("/api/v1/runs").status_code == 200
    assert alice_api.delete(path_of(mia)).status_code == 204
    assert her.get("/api/v1/runs").status_code == 403
    assert her.get(MEMBERS.format(acme.pk)).status_code == 404
    assert "You belong to no organisation" in browser.get("/runs").content.decode()
    assert AuditEntry.objects.get(action="membership.remove").changes == {"role": ["member", ""]}
    assert "removed you from Acme" in letters("mia@acme.example")[0].text
    assert alice_api.delete(path_of(mia)).status_code == 404


def test_a_member_may_always_leave(victor, victor_api, acme):
    assert victor_api.delete(path_of(Membership.objects.get(user=victor))).status_code == 204
    assert AuditEntry.objects.get(action="membership.leave").actor_email == victor.email


@pytest.mark.parametrize("verb", ["get", "patch", "delete"])
def test_ids_of_two_organisations_do_not_mix(verb, alice, alice_api, bob, acme, globex, join):
    join(alice.email, globex, "owner")
    foreign = Membership.objects.get(user=bob)
    for membership_id in (foreign.pk, uuid7()):
        answer = getattr(alice_api, verb)(f"{MEMBERS.format(acme.pk)}/{membership_id}", {"role": "viewer"})
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such member.")
    assert role_of(foreign) == "owner"


def test_the_last_owner_is_neither_demoted_nor_removed(alice_api, own):
    assert alice_api.patch(path_of(own), {"role": "member"}).status_code == 409
    assert alice_api.delete(path_of(own)).status_code == 409
    assert role_of(own) == "owner"


def test_what_the_identity_provider_grants_is_not_changed_here(alice_api, acme, join, api_of):
    granted = join("mia@acme.example", acme, "member", source="oidc")
    for answer in (
        alice_api.patch(path_of(granted), {"role": "viewer"}),
        alice_api.delete(path_of(granted)),
        alice_api.post(f"/api/v1/organizations/{acme.pk}/transfer", {"membership": str(granted.pk)}),
        api_of(granted.user).post(f"/api/v1/organizations/{acme.pk}/leave"),
    ):
        assert answer.status_code == 409
        assert "identity provider" in answer.json()["detail"]
    assert role_of(granted) == "member"


# --- At the same time ---------------------------------------------------------------------------------------------
def test_two_owners_who_demote_each_other_leave_one(acme, alice, own, join, at_once):
    other = join("second@acme.example", acme, "owner")
    outcomes = at_once(
        lambda: membership_change(membership=other, role="member", actor=alice),
        lambda: membership_change(membership=own, role="member", actor=other.user),
    )
    assert sorted([role_of(own), role_of(other)]) == ["member", "owner"], outcomes
    assert sum(isinstance(outcome, PermissionRefused | Conflict) for outcome in outcomes) == 1


def test_two_owners_who_leave_at_once_leave_one(acme, alice, own, join, at_once):
    other = join("second@acme.example", acme, "owner")
    outcomes = at_once(
        lambda: membership_remove(membership=own, actor=alice),
        lambda: membership_remove(membership=other, actor=other.user),
    )
    assert Membership.objects.filter(organisation=acme, role="owner").count() == 1, outcomes


def test_a_removed_member_cannot_remove_who_removed_them(acme, alice, own, join, at_once):
    other = join("second@acme.example", acme, "owner")
    outcomes = at_once(
        lambda: membership_remove(membership=other, actor=alice),
        lambda: membership_remove(membership=own, actor=other.user),
    )
    assert Membership.objects.filter(organisation=acme, role="owner").count() == 1
    assert sum(isinstance(outcome, NotFound | Conflict) for outcome in outcomes) == 1


# --- What a removed member leaves behind --------------------------------------------------------------------------
def open_invitations() -> list[str]:
    with all_organisations():
        return sorted(Invitation.objects.open().values_list("email", flat=True))


def test_invitations_end_with_the_right_to_send_them(acme, alice, join):
    oda = join("oda@acme.example", acme, "owner")
    for role in ("owner", "administrator", "viewer"):
        invitation_create(organisation=acme, email=f"{role}@elsewhere.example", role=role, actor=oda.user)
    invitation_create(organisation=acme, email="other@elsewhere.example", role="owner", actor=alice)
    membership_change(membership=oda, role="administrator", actor=alice)
    assert open_invitations() == [
        "administrator@elsewhere.example",
        "other@elsewhere.example",
        "viewer@elsewhere.example",
    ]
    membership_remove(membership=oda, actor=alice)
    assert open_invitations() == ["other@elsewhere.example"]
    assert AuditEntry.objects.get(action="membership.remove").changes["invitations_withdrawn"] == [0, 2]


# --- Pages --------------------------------------------------------------------------------------------------------
def test_owners_see_tools_and_viewers_see_names(alice_pages, victor, pages_of, acme, join):
    mia = join("mia@acme.example", acme, "member")
    page = alice_pages.get("/organisation/members").content.decode()
    assert f"/organisation/members/{mia.pk}/remove" in page
    assert "Hand over" in page
    assert "Invite somebody" in page
    plain = pages_of(victor).get("/organisation/members").content.decode()
    assert "mia@acme.example" in plain
    for word in ("Remove", "Hand over", "Invite somebody", "<select class"):
        assert word not in plain


def test_administrators_are_offered_what_they_may_do(acme, alice, own, join, pages_of):
    oda = join("oda@acme.example", acme, "administrator")
    page = pages_of(oda.user).get("/organisation/members").content.decode()
    assert f"/organisation/members/{own.pk}" not in page, "an owner is out of their reach"
    assert '<option value="owner"' not in page
    assert "Hand over" not in page


def test_a_page_changes_hands_over_and_removes(alice_pages, acme, join):
    mia = join("mia@acme.example", acme, "member")
    answer = alice_pages.post(f"/organisation/members/{mia.pk}", {"role": "viewer"}, follow=True)
    assert "was changed" in answer.content.decode()
    assert role_of(mia) == "viewer"
    assert (
        "no role" in alice_pages.post(f"/organisation/members/{mia.pk}", {"role": "king"}, follow=True).content.decode()
    )
    alice_pages.post(f"/organisation/members/{mia.pk}/remove")
    assert role_of(mia) is None
    noah = join("noah@acme.example", acme, "member")
    answer = alice_pages.post("/organisation/transfer", {"membership": str(noah.pk)}, follow=True)
    assert "owns Acme now" in answer.content.decode()
    assert alice_pages.post("/organisation/transfer", {"membership": str(noah.pk)}).status_code == 403


def test_refusals_are_told_on_the_page(alice_pages, own):
    page = alice_pages.post(f"/organisation/members/{own.pk}", {"role": "viewer"}, follow=True).content.decode()
    assert "This is the last owner" in page
    page = alice_pages.post("/organisation/transfer", {"membership": "nobody"}, follow=True).content.decode()
    assert "Choose a member" in page


def test_the_identity_provider_is_named_on_the_page(alice_pages, acme, join):
    granted = join("mia@acme.example", acme, "member", source="oidc")
    page = alice_pages.get("/organisation/members").content.decode()
    assert "the identity provider decides the role" in page
    assert f"/organisation/members/{granted.pk}" not in page
