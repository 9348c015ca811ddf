"""Invitations: sent, accepted once by whom they were sent to, withdrawn, and silent about everything to others."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Invitation, Membership, Organisation, OutgoingMail, User
from accounts.services.invitations import invitation_accept, invitation_create, invitations_forget
from accounts.services.memberships import membership_change
from accounts.tenancy import all_organisations
from conftest import PASSWORD
from platform_site.lib.errors import Conflict, NotFound
from platform_site.lib.identifiers import uuid7

LIST = "/api/v1/organizations/{}/invitations"
NORA = "nora@home.example"


@pytest.fixture
def nora(db):
    """Somebody with an account and no organisation, whose address nobody has confirmed."""
    return User.objects.create_user(NORA, PASSWORD, name="Nora")


@pytest.fixture
def invited(acme, alice, letters):
    """Nora is invited; answers the path of her link."""
    invitation_create(organisation=acme, email=NORA, role="member", actor=alice)
    return letters(NORA)[-1].path("/invitations/")


def token_of(path: str) -> str:
    return path.rpartition("/")[2]


def the_invitation() -> Invitation:
    with all_organisations():
        return Invitation.objects.get()


def change(**values) -> None:
    with all_organisations():
        Invitation.objects.update(**values)


# --- Inviting -----------------------------------------------------------------------------------------------------
def test_an_invitation_is_sent_by_mail_and_its_token_is_nowhere_else(alice_api, acme, letters):
    answer = alice_api.post(LIST.format(acme.pk), {"email": " Nora@Home.example ", "role": "viewer"})
    assert answer.status_code == 201, answer.json()
    assert (answer.json()["email"], answer.json()["role"], answer.json()["state"]) == (NORA, "viewer", "open")
    letter = letters(NORA)[0]
    token = token_of(letter.path("/invitations/"))
    assert "Acme" in letter.subject
    assert len(token) >= 43
    row = the_invitation()
    assert row.digest == hashlib.sha256(token.encode()).hexdigest()
    listed = alice_api.get(LIST.format(acme.pk)).json()
    shown = str(answer.json()) + str(listed) + str(list(AuditEntry.objects.values()))
    assert token not in shown and row.digest not in shown
    assert OutgoingMail.objects.get().body == "", "a message that was sent keeps no link"
    assert timedelta(days=6, hours=23) < row.expires_at - timezone.now() <= timedelta(days=7)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"email": ""}, {"email": "nora"}, {"email": "nora@home.example\nBcc: all@home.example"},
        {"email": "n" * 250 + "@home.example"}, {"email": "nör\u0430@home.example"}, {"email": ["a@b.example"]},
        {"email": NORA, "role": "king"}, {"email": NORA, "role": ""}, {"email": NORA, "role": None},
    ],
)  # fmt: skip
def test_what_cannot_be_invited_is_refused(body, alice_api, acme):
    answer = alice_api.post(LIST.format(acme.pk), body)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) <= {"email", "role"}
    assert not OutgoingMail.objects.exists()


def test_members_and_those_who_are_invited_are_not_invited_again(alice_api, acme, victor):
    assert alice_api.post(LIST.format(acme.pk), {"email": "VICTOR@acme.example"}).status_code == 409
    assert alice_api.post(LIST.format(acme.pk), {"email": NORA}).status_code == 201
    assert alice_api.post(LIST.format(acme.pk), {"email": NORA.upper()}).status_code == 409
    change(expires_at=timezone.now() - timedelta(seconds=1))
    assert alice_api.post(LIST.format(acme.pk), {"email": NORA}).status_code == 201, "the first one is too old"


@pytest.mark.parametrize(("role", "status"), [("owner", 403), ("administrator", 201), ("member", 201)])
def test_nobody_invites_above_themselves(role, status, acme, alice, join, api_of):
    oda = join("oda@acme.example", acme, "administrator").user
    assert api_of(oda).post(LIST.format(acme.pk), {"email": NORA, "role": role}).status_code == status


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_neither_invite_nor_see_who_is_invited(role, acme, invited, join, api_of):
    api = api_of(join("mia@acme.example", acme, role).user)
    one = f"{LIST.format(acme.pk)}/{the_invitation().pk}"
    for answer in (api.get(LIST.format(acme.pk)), api.post(LIST.format(acme.pk), {"email": "x@home.example"}),
                   api.get(one), api.delete(one), api.post(one + "/resend")):  # fmt: skip
        assert answer.status_code == 403


def test_many_invitations_are_refused(acme, alice, settings):
    settings.RATELIMIT_ENABLE = False
    for number in range(100):
        invitation_create(organisation=acme, email=f"n{number}@home.example", role="viewer", actor=alice)
    with pytest.raises(Conflict):
        invitation_create(organisation=acme, email="one.more@home.example", role="viewer", actor=alice)


def test_inviting_is_limited_even_when_invitations_are_withdrawn(alice_api, acme, monkeypatch):
    monkeypatch.setattr("accounts.services.invitations.RATE", "3/h")
    statuses = []
    for number in range(4):
        answer = alice_api.post(LIST.format(acme.pk), {"email": f"n{number}@home.example"})
        statuses.append(answer.status_code)
        if answer.status_code == 201:
            alice_api.delete(f"{LIST.format(acme.pk)}/{answer.json()['id']}")
    assert statuses == [201, 201, 201, 429]
    assert int(answer.headers["Retry-After"]) > 0


def test_a_list_knows_its_filters(alice_api, acme, invited):
    assert len(alice_api.get(LIST.format(acme.pk) + "?state=open").json()["results"]) == 1
    assert alice_api.get(LIST.format(acme.pk) + "?state=expired").json()["results"] == []
    for query in ("state=any", "digest__startswith=a", "email=nora@home.example"):
        assert alice_api.get(LIST.format(acme.pk) + f"?{query}").status_code == 400


@pytest.mark.parametrize("verb", ["get", "delete"])
def test_invitations_of_others_do_not_exist(verb, bob_api, globex, acme, invited):
    for invitation_id in (the_invitation().pk, uuid7()):
        answer = getattr(bob_api, verb)(f"{LIST.format(globex.pk)}/{invitation_id}")
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such invitation.")
    assert the_invitation().is_open


# --- Accepting ----------------------------------------------------------------------------------------------------
def test_who_was_invited_joins_with_one_click(invited, nora, pages_of, acme):
    browser = pages_of(nora)
    page = browser.get(invited)
    assert page.status_code == 200
    assert "Join Acme" in page.content.decode()
    assert page.headers["Referrer-Policy"] == "strict-origin"
    assert "no-store" in page.headers["Cache-Control"]
    answer = browser.post(invited, follow=True)
    assert "Welcome to Acme" in answer.content.decode()
    assert Membership.objects.get(user=nora).role == "member"
    nora.refresh_from_db()
    assert nora.email_verified_at is not None, "the link came through the address"
    assert AuditEntry.objects.get(action="invitation.accept").actor_id == nora.pk
    assert browser.get(invited).status_code == 404, "it works once"


def test_a_stranger_may_sign_in_or_sign_up(client, invited):
    page = client.get(invited).content.decode()
    assert f"/sign-up?invitation={token_of(invited)}" in page
    assert f"/sign-in?next={invited}" in page
    assert "Join Acme" not in page
    assert client.post(invited).status_code == 403
    assert the_invitation().is_open


def test_another_address_is_told_so_and_never_accepts(bob, bob_pages, bob_api, invited, acme):
    page = bob_pages.get(invited).content.decode()
    assert "Sign out and go on" in page
    assert "Join Acme" not in page
    assert bob_pages.post(invited).status_code == 403
    assert bob_api.post("/api/v1/invitations/accept", {"token": token_of(invited)}).status_code == 403
    assert not Membership.objects.filter(user=bob, organisation=acme).exists()
    assert the_invitation().is_open
    back = bob_pages.post(invited, {"sign_out": "1"}, follow=True)
    assert "I have an account" in back.content.decode()


def test_addresses_are_compared_in_any_case(acme, alice, letters, pages_of):
    nora = User.objects.create_user(NORA, PASSWORD)
    User.objects.filter(pk=nora.pk).update(email="Nora@Home.example")
    invitation_create(organisation=acme, email="NORA@home.EXAMPLE", role="viewer", actor=alice)
    path = letters()[-1].path("/invitations/")
    assert pages_of(nora).post(path).status_code == 302
    assert Membership.objects.filter(user=nora, organisation=acme).exists()


def test_the_api_accepts_as_well(invited, nora, api_of, acme):
    answer = api_of(nora).post("/api/v1/invitations/accept", {"token": token_of(invited)})
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["id"], answer.json()["role"]) == (str(acme.pk), "member")
    assert api_of(nora).get("/api/v1/runs").status_code == 200


def test_dead_links_are_all_answered_alike(invited, nora, alice, pages_of, api_of, acme):
    browser, api, seen = pages_of(nora), api_of(nora), set()

    def ask(token: str) -> None:
        page = browser.get(f"/invitations/{token}")
        answer = api.post("/api/v1/invitations/accept", {"token": token})
        seen.add((page.status_code, "This link does not work" in page.content.decode(), "Acme" in page.content.decode(),
                  page.headers["Referrer-Policy"], answer.status_code, answer.json()["detail"]))  # fmt: skip

    token, now = token_of(invited), timezone.now()
    for wrong in ("x", "x" * 43, token[:-1], token + "x", token.swapcase()):
        ask(wrong)
    for values in ({"expires_at": now - timedelta(seconds=1)}, {"revoked_at": now}, {"accepted_at": now}):
        change(expires_at=now + timedelta(days=1), revoked_at=None, accepted_at=None)
        change(**values)
        ask(token)
    change(expires_at=now + timedelta(days=1), revoked_at=None, accepted_at=None)
    Organisation.objects.filter(pk=acme.pk).update(closed_at=now)
    ask(token)
    assert len(seen) == 1, seen
    assert next(iter(seen))[:5] == (404, True, False, "strict-origin", 404)


def test_who_belongs_to_it_keeps_their_role(acme, alice, invited, nora, join):
    mine = join(NORA, acme, "administrator")
    invitation_accept(token=token_of(invited), user=nora)
    mine.refresh_from_db()
    assert mine.role == "administrator"
    assert the_invitation().state == "accepted"


def test_two_at_once_give_one_membership_and_one_refusal(invited, nora, acme, at_once):
    token = token_of(invited)
    outcomes = at_once(*[lambda: invitation_accept(token=token, user=User.objects.get(pk=nora.pk))] * 4)
    assert sum(isinstance(outcome, Membership) for outcome in outcomes) == 1, outcomes
    assert sum(isinstance(outcome, NotFound) for outcome in outcomes) == 3
    assert Membership.objects.filter(user=nora, organisation=acme).count() == 1


def test_withdrawing_and_accepting_at_once_leave_no_doubt(invited, nora, alice, acme, at_once):
    from accounts.services.invitations import invitation_revoke

    invitation, token = the_invitation(), token_of(invited)
    outcomes = at_once(
        lambda: invitation_accept(token=token, user=User.objects.get(pk=nora.pk)),
        lambda: invitation_revoke(invitation=invitation, actor=alice),
    )
    state, belongs = the_invitation().state, Membership.objects.filter(user=nora).exists()
    assert (state, belongs) in (("accepted", True), ("withdrawn", False)), outcomes


def test_tokens_cannot_be_tried_without_end(nora, api_of):
    statuses = [api_of(nora).post("/api/v1/invitations/accept", {"token": f"t{n}"}).status_code for n in range(32)]
    assert set(statuses[:30]) == {404}
    assert statuses[30:] == [429, 429]


def test_what_an_inviter_lost_does_not_come_back_through_a_link(acme, alice, join, letters, nora):
    oda = join("oda@acme.example", acme, "owner")
    invitation_create(organisation=acme, email=NORA, role="owner", actor=oda.user)
    token = token_of(letters(NORA)[-1].path("/invitations/"))
    membership_change(membership=oda, role="viewer", actor=alice)
    with pytest.raises(NotFound):
        invitation_accept(token=token, user=nora)


# --- Sent again, withdrawn ----------------------------------------------------------------------------------------
def test_sending_again_makes_a_new_link_and_ends_the_old_one(alice_api, acme, invited, nora, letters, pages_of):
    change(expires_at=timezone.now() - timedelta(seconds=1))
    answer = alice_api.post(f"{LIST.format(acme.pk)}/{the_invitation().pk}/resend")
    assert (answer.status_code, answer.json()["state"]) == (200, "open")
    fresh = letters(NORA)[-1].path("/invitations/")
    assert fresh != invited
    assert pages_of(nora).get(invited).status_code == 404
    assert pages_of(nora).post(fresh).status_code == 302
    assert alice_api.post(f"{LIST.format(acme.pk)}/{the_invitation().pk}/resend").status_code == 409


def test_an_administrator_does_not_send_an_owners_invitation_again(acme, alice, join, api_of):
    invitation = invitation_create(organisation=acme, email=NORA, role="owner", actor=alice)
    oda = join("oda@acme.example", acme, "administrator").user
    assert api_of(oda).post(f"{LIST.format(acme.pk)}/{invitation.pk}/resend").status_code == 403


def test_a_withdrawn_invitation_is_over(alice_api, acme, invited, nora, pages_of):
    one = f"{LIST.format(acme.pk)}/{the_invitation().pk}"
    assert alice_api.delete(one).status_code == 204
    assert alice_api.get(one).json()["state"] == "withdrawn"
    assert alice_api.delete(one).status_code == 409
    assert alice_api.post(one + "/resend").status_code == 409
    assert pages_of(nora).get(invited).status_code == 404
    assert AuditEntry.objects.filter(action="invitation.revoke").count() == 1


def test_old_invitations_are_forgotten(acme, invited):
    invitations_forget()
    change(expires_at=timezone.now() - timedelta(days=91))
    invitations_forget()
    with all_organisations():
        assert not Invitation.objects.exists()


# --- Pages --------------------------------------------------------------------------------------------------------
def test_the_members_page_invites_lists_resends_and_withdraws(alice_pages, acme, letters):
    answer = alice_pages.post("/organisation/invitations", {"email": NORA, "role": "viewer"}, follow=True)
    page = answer.content.decode()
    assert f"An invitation is on its way to {NORA}" in page
    one = f"/organisation/invitations/{the_invitation().pk}"
    assert f"{one}/revoke" in page
    assert "A new link" in alice_pages.post(f"{one}/resend", follow=True).content.decode()
    assert len(letters(NORA)) == 2
    assert "was withdrawn" in alice_pages.post(f"{one}/revoke", follow=True).content.decode()
    assert f"{one}/revoke" not in alice_pages.get("/organisation/members").content.decode()
    assert "used or withdrawn" in alice_pages.post(f"{one}/revoke", follow=True).content.decode()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"email": "nora", "role": "viewer"}, "valid email"),
        ({"email": "victor@acme.example", "role": "viewer"}, "belongs to this organisation already"),
        ({"email": NORA, "role": "king"}, "Select a valid choice"),
        ({}, "required"),
    ],
)
def test_the_page_says_what_is_wrong(form, words, alice_pages, acme, victor):
    answer = alice_pages.post("/organisation/invitations", form)
    assert answer.status_code == 400
    assert words in answer.content.decode()


def test_another_organisations_name_in_a_page_is_text(bob_api, bob, letters, pages_of, nora, globex):
    bob_api.patch(f"/api/v1/organizations/{globex.pk}", {"name": "<script>alert(1)</script>"})
    bob_api.post(LIST.format(globex.pk), {"email": NORA})
    page = pages_of(nora).get(letters(NORA)[0].path("/invitations/")).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
