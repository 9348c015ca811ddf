"""Signing in on a program without a browser (RFC 8628), from both sides."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, DeviceAuthorisation, TokenFamily
from accounts.services import devices
from accounts.services.sessions import sign_out_everywhere
from accounts.sessions import SECOND_FACTOR_KEY

FORM = "application/x-www-form-urlencoded"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def post(path, **fields):
    return Client().generic("POST", path, urlencode(fields), content_type=FORM)


@pytest.fixture
def begun(db):
    """What the program got at the beginning."""
    return post("/api/v1/auth/device", client_id="steward-cli").json()


def poll(begun, client_id="steward-cli"):
    return post("/api/v1/auth/token", grant_type=GRANT, device_code=begun["device_code"], client_id=client_id)


def said(answer):
    return answer.status_code, answer.json().get("error")


def answer_as(pages, begun, decision):
    return pages.post("/device", {"user_code": begun["user_code"], "decision": decision})


# --- The program --------------------------------------------------------------------------------------------------
def test_the_program_gets_codes_and_an_address(begun):
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", begun["user_code"])
    assert len(begun["device_code"]) >= 43
    assert begun["verification_uri"] == "http://testserver/device"
    assert begun["verification_uri_complete"] == f"http://testserver/device?user_code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    kept = DeviceAuthorisation.objects.get()
    assert begun["device_code"] not in (kept.digest, kept.user_code)


@pytest.mark.parametrize("fields", [{}, {"client_id": ""}, {"client_id": "a\nb"}, {"client_id": "é"}])
def test_a_program_needs_a_plain_name(db, fields):
    assert said(post("/api/v1/auth/device", **fields)) == (400, "invalid_request")


def test_from_the_code_to_tokens(begun, alice_pages, alice):
    assert said(poll(begun)) == (400, "authorization_pending")
    assert answer_as(alice_pages, begun, "approve").status_code == 302
    answer = poll(begun)
    assert answer.status_code == 200, answer.json()
    assert answer["Cache-Control"] == "no-store"
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert Client().get("/api/v1/users/me", headers=bearer).json()["email"] == alice.email
    family = TokenFamily.objects.get()
    assert (family.client, family.method, family.second_factor) == ("steward-cli", "device", False)
    assert said(poll(begun)) == (400, "invalid_grant"), "a code is used once"
    approval = AuditEntry.objects.get(action="device.approve")
    assert (approval.actor_email, approval.target_name) == (alice.email, "steward-cli (pending)")
    assert AuditEntry.objects.filter(action="account.sign_in", actor_id=alice.pk).exists()
    trail = str(list(AuditEntry.objects.values()))
    assert begun["device_code"] not in trail


def test_the_second_factor_of_the_session_that_approves_counts(begun, alice_pages):
    session = alice_pages.session
    session[SECOND_FACTOR_KEY] = "2026-01-01T00:00:00Z"
    session.save()
    answer_as(alice_pages, begun, "approve")
    assert poll(begun).status_code == 200
    assert TokenFamily.objects.get().second_factor


def test_a_denied_program_is_told_so(begun, alice_pages):
    answer_as(alice_pages, begun, "deny")
    assert said(poll(begun)) == (400, "access_denied")
    assert said(poll(begun)) == (400, "access_denied")
    assert AuditEntry.objects.filter(action="device.deny").exists()


def test_polling_too_fast_makes_the_pause_longer_each_time(begun, clock):
    assert said(poll(begun)) == (400, "authorization_pending")
    assert said(poll(begun)) == (400, "slow_down")
    clock.forward(6)
    assert said(poll(begun)) == (400, "slow_down"), "ten seconds are asked for now"
    clock.forward(16)
    assert said(poll(begun)) == (400, "authorization_pending")
    for _ in range(20):
        poll(begun)
    assert DeviceAuthorisation.objects.get().interval_seconds == 60


def test_a_call_that_the_network_brought_a_little_early_is_in_time(begun, clock):
    for _ in range(3):
        assert said(poll(begun)) == (400, "authorization_pending")
        clock.forward(4.5)


def test_a_code_expires(begun, clock, alice_pages):
    clock.forward(601)
    assert said(poll(begun)) == (400, "expired_token")
    assert answer_as(alice_pages, begun, "approve").status_code == 400
    assert said(poll(begun)) == (400, "expired_token")


def test_an_approval_that_is_not_fetched_in_time_expires_too(begun, clock, alice_pages):
    answer_as(alice_pages, begun, "approve")
    clock.forward(601)
    assert said(poll(begun)) == (400, "expired_token")


@pytest.mark.parametrize("client_id", ["another", "STEWARD-CLI", "x"])
def test_another_program_cannot_use_the_code(begun, alice_pages, client_id):
    answer_as(alice_pages, begun, "approve")
    assert said(poll(begun, client_id)) == (400, "invalid_grant")
    assert poll(begun).status_code == 200


@pytest.mark.parametrize("code", ["x", "é" * 50, "\0", "a" * 200])
def test_codes_that_nobody_gave_out_are_refused(db, code):
    assert poll({"device_code": code}).status_code == 400


def test_who_signs_out_everywhere_takes_the_approval_back(begun, alice_pages, alice):
    answer_as(alice_pages, begun, "approve")
    sign_out_everywhere(user=alice, actor=alice, reason="lost laptop")
    assert said(poll(begun)) == (400, "access_denied")


def test_a_disabled_account_signs_no_program_in(begun, alice_pages, alice):
    answer_as(alice_pages, begun, "approve")
    alice.is_active = False
    alice.save()
    assert said(poll(begun)) == (400, "access_denied")
    assert TokenFamily.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_of_ten_concurrent_calls_one_gets_tokens(begun, alice_pages):
    answer_as(alice_pages, begun, "approve")
    gate, answers = threading.Barrier(10), []

    def call():
        gate.wait()
        try:
            answers.append(said(poll(begun)))
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=str) == [(200, None)] + [(400, "invalid_grant")] * 9
    assert TokenFamily.objects.count() == 1


# --- The page -----------------------------------------------------------------------------------------------------
def test_the_page_asks_strangers_to_sign_in_and_keeps_the_code(begun, client):
    answer = client.get(f"/device?user_code={begun['user_code']}")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in?next=/device")
    assert begun["user_code"] in answer["Location"]


def test_a_complete_address_fills_the_code_in_and_approves_nothing(begun, alice_pages):
    page = alice_pages.get(f"/device?user_code={begun['user_code']}&decision=approve")
    assert f'value="{begun["user_code"]}"' in page.content.decode()
    assert "steward-cli" not in page.content.decode()
    assert said(poll(begun)) == (400, "authorization_pending")


def test_the_code_alone_shows_what_it_is_for_and_approves_nothing(begun, alice_pages, alice):
    DeviceAuthorisation.objects.update(address="192.0.2.7")
    page = alice_pages.post("/device", {"user_code": begun["user_code"]}).content.decode()
    for shown in ("steward-cli", "192.0.2.7", begun["user_code"], alice.email, 'value="approve"', 'value="deny"'):
        assert shown in page
    assert said(poll(begun)) == (400, "authorization_pending")


@pytest.mark.parametrize("typed", ["{code}", "{lower}", "{bare}", " {spaced} ", "{lower}."])
def test_a_code_may_be_typed_in_any_way(begun, alice_pages, typed):
    code = begun["user_code"]
    entered = typed.format(code=code, lower=code.lower(), bare=code.replace("-", ""), spaced=code.replace("-", " "))
    assert alice_pages.post("/device", {"user_code": entered}).status_code == 200


@pytest.mark.parametrize("code", ["BCDF-GHJK", "BCDF", "x", "12345678", "<script>", "BCDFGHJKLMNP", "\0"])
def test_wrong_codes_are_all_told_the_same(begun, alice_pages, code):
    answer = alice_pages.post("/device", {"user_code": code, "decision": "approve"})
    page = answer.content.decode()
    assert answer.status_code == 400
    if "\0" not in code:
        assert devices.UNKNOWN in page
    assert "<script>alert" not in page and '<script>"' not in page


def test_an_expired_an_answered_and_an_unknown_code_look_alike(begun, alice_pages, clock):
    answer_as(alice_pages, begun, "deny")
    answered = alice_pages.post("/device", {"user_code": begun["user_code"]})
    late = post("/api/v1/auth/device", client_id="late").json()
    clock.forward(601)
    expired = alice_pages.post("/device", {"user_code": late["user_code"]})
    assert answered.status_code == expired.status_code == 400
    assert devices.UNKNOWN in answered.content.decode()
    assert devices.UNKNOWN in expired.content.decode()


def test_guesses_are_limited_for_each_user(begun, alice_pages, bob_pages):
    for _ in range(10):
        assert alice_pages.post("/device", {"user_code": "BCDF-GHJK"}).status_code == 400
    assert alice_pages.post("/device", {"user_code": begun["user_code"]}).status_code == 429
    assert bob_pages.post("/device", {"user_code": begun["user_code"]}).status_code == 200


def test_approving_needs_the_form_of_the_page(begun, alice):
    pages = Client(enforce_csrf_checks=True)
    pages.force_login(alice)
    assert answer_as(pages, begun, "approve").status_code == 403
    assert said(poll(begun)) == (400, "authorization_pending")


def test_the_first_answer_counts(begun, alice_pages, bob_pages):
    assert answer_as(alice_pages, begun, "deny").status_code == 302
    assert answer_as(bob_pages, begun, "approve").status_code == 400
    assert said(poll(begun)) == (400, "access_denied")


def test_a_hostile_name_is_shown_as_text(alice_pages, db):
    hostile = post("/api/v1/auth/device", client_id='<img src=x onerror="alert(1)">').json()
    page = alice_pages.post("/device", {"user_code": hostile["user_code"]}).content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


# --- Housekeeping -------------------------------------------------------------------------------------------------
def test_old_authorisations_are_forgotten(db, alice):
    def make(days, status):
        begun = devices.device_begin(client="cli")
        made = DeviceAuthorisation.objects.get(user_code=begun.user_code)
        made.status, made.expires_at = status, timezone.now() - timedelta(days=days)
        made.save()
        return made.pk

    kept = {make(0, "pending"), make(29, "used"), make(29, "denied")}
    gone = {make(2, "pending"), make(31, "used"), make(31, "denied")}
    devices.devices_forget()
    assert set(DeviceAuthorisation.objects.values_list("pk", flat=True)) == kept
    assert not gone & kept


def test_a_taken_code_is_not_given_out_again(db, monkeypatch):
    letters = iter("BBBBBBBB" + "BBBBBBBB" + "CCCCCCCC")
    monkeypatch.setattr(devices.secrets, "choice", lambda _: next(letters))
    assert devices.device_begin(client="one").user_code == "BBBB-BBBB"
    assert devices.device_begin(client="two").user_code == "CCCC-CCCC"
