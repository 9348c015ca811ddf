"""Debian's Chromium, driven by Playwright, signed in as alice."""

from __future__ import annotations

import os
import shutil

import pytest

from conftest import PASSWORD


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        reason = "chromium is not installed (Debian package `chromium`)"
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Playwright keeps an event loop in this thread, which Django would take for an asynchronous caller.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)


class Visit:
    """A page and everything that went wrong on it."""

    def __init__(self, page, base) -> None:
        self.page = page
        self.base = base
        self.problems: list[str] = []
        self.asked: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", self._on_dialog)
        page.on("request", lambda request: self.asked.append(request.url))

    def _on_console(self, message) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def _on_dialog(self, dialog) -> None:
        self.problems.append(f"dialog {dialog.message}")
        dialog.dismiss()

    @property
    def foreign(self) -> list[str]:
        """Requests that left this site."""
        return [url for url in self.asked if not url.startswith((self.base, "data:", "blob:"))]


@pytest.fixture(params=[(1280, 860), (390, 844)], ids=["desktop", "phone"])
def visit(request, chromium, live_asgi, worker, alice):
    width, height = request.param
    context = chromium.new_context(viewport={"width": width, "height": height}, base_url=live_asgi)
    context.set_default_timeout(20_000)
    visited = Visit(context.new_page(), live_asgi)
    visited.page.goto("/sign-in")
    visited.page.fill("input[name=email]", alice.email)
    visited.page.fill("input[name=password]", PASSWORD)
    visited.page.click("main button[type=submit]")
    visited.page.wait_for_url(live_asgi + "/")
    yield visited
    context.close()
