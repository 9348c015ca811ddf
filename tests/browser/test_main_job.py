"""The main job as a person sees it, and hostile model answers shown as the text they are."""

from __future__ import annotations

import re

import pytest

from aigen.models import ProviderEndpoint
from aigen.tests.conftest import upstream  # noqa: F401
from aigen.tests.upstream import Reply

pytestmark = [pytest.mark.browser, pytest.mark.needs("sandbox"), pytest.mark.django_db(transaction=True)]

HOSTILE = """\
<img src=x onerror="window.pwned=1"> [x](javascript:window.pwned=1) <svg/onload="window.pwned=1">
<iframe srcdoc="<script>parent.pwned=1</script>"></iframe> ![leak](http://127.0.0.1:9/leak.png)

```html path=index.html
<!doctype html><title>x</title><script>window.pwned=1</script><img src=x onerror="window.pwned=1">
```

```markdown path=README.md
# <img src=x onerror="window.pwned=1"> [click](javascript:window.pwned=1)
![leak](http://127.0.0.1:9/leak.png)
```

```python path=tests/test_page.py
import unittest

class PageTest(unittest.TestCase):
    def test_page(self):
        print("<img src=x onerror='window.pwned=1'> \\x1b]8;;javascript:alert(1)\\x07link\\x1b]8;;\\x07")
        self.assertIn("<title>", open("index.html").read())
```
<!-- steward:end -->
"""


def write(visit, prompt, language):
    visit.page.goto("/studio")
    visit.page.fill("textarea[name=prompt]", prompt)
    visit.page.select_option("select[name=language]", language)
    visit.page.click("main form button[type=submit]:has-text('Generate')")
    visit.page.wait_for_url(re.compile(r"/studio/[0-9a-f-]{36}$"))


def test_from_a_description_to_a_live_application(visit):
    page = visit.page
    write(visit, "a to-do list API with title, due date and done flag", "python")
    page.get_by_text("server.py", exact=True).first.wait_for()
    page.get_by_text("tests passed").first.wait_for()
    page.click("form[action$='/deploy'] button[type=submit]")
    page.wait_for_url(re.compile(r"/apps/[0-9a-f-]{36}$"))
    link = page.locator("a[href^='http://127.']").first
    link.wait_for()
    assert link.get_attribute("rel").startswith("noopener")
    application = page.context.new_page()
    application.goto(link.get_attribute("href"))
    application.get_by_role("textbox", name="Title").first.fill("Buy milk")
    application.get_by_role("button", name="Add").click()
    application.get_by_text("Buy milk").wait_for()
    assert application.evaluate("document.cookie") == "", "an application gets none of Steward's cookies"
    page.get_by_text(re.compile(r"POST /api/todos")).first.wait_for()
    page.get_by_role("button", name="Stop").first.click()
    page.locator("dialog[open] button", has_text=re.compile("Stop")).first.click()
    page.get_by_text("Stopped").first.wait_for()
    assert visit.problems == []
    assert visit.foreign == []


def test_hostile_answers_are_shown_and_do_nothing(visit, upstream):  # noqa: F811
    ProviderEndpoint.objects.create(name="evil", kind="openai", base_url=upstream.url + "/v1", default_model="tiny")
    upstream.replies = [Reply(HOSTILE, piece=7, pause=0.002)]
    page = visit.page
    write(visit, "A page that greets its visitors", "html")
    page.get_by_text("README.md", exact=True).first.wait_for()
    page.get_by_text(re.compile("1 test passed")).first.wait_for()
    for name in ("README.md", "index.html"):
        page.get_by_text(name, exact=True).first.click()
    for summary in page.locator("main summary").all():
        if summary.is_visible():
            summary.click()
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main iframe").count() == 0
    assert page.locator("main a[href^='javascript:']").count() == 0
    assert visit.foreign == []
    assert visit.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_the_screen_and_none_complains(visit, scheme):
    page = visit.page
    page.emulate_media(color_scheme=scheme)
    for path in ("/", "/studio", "/apps", "/runs", "/conversations", "/appliances", "/nothing-here"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert page.locator("h1").count() == 1, path
    assert [problem for problem in visit.problems if "404" not in problem] == []


def test_an_answer_appears_while_it_is_written(visit, upstream):  # noqa: F811
    ProviderEndpoint.objects.create(name="slow", kind="openai", base_url=upstream.url + "/v1", default_model="tiny")
    upstream.replies = [Reply("<b>one</b> " + "word " * 60 + "last", piece=10, pause=0.05)]
    page = visit.page
    page.goto("/conversations")
    page.fill("textarea[name=message]", "Say something long")
    page.click("main form button[type=submit]")
    page.wait_for_url(re.compile(r"/conversations/[0-9a-f-]{36}$"))
    page.get_by_text("<b>one</b> word").wait_for()
    assert "last" not in page.inner_text(".thread"), "shown before it is complete"
    page.get_by_text(re.compile("word last$")).wait_for()
    assert visit.problems == []
