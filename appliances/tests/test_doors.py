"""Appliances over pages, REST, the devices' doors and admin: what each answers, and to whom."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEntry
from accounts.tenancy import all_organisations, organisation_scope
from appliances import services
from appliances.models import Appliance, Heartbeat
from appliances.secrets import key_hash


@pytest.fixture
def attic(acme, alice) -> tuple[Appliance, str]:
    """An appliance of acme that waits for enrolment, and its code."""
    return services.appliance_create(organisation_id=acme.pk, actor=alice, name="attic")


class Device(APIClient):
    """The appliance itself, with its key."""

    def __init__(self, appliance: Appliance, key: str) -> None:
        super().__init__(headers={"Authorization": f"Bearer {key}"})
        self.appliance_id, self.key = str(appliance.pk), key


@pytest.fixture
def device(attic) -> Device:
    return Device(*services.appliance_enroll(code=attic[1]))


def beat(device, **changes) -> dict:
    return {"appliance_id": device.appliance_id, "version": "1.0", "uptime_seconds": 12.5, "metrics": {}} | changes


def stored() -> list[Heartbeat]:
    with all_organisations():
        return list(Heartbeat.objects.all())


# --- Enrolment ----------------------------------------------------------------------------------------------------
def test_the_code_is_shown_once_and_the_key_is_shown_once(alice_api, client, acme):
    made = alice_api.post("/api/v1/appliances", {"name": "Attic 2"})
    assert made.status_code == 201, made.json()
    code = made.json()["enrolment_code"]
    assert "enrolment_code" not in alice_api.get(made.json()["links"]["self"]).json()
    answer = client.post("/api/v1/enroll", {"code": code}, content_type="application/json")
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    with organisation_scope(acme.pk):
        appliance = Appliance.objects.get()
    assert answer.json()["appliance_id"] == str(appliance.pk)
    assert appliance.key_hash == key_hash(answer.json()["key"])
    assert appliance.enrolment_code_hash is None
    assert AuditEntry.objects.filter(action="appliance.enroll", target_id=str(appliance.pk)).count() == 1


def test_a_code_may_be_typed_in_any_case_and_grouping(client, attic):
    typed = attic[1].replace("-", " ").lower()
    assert client.post("/api/v1/enroll", {"code": typed}, content_type="application/json").status_code == 201


def test_used_expired_and_invented_codes_are_refused_alike(client, attic):
    def details(code: str) -> tuple[int, str]:
        answer = client.post("/api/v1/enroll", {"code": code}, content_type="application/json")
        return answer.status_code, answer.json()["detail"]

    def expires_in(seconds: int) -> None:
        with all_organisations():
            Appliance.objects.update(enrolment_expires_at=timezone.now() + timedelta(seconds=seconds))

    invented = details("AAAA-BBBB-CCCC-DDDD-EEEE")
    expires_in(-1)
    expired = details(attic[1])
    expires_in(60)
    assert client.post("/api/v1/enroll", {"code": attic[1]}, content_type="application/json").status_code == 201
    used = details(attic[1])
    assert invented == expired == used
    assert used[0] == 401


def test_codes_cannot_be_guessed_at_speed(client, db):
    answers = [
        client.post("/api/v1/enroll", {"code": f"AAAA-{number}"}, content_type="application/json")
        for number in range(25)
    ]
    assert [answer.status_code for answer in answers[:20]] == [401] * 20
    assert answers[-1].status_code == 429
    assert int(answers[-1]["Retry-After"]) > 0


# --- Heartbeats ---------------------------------------------------------------------------------------------------
def test_a_heartbeat_is_stored_and_answers_what_is_wanted(device, attic):
    sent = beat(device, version="2.3.1", metrics={"load_1m": 0.5, "disk.free": 12}, config_version=1)
    answer = device.post("/api/v1/heartbeat", sent)
    assert answer.status_code == 200, answer.json()
    assert answer.json()["config_version"] == 1
    (kept,) = stored()
    assert (kept.version, kept.uptime_seconds, kept.metrics) == ("2.3.1", 12.5, {"load_1m": 0.5, "disk.free": 12})
    with all_organisations():
        appliance = Appliance.objects.get(pk=attic[0].pk)
    assert (appliance.version, appliance.config_version, appliance.state) == ("2.3.1", 1, "online")
    assert appliance.state_at(timezone.now() + timedelta(minutes=4)) == "offline"


def test_a_heartbeat_cannot_be_answered_inside_an_open_transaction(transactional_db, attic):
    from django.db import transaction

    appliance, _ = services.appliance_enroll(code=attic[1])
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        services.heartbeat_record(appliance=appliance, beat=services.Beat(version="1", uptime_seconds=1))


def test_a_heartbeat_that_is_sent_twice_is_kept_once(device):
    sent = beat(device, beat_id=str(uuid.uuid4()), measured_at="2026-01-13T10:00:00Z")
    assert [device.post("/api/v1/heartbeat", sent).status_code for _ in range(2)] == [200, 200]
    assert len(stored()) == 1
    device.post("/api/v1/heartbeat", beat(device))
    device.post("/api/v1/heartbeat", beat(device))
    assert len(stored()) == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": "1.0\n2"}, "version"),
        ({"version": "{{ lookup('pipe','id') }}"}, "version"),
        ({"version": "x" * 41}, "version"),
        ({"uptime_seconds": -1}, "uptime_seconds"),
        ({"uptime_seconds": "12"}, "uptime_seconds"),
        ({"uptime_seconds": True}, "uptime_seconds"),
        ({"uptime_seconds": 10**29}, "uptime_seconds"),
        ({"config_version": -1}, "config_version"),
        ({"config_version": 2**31}, "config_version"),
        ({"beat_id": "x"}, "beat_id"),
        ({"measured_at": "yesterday"}, "measured_at"),
        ({"metrics": []}, "metrics"),
        ({"metrics": {"a": "1"}}, "metrics"),
        ({"metrics": {"a": True}}, "metrics"),
        ({"metrics": {"a": None}}, "metrics"),
        ({"metrics": {"a": {"b": 1}}}, "metrics"),
        ({"metrics": {"A": 1}}, "metrics"),
        ({"metrics": {"a\u0000": 1}}, "metrics"),
        ({"metrics": {"": 1}}, "metrics"),
        ({"metrics": {f"m{n}": 1 for n in range(65)}}, "metrics"),
        ({"appliance_id": "x"}, "appliance_id"),
    ],
)
def test_bad_heartbeats_are_refused_by_name_and_leave_nothing(device, changes, field):
    answer = device.post("/api/v1/heartbeat", beat(device, **changes))
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert stored() == []


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "9" * 40])
def test_numbers_that_are_none_are_refused(device, number):
    raw = json.dumps(beat(device)).replace('"metrics": {}', f'"metrics": {{"a": {number}}}')
    answer = device.generic("POST", "/api/v1/heartbeat", raw, content_type="application/json")
    assert answer.status_code == 400
    assert stored() == []


def test_newer_agents_may_say_more(device):
    assert device.post("/api/v1/heartbeat", beat(device, invented_next_year={"a": [1]})).status_code == 200


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer nonsense", "Bearer " + "x" * 5000, "Basic YTpi", "Bearer \xff"]
)
def test_without_a_valid_key_there_is_no_door(device, header):
    client = APIClient(headers={"Authorization": header} if header else {})
    answer = client.post("/api/v1/heartbeat", beat(device))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert stored() == []


def test_a_person_is_no_device_and_a_device_is_no_person(device, alice_api, alice_pages):
    assert alice_api.post("/api/v1/heartbeat", beat(device)).status_code == 401
    assert alice_pages.post("/api/v1/heartbeat", beat(device), content_type="application/json").status_code == 401
    for path in ["/api/v1/appliances", "/api/v1/users/me", "/api/v1/runs", f"/api/v1/appliances/{device.appliance_id}"]:
        assert device.get(path).status_code == 401


def test_a_device_speaks_only_of_itself(device, globex, bob):
    other, _ = services.appliance_create(organisation_id=globex.pk, actor=bob, name="cellar")
    theirs = device.post("/api/v1/heartbeat", beat(device, appliance_id=str(other.pk)))
    nobodys = device.post("/api/v1/heartbeat", beat(device, appliance_id=str(uuid.uuid4())))
    assert (theirs.status_code, theirs.json()["detail"]) == (404, nobodys.json()["detail"])
    assert device.get(f"/api/v1/appliance/{other.pk}/config").status_code == 404
    assert stored() == []


# --- Configuration ------------------------------------------------------------------------------------------------
def test_the_configuration_has_a_strong_validator_that_changes_with_it(device, attic, alice):
    url = f"/api/v1/appliance/{device.appliance_id}/config"
    first = device.get(url)
    assert (first.status_code, first.json()) == (200, {"version": 1, "config": {}})
    etag = first["ETag"]
    assert etag.startswith('"')
    for header in [etag, f"W/{etag}", f'"other", {etag}', "*"]:
        same = device.get(url, headers={"If-None-Match": header})
        assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    with all_organisations():
        services.appliance_configure(appliance=attic[0], actor=alice, document={"name": "Dachböden"})
    changed = device.get(url, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()) == (200, {"version": 2, "config": {"name": "Dachböden"}})
    assert changed["ETag"] != etag


def test_304_takes_one_query(device, django_assert_num_queries):
    url = f"/api/v1/appliance/{device.appliance_id}/config"
    etag = device.get(url)["ETag"]
    with django_assert_num_queries(1):
        assert device.get(url, headers={"If-None-Match": etag}).status_code == 304


def test_the_same_configuration_again_is_no_new_version(attic, alice):
    with all_organisations():
        for _ in range(2):
            appliance = services.appliance_configure(appliance=attic[0], actor=alice, document={"a": 1})
    assert appliance.desired_version == 2


@pytest.mark.parametrize("document", [[], None, {"a": float("nan")}, {"a": "x" * 70_000}])
def test_a_configuration_that_devices_could_not_read_is_refused(attic, alice, document):
    with all_organisations(), pytest.raises(services.InvalidRequest):
        services.appliance_configure(appliance=attic[0], actor=alice, document=document)


# --- People -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        "",
        "{{ lookup('pipe','touch M') }}",
        "a\nansible_connection: local",
        "../x",
        "-oProxyCommand=x",
        "a\x00b",
        "x" * 81,
    ],
)
def test_names_that_could_be_read_as_something_else_are_refused(alice_api, name):
    answer = alice_api.post("/api/v1/appliances", {"name": name})
    assert answer.status_code == 400
    assert "name" in answer.json()["errors"]


@pytest.mark.parametrize("address", ["-oProxyCommand=x", "a b", "{{x}}", "root@host", "a/b", "x" * 254])
def test_addresses_that_ssh_could_read_as_something_else_are_refused(alice_api, address):
    answer = alice_api.post("/api/v1/appliances", {"name": "attic", "address": address})
    assert answer.status_code == 400
    assert "address" in answer.json()["errors"]


def test_a_name_is_given_once_in_an_organisation(alice_api, bob_api):
    assert alice_api.post("/api/v1/appliances", {"name": "attic"}).status_code == 201
    assert alice_api.post("/api/v1/appliances", {"name": "attic"}).status_code == 400
    assert bob_api.post("/api/v1/appliances", {"name": "attic"}).status_code == 201


def test_an_outsider_meets_404_as_for_an_id_that_never_was(bob_api, bob_pages, attic):
    theirs = bob_api.get(f"/api/v1/appliances/{attic[0].pk}")
    nobodys = bob_api.get(f"/api/v1/appliances/{uuid.uuid4()}")
    assert (theirs.status_code, theirs.json()["detail"]) == (404, nobodys.json()["detail"])
    assert bob_pages.get(f"/appliances/{attic[0].pk}").status_code == 404
    assert bob_api.get("/api/v1/appliances").json()["results"] == []


def test_a_viewer_sees_appliances_and_adds_none(victor_api, attic):
    assert victor_api.get(f"/api/v1/appliances/{attic[0].pk}").json()["state"] == "pending"
    assert victor_api.post("/api/v1/appliances", {"name": "cellar"}).status_code == 403


def test_the_page_shows_the_code_once(alice_pages, client, attic):
    page = alice_pages.post("/appliances", {"name": "cellar"})
    assert page.status_code == 201
    code = page.context["enrolment_code"]
    assert code in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    again = alice_pages.get(f"/appliances/{page.context['appliance'].pk}")
    assert code not in again.content.decode()
    refused = alice_pages.post("/appliances", {"name": "{{x}}"})
    assert refused.status_code == 400
    assert "cannot be used" in refused.content.decode()
    assert "cellar" in alice_pages.get("/appliances").content.decode()
    assert client.get("/appliances").status_code == 302


def test_lists_take_few_queries_whatever_their_length(alice_api, acme, alice, django_assert_max_num_queries):
    for number in range(12):
        services.appliance_create(organisation_id=acme.pk, actor=alice, name=f"machine {number}")
    with django_assert_max_num_queries(5):
        assert len(alice_api.get("/api/v1/appliances").json()["results"]) == 12


def test_admin_configures_through_the_service_and_shows_no_secret(client, administrator, attic, device):
    client.force_login(administrator)
    url = f"/admin/appliances/appliance/{attic[0].pk}/change/"
    page = client.get(url)
    assert page.status_code == 200
    assert client.get("/admin/appliances/appliance/").status_code == 200
    assert key_hash(device.key) not in page.content.decode()
    assert client.post(url, {"desired_config": '{"dns": true}'}).status_code == 302
    with all_organisations():
        appliance = Appliance.objects.get(pk=attic[0].pk)
    assert (appliance.desired_config, appliance.desired_version) == ({"dns": True}, 2)
    assert AuditEntry.objects.filter(action="appliance.configure").count() == 1
