"""Organisations: made, named, left, handed over, closed, opened again and deleted."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Invitation, Membership, Organisation
from accounts.services.closing import organisation_close, organisation_purge, organisation_reopen, organisations_purge
from accounts.services.organisations import organisation_create
from accounts.tenancy import all_organisations
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound, PermissionRefused
from platform_site.lib.identifiers import uuid7
from runs import queue
from runs.events import EventDraft, events_append
from runs.models import EventChunk, Run

ONE = "/api/v1/organizations/{}"


def audited(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action)


# --- Making and naming --------------------------------------------------------------------------------------------
def test_whoever_makes_an_organisation_owns_it(bob, bob_api):
    answer = bob_api.post("/api/v1/organizations", {"name": "  Harbour   Bakery "})
    body = answer.json()
    assert answer.status_code == 201, body
    assert (body["name"], body["slug"], body["role"]) == ("Harbour Bakery", "harbour-bakery", "owner")
    assert [one["name"] for one in bob_api.get("/api/v1/organizations").json()["results"]] == [
        "Harbour Bakery",
        "Globex",
    ]
    assert audited("organisation.create").changes["name"] == ["", "Harbour Bakery"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\nb", "a\u202eb", "a\u0000b", "!!!", None, ["x"], {"a": 1}])
def test_names_that_say_nothing_or_hide_something_are_refused(name, bob_api):
    assert bob_api.post("/api/v1/organizations", {"name": name}).status_code == 400


def test_two_organisations_may_have_one_name_and_never_one_slug(bob, alice):
    first, second = (organisation_create(name="Bakery", owner=owner) for owner in (alice, bob))
    assert first.slug == "bakery"
    assert second.slug.startswith("bakery-")
    assert organisation_create(name="面包店", owner=bob).slug.startswith("organisation")


def test_one_person_owns_a_bounded_number(bob, settings):
    settings.RATELIMIT_ENABLE = False
    for number in range(19):
        organisation_create(name=f"Number {number}", owner=bob)
    with pytest.raises(Conflict):
        organisation_create(name="One more", owner=bob)


def test_making_many_is_limited(bob_api):
    statuses = [bob_api.post("/api/v1/organizations", {"name": f"N{number}"}).status_code for number in range(12)]
    assert statuses == [201] * 10 + [429] * 2


def test_managers_rename_and_the_slug_stays(alice_api, acme):
    answer = alice_api.patch(ONE.format(acme.pk), {"name": "Acme & Sons", "slug": "mine", "closed_at": None})
    assert (answer.json()["name"], answer.json()["slug"]) == ("Acme & Sons", "acme")
    assert audited("organisation.change").changes == {"name": ["Acme", "Acme & Sons"]}
    assert alice_api.patch(ONE.format(acme.pk), {"name": "\u202e"}).status_code == 400


def test_viewers_rename_nothing(victor_api, acme):
    assert victor_api.patch(ONE.format(acme.pk), {"name": "Mine"}).status_code == 403
    assert (
        victor_api.post(ONE.format(acme.pk), {"name": "Mine"}, headers={"X-HTTP-Method-Override": "PATCH"}).status_code
        == 405
    )
    assert Organisation.objects.get(pk=acme.pk).name == "Acme"


@pytest.mark.parametrize(
    "query", ["state=all", "owner=1", "cursor=x", "limit=0", "members__user__password__startswith=p"]
)
def test_lists_refuse_what_they_do_not_know(query, alice_api):
    answer = alice_api.get(f"/api/v1/organizations?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.partition("=")[0]}


def test_a_list_is_read_in_pages(alice, alice_api, settings):
    settings.RATELIMIT_ENABLE = False
    for number in range(4):
        organisation_create(name=f"Number {number}", owner=alice)
    first = alice_api.get("/api/v1/organizations?limit=3").json()
    rest = alice_api.get(f"/api/v1/organizations?limit=3&cursor={first['next_cursor']}").json()
    names = [one["name"] for one in first["results"] + rest["results"]]
    assert names == ["Number 3", "Number 2", "Number 1", "Number 0", "Acme"]
    assert rest["next_cursor"] is None


# --- Leaving and handing over -------------------------------------------------------------------------------------
def test_the_last_owner_cannot_leave(alice_api, acme, join):
    join("oda@acme.example", acme, "administrator")
    assert alice_api.post(ONE.format(acme.pk) + "/leave").status_code == 409
    join("second@acme.example", acme, "owner")
    assert alice_api.post(ONE.format(acme.pk) + "/leave").status_code == 204
    assert alice_api.get(ONE.format(acme.pk)).status_code == 404
    assert audited("membership.leave").changes["role"] == ["owner", ""]


def test_an_owner_who_cannot_sign_in_does_not_count(alice_api, acme, join):
    second = join("second@acme.example", acme, "owner").user
    second.is_active = False
    second.save()
    assert alice_api.post(ONE.format(acme.pk) + "/leave").status_code == 409


def test_handing_over_makes_an_owner_and_leaves_an_administrator(alice, alice_api, acme, join, letters):
    heir = join("mia@acme.example", acme, "member")
    answer = alice_api.post(ONE.format(acme.pk) + "/transfer", {"membership": str(heir.pk)})
    assert answer.status_code == 200, answer.json()
    roles = dict(Membership.objects.filter(organisation=acme).values_list("user__email", "role"))
    assert roles == {"alice@acme.example": "administrator", "mia@acme.example": "owner"}
    assert audited("organisation.transfer").changes == {"owner": ["alice@acme.example", "mia@acme.example"]}
    assert "owner" in letters("mia@acme.example")[0].text
    again = alice_api.post(ONE.format(acme.pk) + "/transfer", {"membership": str(heir.pk)})
    assert again.status_code == 403, "an administrator hands nothing over"


def test_an_organisation_is_handed_over_to_its_own_members_only(alice_api, acme, bob, join):
    foreign = Membership.objects.get(user=bob)
    for membership in (str(foreign.pk), str(uuid7())):
        answer = alice_api.post(ONE.format(acme.pk) + "/transfer", {"membership": membership})
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such member.")
    assert alice_api.post(ONE.format(acme.pk) + "/transfer", {"membership": "x"}).status_code == 400
    asleep = join("asleep@acme.example", acme, "member")
    asleep.user.is_active = False
    asleep.user.save()
    assert alice_api.post(ONE.format(acme.pk) + "/transfer", {"membership": str(asleep.pk)}).status_code == 409


# --- Closing ------------------------------------------------------------------------------------------------------
@pytest.fixture
def work(acme):
    """A run that waits, one that runs, one that has ended, and the log of one."""
    payload = {"generation_id": str(uuid7())}
    runs = [queue.enqueue("aigen.generate", organisation_id=acme.pk, payload=payload) for _ in range(3)]
    with all_organisations():
        queue.claim(runs[1].pk, owner="somewhere:1:1")
        Run.objects.filter(pk=runs[2].pk).update(state="succeeded")
    events_append(runs[2].pk, [EventDraft.of("line", "hello")])
    return runs


def states(runs) -> list[tuple[str, bool]]:
    with all_organisations():
        found = Run.objects.in_bulk([run.pk for run in runs])
    return [(found[run.pk].state, found[run.pk].cancel_requested_at is not None) for run in runs]


def test_closing_puts_everybody_out_and_cancels_the_work(alice_api, victor_api, acme, work, letters):
    wrong = alice_api.post(ONE.format(acme.pk) + "/close", {"name": "acme"})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["name"])
    assert victor_api.post(ONE.format(acme.pk) + "/close", {"name": "Acme"}).status_code == 403
    answer = alice_api.post(ONE.format(acme.pk) + "/close", {"name": "Acme"})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["purge_after"] > answer.json()["closed_at"]
    for api in (alice_api, victor_api):
        assert api.get(ONE.format(acme.pk)).status_code == 404
        assert api.get("/api/v1/runs", headers={"X-Organization": str(acme.pk)}).status_code == 404
        assert api.get("/api/v1/organizations").json()["results"] == []
    assert states(work) == [("cancelled", False), ("running", True), ("succeeded", False)]
    assert audited("organisation.close").actor_email == "alice@acme.example"
    assert "open it again" in letters("alice@acme.example")[0].text


def test_a_device_of_a_closed_organisation_is_turned_away(acme, alice):
    from appliances.models import Appliance
    from appliances.secrets import key_hash, new_key
    from appliances.services import device_authenticate
    from platform_site.lib.errors import NotAuthenticated

    key = new_key()
    with all_organisations():
        Appliance.objects.create(organisation=acme, name="Attic", key_hash=key_hash(key))
    assert device_authenticate(key=key).name == "Attic"
    organisation_close(organisation=acme, confirmation="Acme", actor=alice)
    with pytest.raises(NotAuthenticated):
        device_authenticate(key=key)


def test_only_owners_find_a_closed_organisation_and_open_it_again(alice, alice_api, victor, victor_api, bob_api, acme):
    organisation_close(organisation=acme, confirmation="Acme", actor=alice)
    assert [one["name"] for one in alice_api.get("/api/v1/organizations?state=closed").json()["results"]] == ["Acme"]
    assert victor_api.get("/api/v1/organizations?state=closed").json()["results"] == []
    for api in (victor_api, bob_api):
        assert api.post(ONE.format(acme.pk) + "/reopen").status_code == 404
    answer = alice_api.post(ONE.format(acme.pk) + "/reopen")
    assert (answer.status_code, answer.json()["closed_at"]) == (200, None)
    assert victor_api.get(ONE.format(acme.pk)).status_code == 200, "everything is as it was"
    assert alice_api.post(ONE.format(acme.pk) + "/reopen").status_code == 404, "it is open"
    assert audited("organisation.reopen").changes["closed_at"][1] == ""


def test_nothing_is_done_in_a_closed_organisation(alice, acme):
    organisation_close(organisation=acme, confirmation="Acme", actor=alice)
    with pytest.raises(NotFound):
        organisation_close(organisation=acme, confirmation="Acme", actor=alice)
    with pytest.raises(PermissionRefused):
        organisation_reopen(
            organisation=acme,
            actor=Membership.objects.create(
                user=type(alice).objects.create_user("v@acme.example"), organisation=acme, role="administrator"
            ).user,
        )


def test_closing_needs_an_owner_and_the_name(alice, acme, join):
    manager = join("oda@acme.example", acme, "administrator").user
    with pytest.raises(PermissionRefused):
        organisation_close(organisation=acme, confirmation="Acme", actor=manager)
    with pytest.raises(InvalidRequest):
        organisation_close(organisation=acme, confirmation="", actor=alice)


# --- Deleting after the grace -------------------------------------------------------------------------------------
def overdue(organisation: Organisation) -> None:
    Organisation.objects.filter(pk=organisation.pk).update(purge_after=timezone.now() - timedelta(seconds=1))


def test_after_the_grace_everything_is_gone_but_the_trail(
    acme, globex, alice, bob, work, settings, tmp_path, django_capture_on_commit_callbacks
):
    from tests.architecture.conftest import make_world

    settings.STEWARD_VAR_DIR = tmp_path
    with all_organisations():
        world, other = make_world(acme, alice), make_world(globex, bob)
    folders = [tmp_path / "data" / ids["app_id"] for ids in (world, other)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("kept by the application")
    organisation_close(organisation=acme, confirmation="Acme", actor=alice)
    organisations_purge()
    assert Organisation.objects.filter(pk=acme.pk).exists(), "its grace is not over"
    overdue(acme)
    with django_capture_on_commit_callbacks(execute=True):
        organisations_purge()
    assert not Organisation.objects.filter(pk=acme.pk).exists()
    assert [folder.exists() for folder in folders] == [False, True]
    with all_organisations():
        assert not EventChunk.objects.filter(organisation_id=acme.pk).exists()
        assert not Run.objects.filter(organisation_id=acme.pk).exists()
        assert Run.objects.filter(organisation_id=globex.pk).exists()
        assert not Invitation.objects.filter(organisation_id=acme.pk).exists()
    trail = AuditEntry.objects.filter(organisation_id=acme.pk).values_list("action", flat=True)
    assert {"organisation.close", "organisation.purge"} <= set(trail)
    assert type(alice).objects.filter(pk=alice.pk).exists()


def test_an_organisation_that_was_opened_again_is_not_deleted(acme, alice):
    organisation_close(organisation=acme, confirmation="Acme", actor=alice)
    overdue(acme)
    with pytest.raises(Conflict):
        organisation_reopen(organisation=acme, actor=alice)
    Organisation.objects.filter(pk=acme.pk).update(purge_after=timezone.now() + timedelta(days=1))
    organisation_reopen(organisation=acme, actor=alice)
    assert not organisation_purge(acme.pk)


# --- Pages --------------------------------------------------------------------------------------------------------
def test_the_settings_page_shows_the_id_and_takes_a_name(alice_pages, acme):
    page = alice_pages.get("/organisation").content.decode()
    assert f'data-copy="{acme.pk}"' in page
    assert alice_pages.post("/organisation", {"name": "Acme & Sons"}).status_code == 302
    assert "Acme &amp; Sons" in alice_pages.get("/organisation").content.decode()
    refused = alice_pages.post("/organisation", {"name": "!"})
    assert refused.status_code == 400
    assert "a letter or digit" in refused.content.decode()


def test_who_may_not_manage_sees_no_forms(victor, pages_of, acme):
    page = pages_of(victor).get("/organisation").content.decode()
    assert "Save the name" not in page
    assert "Close the organisation" not in page
    assert "Leave the organisation" in page


def test_a_new_organisation_is_entered_at_once(bob_pages, bob):
    answer = bob_pages.post("/organisations/new", {"name": "Bakery"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/organisation/members"
    assert "Who belongs to Bakery" in answer.content.decode()
    assert bob_pages.post("/organisations/new", {"name": ""}).status_code == 400


def test_who_closes_sees_where_it_went_and_gets_it_back(alice_pages, acme):
    wrong = alice_pages.post("/organisation/close", {"name": "Globex"})
    assert wrong.status_code == 400
    assert "exactly as it is shown" in wrong.content.decode()
    answer = alice_pages.post("/organisation/close", {"name": "Acme"}, follow=True)
    page = answer.content.decode()
    assert "Closed organisations of yours" in page
    assert f"/organisations/{acme.pk}/reopen" in page
    assert "You belong to no organisation" in alice_pages.get("/").content.decode()
    back = alice_pages.post(f"/organisations/{acme.pk}/reopen", follow=True)
    assert "Acme is open again" in back.content.decode()


def test_the_last_owner_is_told_why_they_cannot_leave(alice_pages, acme):
    page = alice_pages.post("/organisation/leave", follow=True).content.decode()
    assert "This is the last owner" in page


def test_switching_lists_open_organisations_only(alice, alice_pages, globex, acme, join):
    join(alice.email, globex, "owner")
    assert alice_pages.post("/organisation/switch", {"organisation": str(globex.pk)}).status_code == 302
    assert f'<option value="{globex.pk}" selected>' in alice_pages.get("/").content.decode()
    Organisation.objects.filter(pk=globex.pk).update(closed_at=timezone.now())
    assert "Globex" not in alice_pages.get("/").content.decode()
    assert alice_pages.post("/organisation/switch", {"organisation": str(globex.pk)}).status_code == 404
