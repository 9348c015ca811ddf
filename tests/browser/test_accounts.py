"""An account as a person keeps it: a second factor, a token for a program, and a colleague who is invited."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest
from django.core import mail

from accounts.models import Membership
from accounts.services.mail import mail_deliver
from conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = [
    "/account", "/account/security", "/account/sessions", "/account/tokens", "/organisation", "/organisation/members",
    "/organisation/audit", "/organisations/new", "/device",
]  # fmt: skip


def new_code(secret: str) -> str:
    """A code of a time step that was not used yet."""
    time.sleep(30 - time.time() % 30 + 0.5)
    return pyotp.TOTP(secret).now()


def test_second_factor_from_the_first_code_to_the_next_sign_in(visit, alice):
    page = visit.page
    page.goto("/account/security")
    page.get_by_role("link", name="Set up an authenticator").click()
    page.get_by_role("img", name="QR code").wait_for()
    secret = page.locator("[data-copy]").first.get_attribute("data-copy")
    page.fill("input[name=code]", pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn on").click()
    page.get_by_text(re.compile("[0-9a-z]{5}-[0-9a-z]{5}")).first.wait_for()
    page.context.clear_cookies()
    page.goto("/sign-in")
    page.fill("input[name=email]", alice.email)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url("**/sign-in/second-factor")
    page.goto("/runs")
    page.wait_for_url(re.compile(r"/sign-in\?next="))
    page.goto("/sign-in/second-factor")
    page.fill("input[name=code]", new_code(secret))
    page.click("main form:has(input[name=code]) button[type=submit]")
    page.wait_for_url(visit.base + "/**")
    page.goto("/account/sessions")
    page.get_by_text("Second factor").first.wait_for()
    assert visit.problems == []


def test_token_is_shown_once_and_opens_the_api(visit):
    page = visit.page
    page.goto("/account/tokens")
    page.fill("input[name=name]", "Backup")
    page.locator("main form:has(input[name=name]) button[type=submit]").click()
    token = page.locator("[data-copy^='stw_']").first.get_attribute("data-copy")
    answer = httpx.get(f"{visit.base}/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["email"] == "alice@acme.example"
    page.goto("/account/tokens")
    page.get_by_text("Backup").first.wait_for()
    assert token not in page.content()
    assert visit.problems == []


def test_colleague_follows_the_link_of_an_invitation(visit, acme, chromium):
    page = visit.page
    page.goto("/organisation/members")
    page.fill("input[name=email]", "nina@acme.example")
    page.get_by_role("button", name="Send the invitation").click()
    page.get_by_text("nina@acme.example").first.wait_for()
    mail_deliver()
    link = re.search(r"https?://\S+/invitations/\S+", str(mail.outbox[-1].body))[0]
    colleague = chromium.new_context(base_url=visit.base).new_page()
    colleague.goto(urlsplit(link).path)
    colleague.get_by_role("link", name="Create an account").click()
    colleague.fill("input[name=name]", "Nina")
    colleague.fill("input[name=password]", "a passphrase of Nina's own")
    colleague.click("main button[type=submit]")
    colleague.wait_for_url(visit.base + "/")
    assert Membership.objects.get(user__email="nina@acme.example").organisation == acme
    assert visit.problems == []
    colleague.context.close()


def test_no_page_is_wider_than_the_screen_or_breaks_its_policy(visit):
    for path in PAGES:
        assert visit.page.goto(path).status == 200, path
        assert not visit.page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
    assert visit.problems == []
    assert visit.foreign == []
