"""The second factor: set up with a first code, asked for when signing in, replaced once by each recovery code."""

from __future__ import annotations

import re
import threading
from urllib.parse import unquote

import pyotp
import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Authenticator, RecoveryCode, Session
from accounts.services import second_factor
from accounts.services.mail import mail_deliver
from accounts.services.second_factor import second_factor_demand
from accounts.services.users import user_disable
from conftest import PASSWORD
from platform_site.lib import origin
from platform_site.lib.errors import Conflict, InvalidRequest, NotAuthenticated, RateLimited

WRONG = "000000"


def actions():
    return list(AuditEntry.objects.order_by("at").values_list("action", flat=True))


def told():
    mail_deliver()
    return [(message.to[0], message.subject) for message in mail.outbox]


@pytest.fixture
def elsewhere():
    """What happens next comes from another network."""

    def move(address):
        origin.current.set(origin.Origin(address, ""))

    before = origin.current.get()
    yield move
    origin.current.set(before)


# --- Setting up ---------------------------------------------------------------------------------------------------
def test_an_authenticator_counts_once_its_first_code_was_entered(alice, clock):
    draft = second_factor.authenticator_begin(user=alice)
    assert not second_factor.is_enabled(alice)
    assert second_factor_demand(user=alice, code="") is False
    with pytest.raises(InvalidRequest):
        second_factor.authenticator_confirm(user=alice, code="12345")
    codes = second_factor.authenticator_confirm(user=alice, code=pyotp.TOTP(draft.secret).now())
    assert second_factor.is_enabled(alice)
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[0-9a-hjkmnp-tv-z]{5}-[0-9a-hjkmnp-tv-z]{5}", code) for code in codes)
    assert actions() == ["second_factor.refuse", "second_factor.enable"]
    assert told() == [(alice.email, "Your second factor is on")]


def test_the_secret_is_encrypted_and_codes_are_hashes(alice, phone):
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM accounts_authenticator")
        assert phone.secret not in cursor.fetchone()[0]
        cursor.execute("SELECT digest FROM accounts_recoverycode")
        stored = str(cursor.fetchall())
    assert not any(code in stored or code.replace("-", "") in stored for code in phone.recovery_codes)
    assert phone.secret not in str(list(AuditEntry.objects.values()))


def test_the_first_code_cannot_be_used_again_to_sign_in(alice, phone):
    with pytest.raises(NotAuthenticated):
        second_factor_demand(user=alice, code=phone.code())
    assert second_factor_demand(user=alice, code=phone.next_code()) is True


def test_a_second_authenticator_needs_the_first_one_removed(alice, phone):
    for begin in (second_factor.authenticator_begin, second_factor.authenticator_draft):
        with pytest.raises(Conflict):
            begin(user=alice)
    with pytest.raises(Conflict):
        second_factor.authenticator_confirm(user=alice, code=phone.next_code())
    assert Authenticator.objects.get(user=alice).secret == phone.secret


def test_a_draft_keeps_its_secret_for_a_while_and_no_longer(alice, clock):
    first = second_factor.authenticator_draft(user=alice).secret
    assert second_factor.authenticator_draft(user=alice).secret == first
    assert second_factor.authenticator_begin(user=alice).secret != first
    first = second_factor.authenticator_draft(user=alice).secret
    clock.forward(16 * 60)
    assert second_factor.authenticator_draft(user=alice).secret != first


# --- Codes --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_codes_of_the_neighbouring_steps_are_right(alice, phone, clock, steps):
    clock.forward(90)
    assert second_factor_demand(user=alice, code=phone.code(steps)) is True


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_codes_further_away_are_wrong(alice, phone, clock, steps):
    clock.forward(150)
    with pytest.raises(NotAuthenticated) as refused:
        second_factor_demand(user=alice, code=phone.code(steps))
    assert list(refused.value.errors) == ["otp"]


def test_a_code_works_once_and_none_from_before_it(alice, phone, clock):
    clock.forward(90)
    earlier, code = phone.code(-1), phone.code()
    assert second_factor_demand(user=alice, code=code) is True
    for used in (code, earlier):
        with pytest.raises(NotAuthenticated):
            second_factor_demand(user=alice, code=used)


@pytest.mark.parametrize("code", ["", " ", "12345", "1234567", "१२३४५६", "abcdef", "0x1234", "-1234", "\0", "9" * 5000])
def test_what_is_no_code_is_refused(alice, phone, code):
    with pytest.raises(NotAuthenticated):
        second_factor_demand(user=alice, code=code)


def test_spaces_in_a_code_are_how_authenticators_show_it(alice, phone):
    code = phone.next_code()
    assert second_factor_demand(user=alice, code=f" {code[:3]} {code[3:]} ") is True


def in_threads(count, work):
    """The results of `work` in as many threads at once; refusals are results too."""
    ready, results = threading.Barrier(count), []

    def run():
        ready.wait()
        try:
            results.append(work())
        except (NotAuthenticated, RateLimited, Conflict, InvalidRequest) as exc:
            results.append(type(exc).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["code", "recovery code"])
def test_of_many_concurrent_uses_of_a_code_one_wins(alice, phone, kind):
    code = phone.next_code() if kind == "code" else phone.recovery_codes[0]
    results = in_threads(5, lambda: second_factor_demand(user=alice, code=code))
    assert sorted(map(str, results)) == ["NotAuthenticated"] * 4 + ["True"]


@pytest.mark.django_db(transaction=True)
def test_many_wrong_codes_at_once_are_all_counted(alice, phone):
    results = in_threads(12, lambda: second_factor_demand(user=alice, code=WRONG))
    assert results.count("NotAuthenticated") == 5
    assert results.count("RateLimited") == 7


@pytest.mark.django_db(transaction=True)
def test_of_two_confirmations_one_makes_the_recovery_codes(alice, clock):
    code = pyotp.TOTP(second_factor.authenticator_begin(user=alice).secret).now()
    results = in_threads(2, lambda: len(second_factor.authenticator_confirm(user=alice, code=code)))
    assert sorted(map(str, results)) == ["10", "Conflict"]
    assert RecoveryCode.objects.count() == 10


# --- Guessing -----------------------------------------------------------------------------------------------------
def guess(user):
    with pytest.raises(NotAuthenticated):
        second_factor_demand(user=user, code=WRONG)


def test_guessing_locks_a_network_out_and_nobody_else(alice, bob, phone, elsewhere):
    elsewhere("203.0.113.9")
    for _ in range(5):
        guess(alice)
    with pytest.raises(RateLimited) as limited:
        second_factor_demand(user=alice, code=phone.next_code())
    assert 1 <= limited.value.retry_after <= 300
    elsewhere("198.51.100.7")
    assert second_factor_demand(user=alice, code=phone.next_code()) is True


def test_addresses_of_one_ipv6_site_count_together(alice, phone, elsewhere):
    for host in range(1, 6):
        elsewhere(f"2001:db8:1:2::{host}")
        guess(alice)
    elsewhere("2001:db8:1:2:ffff::1")
    with pytest.raises(RateLimited):
        second_factor_demand(user=alice, code=WRONG)
    elsewhere("2001:db8:1:3::1")
    assert second_factor_demand(user=alice, code=phone.next_code()) is True


def test_guessing_from_everywhere_slows_guesses_and_tells_the_user(alice, phone, elsewhere, clock):
    for network in range(20):
        elsewhere(f"203.0.113.{network}")
        for _ in range(5):
            guess(alice)
    elsewhere("192.0.2.1")
    guess(alice)
    with pytest.raises(RateLimited):
        second_factor_demand(user=alice, code=WRONG)
    elsewhere("192.0.2.2")
    assert second_factor_demand(user=alice, code=phone.next_code()) is True, "the user gets in from elsewhere"
    assert told()[-1] == (alice.email, "Many wrong codes were entered for your account")


# --- Recovery codes -----------------------------------------------------------------------------------------------
def test_a_recovery_code_works_once_and_the_user_is_told(alice, phone):
    code = phone.recovery_codes[3]
    assert second_factor_demand(user=alice, code=code) is True
    assert second_factor.recovery_codes_left(alice) == 9
    with pytest.raises(NotAuthenticated):
        second_factor_demand(user=alice, code=code)
    assert (alice.email, "A recovery code was used") in told()
    assert "9 of your recovery codes are left" in mail.outbox[-1].body
    assert "/account/security" in mail.outbox[-1].body
    assert "recovery_code.use" in actions()
    assert code not in str(list(AuditEntry.objects.values()))


def test_a_recovery_code_is_read_as_it_was_meant(alice, phone):
    code = phone.recovery_codes[0].upper().replace("-", " ").replace("0", "O").replace("1", "l")
    assert second_factor_demand(user=alice, code=f" {code} ") is True


def test_a_recovery_code_is_its_users_alone(alice, bob, phone, clock):
    draft = second_factor.authenticator_begin(user=bob)
    second_factor.authenticator_confirm(user=bob, code=pyotp.TOTP(draft.secret).now())
    with pytest.raises(NotAuthenticated):
        second_factor_demand(user=bob, code=phone.recovery_codes[0])
    assert second_factor.recovery_codes_left(alice) == 10


def test_new_recovery_codes_take_a_fresh_code_and_end_the_old_ones(alice, phone):
    with pytest.raises(InvalidRequest):
        second_factor.recovery_codes_replace(user=alice, code=phone.code())
    fresh = second_factor.recovery_codes_replace(user=alice, code=phone.next_code())
    assert not set(fresh) & set(phone.recovery_codes)
    with pytest.raises(NotAuthenticated):
        second_factor_demand(user=alice, code=phone.recovery_codes[0])
    assert second_factor_demand(user=alice, code=fresh[0]) is True
    assert "recovery_codes.replace" in actions()


# --- Removing -----------------------------------------------------------------------------------------------------
def test_removing_takes_a_fresh_code_and_is_told_by_mail(alice, phone):
    for code in (phone.code(), WRONG):
        with pytest.raises(InvalidRequest):
            second_factor.authenticator_remove(user=alice, code=code)
    second_factor.authenticator_remove(user=alice, code=phone.next_code())
    assert not second_factor.is_enabled(alice)
    assert RecoveryCode.objects.count() == 0
    assert actions()[-1] == "second_factor.remove"
    assert told()[-1] == (alice.email, "Your second factor is off")
    with pytest.raises(Conflict):
        second_factor.authenticator_remove(user=alice, code=phone.next_code())


def test_an_administrator_removes_what_somebody_lost(alice, administrator, phone):
    second_factor.authenticator_forget(user=alice, actor=administrator)
    assert not second_factor.is_enabled(alice)
    entry = AuditEntry.objects.get(action="second_factor.remove")
    assert (entry.actor_email, entry.target_id) == (administrator.email, str(alice.pk))
    assert told()[-1] == (alice.email, "Your second factor is off")


# --- Signing in over pages ----------------------------------------------------------------------------------------
def enter_password(client, user, destination="/runs"):
    return client.post("/sign-in", {"email": user.email, "password": PASSWORD, "next": destination})


def test_without_an_authenticator_the_password_is_enough(client, alice):
    assert enter_password(client, alice).headers["Location"] == "/runs"
    row = Session.objects.get(user=alice)
    assert (row.method, row.second_factor) == ("password", False)


def test_with_one_a_code_is_asked_for_and_the_destination_kept(client, alice, phone):
    assert enter_password(client, alice).headers["Location"] == "/sign-in/second-factor"
    page = client.get("/sign-in/second-factor")
    assert page.status_code == 200
    assert page.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    wrong = client.post("/sign-in/second-factor", {"code": WRONG})
    assert wrong.status_code == 400
    assert second_factor.WRONG in wrong.content.decode()
    assert client.get("/runs").status_code == 302
    right = client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert (right.status_code, right.headers["Location"]) == (302, "/runs")
    assert client.get("/runs").status_code == 200
    row = Session.objects.get(user=alice)
    assert (row.method, row.second_factor) == ("password", True)


def test_a_recovery_code_signs_in_too(client, alice, phone):
    enter_password(client, alice)
    assert client.post("/sign-in/second-factor", {"code": phone.recovery_codes[0]}).status_code == 302
    assert client.get("/runs").status_code == 200


def test_the_session_key_changes_when_the_code_was_right(client, alice, phone):
    enter_password(client, alice)
    before = client.session.session_key
    client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert client.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


@pytest.mark.parametrize("path", ["/", "/runs", "/studio", "/account/tokens", "/account/authenticator", "/admin/",
                                  "/api/v1/users/me", "/api/v1/runs", "/api/v1/tokens",
                                  "/api/v1/users/me/second-factor"])  # fmt: skip
def test_a_pending_sign_in_opens_nothing(client, alice, phone, path):
    enter_password(client, alice)
    pending, stranger = client.get(path), Client().get(path)
    assert (pending.status_code, pending.headers.get("Location")) == (
        stranger.status_code,
        stranger.headers.get("Location"),
    )
    assert pending.status_code in (302, 401)


@pytest.mark.django_db(transaction=True)
async def test_a_pending_sign_in_opens_no_socket(alice, phone):
    from asgiref.sync import sync_to_async
    from channels.testing import WebsocketCommunicator

    from platform_site.asgi import application

    client = Client()
    await sync_to_async(enter_password)(client, alice)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookie.encode())]
    path = "/ws/runs/01890000-0000-7000-8000-000000000000"
    socket = WebsocketCommunicator(application, path, headers=headers)
    await socket.connect(timeout=5)
    while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
        pass
    assert message["code"] == 4401


def test_a_pending_sign_in_ends_after_ten_minutes(client, alice, phone, clock):
    enter_password(client, alice)
    clock.forward(601)
    answer = client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert answer.headers["Location"] == "/sign-in"
    assert client.get("/runs").status_code == 302


def test_a_new_password_voids_a_pending_sign_in(client, alice, phone):
    enter_password(client, alice)
    alice.set_password("another correct horse battery")
    alice.save()
    client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert client.get("/runs").status_code == 302
    assert client.get("/sign-in/second-factor").headers["Location"] == "/sign-in"


def test_disabling_an_account_voids_a_pending_sign_in(client, alice, administrator, phone):
    enter_password(client, alice)
    user_disable(user=alice, actor=administrator)
    client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert client.get("/runs").status_code == 302


def test_the_page_for_codes_has_nothing_for_strangers(client, db, alice_pages):
    for method in (client.get, client.post):
        assert method("/sign-in/second-factor").headers["Location"] == "/sign-in"
    assert alice_pages.get("/sign-in/second-factor").headers["Location"] == "/account/security"


def test_too_many_codes_are_a_page_with_a_time(client, alice, phone):
    enter_password(client, alice)
    for _ in range(5):
        assert client.post("/sign-in/second-factor", {"code": WRONG}).status_code == 400
    limited = client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert limited.status_code == 429
    assert int(limited.headers["Retry-After"]) > 0
    assert "Too many wrong codes" in limited.content.decode()


def test_signing_in_as_somebody_else_does_not_inherit_the_second_factor(client, alice, bob, phone):
    enter_password(client, alice)
    client.post("/sign-in/second-factor", {"code": phone.next_code()})
    enter_password(client, bob)
    assert Session.objects.get(user=bob).second_factor is False


# --- Pages of the authenticator -----------------------------------------------------------------------------------
def test_the_page_sets_an_authenticator_up_and_shows_the_codes_once(client, alice):
    enter_password(client, alice)
    page = client.get("/account/authenticator").content.decode()
    secret = Authenticator.objects.get(user=alice).secret
    assert f'data-copy="{secret}"' in page
    assert "<svg" in page
    assert "style=" not in page, "inline styles are forbidden"
    wrong = client.post("/account/authenticator", {"code": WRONG})
    assert wrong.status_code == 400
    assert f'data-copy="{secret}"' in wrong.content.decode(), "the same secret, as it is on the phone by now"
    done = client.post("/account/authenticator", {"code": pyotp.TOTP(secret).now()})
    codes = re.findall(r"<li><code>([0-9a-z]{5}-[0-9a-z]{5})</code></li>", done.content.decode())
    assert len(codes) == 10
    assert "no-store" in done.headers["Cache-Control"]
    download = re.search(r'href="data:text/plain;charset=utf-8,([^"]*)"', done.content.decode())
    assert unquote(download[1]).split() == codes
    assert Session.objects.get(user=alice).second_factor is True, "this session showed a code"
    assert client.get("/account/authenticator").headers["Location"] == "/account/security"


def test_enabling_ends_nothing(alice_pages, alice_api, client, alice):
    enter_password(client, alice)
    client.get("/account/authenticator")
    secret = Authenticator.objects.get(user=alice).secret
    assert client.post("/account/authenticator", {"code": pyotp.TOTP(secret).now()}).status_code == 200
    assert alice_pages.get("/runs").status_code == 200
    assert alice_api.get("/api/v1/users/me").status_code == 200


def test_the_page_makes_new_recovery_codes_and_removes(alice_pages, alice, phone):
    refused = alice_pages.post("/account/recovery-codes", {"code": WRONG})
    assert refused.headers["Location"] == "/account/security"
    page = alice_pages.post("/account/recovery-codes", {"code": phone.next_code()})
    assert page.status_code == 200
    assert page.content.decode().count("<li><code>") == 10
    alice_pages.post("/account/authenticator/remove", {"code": WRONG})
    assert second_factor.is_enabled(alice)
    alice_pages.post("/account/authenticator/remove", {"code": phone.next_code()})
    assert not second_factor.is_enabled(alice)


def test_the_security_page_says_whether_it_is_on(alice_pages, alice, clock):
    assert "Set up an authenticator" in alice_pages.get("/account/security").content.decode()
    draft = second_factor.authenticator_begin(user=alice)
    second_factor.authenticator_confirm(user=alice, code=pyotp.TOTP(draft.secret).now())
    page = alice_pages.get("/account/security").content.decode()
    assert "10 recovery codes are left" in page
    assert draft.secret not in page


# --- The API ------------------------------------------------------------------------------------------------------
def test_the_api_sets_it_up_and_removes_it(alice_api, alice, clock):
    url = "/api/v1/users/me/second-factor"
    assert alice_api.get(url).json() == {"enabled": False, "enabled_at": None, "recovery_codes_left": 0}
    begun = alice_api.post(url)
    assert begun.status_code == 201
    assert begun.headers["Cache-Control"] == "no-store"
    totp = pyotp.parse_uri(begun.json()["otpauth_url"])
    assert (totp.secret, totp.issuer, totp.name) == (begun.json()["secret"], "Steward", alice.email)
    assert alice_api.get(url).json()["enabled"] is False
    wrong = alice_api.post(f"{url}/confirm", {"code": WRONG})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["code"])
    codes = alice_api.post(f"{url}/confirm", {"code": totp.now()}).json()["recovery_codes"]
    state = alice_api.get(url).json()
    assert (state["enabled"], state["recovery_codes_left"]) == (True, 10)
    assert alice_api.post(url).status_code == 409
    clock.forward(30)
    fresh = alice_api.post(f"{url}/recovery-codes", {"code": totp.at(int(timezone.now().timestamp()))})
    assert len(fresh.json()["recovery_codes"]) == 10
    assert alice_api.delete(url, {"code": codes[0]}).status_code == 400
    assert alice_api.delete(url, {"code": fresh.json()["recovery_codes"][0]}).status_code == 204
    assert alice_api.get(url).json()["enabled"] is False


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": None}, {"code": ["1"]}, {"code": {}}, {"code": "x" * 41}])
def test_the_api_refuses_what_is_no_code(alice_api, body):
    second_factor_url = "/api/v1/users/me/second-factor"
    alice_api.post(second_factor_url)
    answer = alice_api.post(f"{second_factor_url}/confirm", body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["code"]


def login(client, alice, **more):
    form = {"email": alice.email, "password": PASSWORD, **more}
    return client.post("/api/v1/auth/login", form, content_type="application/json")


def test_login_takes_a_code_with_the_password(client, alice, phone):
    missing = login(client, alice)
    assert (missing.status_code, list(missing.json()["errors"])) == (401, ["otp"])
    assert "access" not in missing.json()
    assert login(client, alice, otp=WRONG).status_code == 401
    right = login(client, alice, otp=phone.next_code())
    assert right.status_code == 200
    assert alice.token_families.get().second_factor is True


def test_login_tells_nothing_about_the_second_factor_without_the_password(client, alice, bob, phone):
    form = {"password": "not the password", "otp": phone.next_code()}
    answers = [
        client.post("/api/v1/auth/login", {**form, "email": email}, content_type="application/json").json()
        for email in (alice.email, bob.email, "nobody@acme.example")
    ]
    assert {(answer["status_code"], answer["detail"], str(answer.get("errors"))) for answer in answers} == {
        (401, answers[0]["detail"], "None")
    }
    assert Authenticator.objects.get(user=alice).last_step < int(timezone.now().timestamp()) // 30, "no code was used"


def test_the_command_line_helps_who_lost_everything(phone, alice, letters, capsys):
    call_command("forget_authenticator", alice.email.upper())
    assert not second_factor.is_enabled(alice)
    assert AuditEntry.objects.get(action="second_factor.remove").actor_id is None
    assert "Your second factor is off" in [letter.subject for letter in letters(alice.email)]
    with pytest.raises(CommandError, match="has no authenticator"):
        call_command("forget_authenticator", alice.email)
    with pytest.raises(CommandError, match="no account"):
        call_command("forget_authenticator", "nobody@home.example")
