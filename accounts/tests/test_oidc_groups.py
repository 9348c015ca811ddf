"""What groups grant, at each sign-in and at each check."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry, GroupMapping, Membership, OidcIdentity, PlatformRole, User
from accounts.oidc.claims import groups_of, person_of
from accounts.services.group_grants import groups_apply
from accounts.tests.test_oidc_sign_in import sign_in, user_of


@pytest.fixture
def nora(db):
    """Somebody whom the provider knows."""
    user = User.objects.create_user("nora@example.org")
    OidcIdentity.objects.create(user=user, issuer="https://idp.example", subject="sub-1")
    return user


def put_in(user, *groups):
    user.oidc_identities.update(groups=list(groups))
    groups_apply(user=user)
    user.refresh_from_db()


def roles_of(user):
    return {one.organisation.slug: one.role for one in user.memberships.select_related("organisation")}


def grant(group, organisation, role):
    return GroupMapping.objects.create(group=group, organisation=organisation, role=role)


def test_the_highest_role_counts_and_changes_with_the_groups(nora, alice, acme, globex):
    grant("staff", acme, "viewer")
    grant("leads", acme, "administrator")
    grant("staff", globex, "member")
    put_in(nora, "staff", "leads", "unknown")
    assert roles_of(nora) == {"acme": "administrator", "globex": "member"}
    put_in(nora, "staff")
    assert roles_of(nora) == {"acme": "viewer", "globex": "member"}
    put_in(nora)
    assert roles_of(nora) == {}
    trail = AuditEntry.objects.filter(organisation_id=acme.pk).order_by("id")
    assert [(one.action, one.changes["role"]) for one in trail] == [
        ("membership.create", ["", "administrator"]),
        ("membership.change", ["administrator", "viewer"]),
        ("membership.remove", ["viewer", ""]),
    ]


def test_nothing_is_written_when_nothing_changed(nora, alice, acme):
    grant("staff", acme, "viewer")
    put_in(nora, "staff")
    before = AuditEntry.objects.count()
    put_in(nora, "staff")
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_what_people_here_granted_stays(nora, alice, acme, role):
    Membership.objects.create(user=nora, organisation=acme, role=role)
    grant("staff", acme, "member")
    for groups in (["staff"], []):
        put_in(nora, *groups)
        assert roles_of(nora) == {"acme": role}


def test_an_organisation_keeps_its_last_owner(nora, acme):
    grant("owners", acme, "owner")
    put_in(nora, "owners")
    put_in(nora)
    assert roles_of(nora) == {"acme": "owner"}
    other = User.objects.create_user("other@example.org")
    Membership.objects.create(user=other, organisation=acme, role="owner")
    put_in(nora)
    assert roles_of(nora) == {}


def test_a_group_can_make_platform_administrators_and_unmake_them(nora):
    GroupMapping.objects.create(group="admins", platform_role=PlatformRole.ADMINISTRATOR)
    put_in(nora, "admins")
    assert (nora.role, nora.role_source) == ("administrator", "oidc")
    put_in(nora)
    assert (nora.role, nora.role_source) == ("user", "local")
    changes = AuditEntry.objects.filter(action="account.change", target_id=str(nora.pk)).order_by("id")
    assert [one.changes["role"] for one in changes] == [["user", "administrator"], ["administrator", "user"]]


def test_an_administrator_made_here_stays_one(administrator):
    OidcIdentity.objects.create(user=administrator, issuer="https://idp.example", subject="sub-9")
    GroupMapping.objects.create(group="admins", platform_role=PlatformRole.ADMINISTRATOR)
    put_in(administrator, "admins")
    put_in(administrator)
    assert (administrator.role, administrator.role_source) == ("administrator", "local")


def test_groups_of_two_identities_count_together(nora, alice, acme, globex):
    grant("staff", acme, "viewer")
    grant("guests", globex, "viewer")
    OidcIdentity.objects.create(user=nora, issuer="https://idp.example", subject="sub-2", groups=["guests"])
    nora.oidc_identities.filter(subject="sub-1").update(groups=["staff"])
    groups_apply(user=nora)
    assert set(roles_of(nora)) == {"acme", "globex"}


# --- The claim ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        (None, ()),
        ("staff", ("staff",)),
        (["staff", "staff", "leads"], ("staff", "leads")),
        (["staff", 7, None, {"a": 1}, ["b"], "", "x" * 256, "a\0b"], ("staff",)),
        ({"staff": True}, ()),
        (True, ()),
    ],
    ids=str,
)
def test_a_groups_claim_may_be_anything(claim, groups):
    assert groups_of({"groups": claim}, "groups") == groups
    assert groups_of({}, "groups") == ()


def test_a_huge_groups_claim_is_cut():
    assert len(groups_of({"groups": [f"group {number}" for number in range(50_000)]}, "groups")) == 1000


def test_another_claim_can_hold_the_groups_and_userinfo_is_newer():
    token = {"iss": "i", "sub": "s", "https://acme.example/roles": ["old"]}
    newer = {"sub": "s", "https://acme.example/roles": ["new"]}
    assert person_of(token, {"sub": "s"}, groups_claim="https://acme.example/roles").groups == ("old",)
    assert person_of(token, newer, groups_claim="https://acme.example/roles").groups == ("new",)


def test_an_address_is_not_verified_by_the_other_document():
    token = {"iss": "i", "sub": "s", "email": "own@example.org", "email_verified": True}
    person = person_of(token, {"sub": "s", "email": "victim@example.org"}, groups_claim="groups")
    assert (person.email, person.email_verified) == ("victim@example.org", False)


def test_groups_change_at_the_next_sign_in(client, peer, alice, acme):
    grant("staff", acme, "member")
    peer.person["groups"] = ["staff"]
    sign_in(client, peer)
    assert roles_of(user_of(client)) == {"acme": "member"}
    del peer.person["groups"]
    nora = user_of(client)
    client.logout()
    sign_in(client, peer)
    assert roles_of(nora) == {}
