"""The studio's pages."""

from __future__ import annotations

import pytest

from accounts.tenancy import organisation_scope
from aigen.models import Generation

FORM = {
    "prompt": "A list of books with title and author",
    "language": "python",
    "model": "builtin",
    "include_tests": "on",
}


def only_generation(organisation):
    with organisation_scope(organisation.pk):
        return Generation.objects.get()


def test_the_studio_says_that_the_templates_are_not_a_model(alice_pages):
    page = alice_pages.get("/studio").content.decode()
    assert "not a model" in page
    assert 'name="prompt"' in page


def test_a_form_makes_a_generation_and_leads_to_its_page(alice_pages, acme):
    answer = alice_pages.post("/studio", FORM)
    generation = only_generation(acme)
    assert answer.headers["Location"] == f"/studio/{generation.pk}"
    assert (generation.status, generation.include_tests, generation.include_docs) == ("queued", True, False)
    page = alice_pages.get(f"/studio/{generation.pk}").content.decode()
    assert str(generation.run_id) in page
    assert alice_pages.get(f"/studio/{generation.pk}/panel").status_code == 200


@pytest.mark.parametrize(
    "change", [{"prompt": ""}, {"prompt": "short"}, {"language": "cobol"}, {"model": "gpt-17"}, {"prompt": "x" * 2001}]
)
def test_a_bad_form_is_shown_again_with_what_is_wrong(alice_pages, acme, change):
    answer = alice_pages.post("/studio", FORM | change)
    assert answer.status_code == 400
    with organisation_scope(acme.pk):
        assert not Generation.objects.filter().exists()


def test_cancel_and_retry_from_the_page(alice_pages, acme):
    alice_pages.post("/studio", FORM)
    generation = only_generation(acme)
    alice_pages.post(f"/studio/{generation.pk}/cancel")
    assert only_generation(acme).status == "cancelled"
    alice_pages.post(f"/studio/{generation.pk}/retry")
    assert only_generation(acme).status == "queued"


def test_outsiders_and_strangers_find_nothing(alice_pages, bob_pages, client, acme):
    alice_pages.post("/studio", FORM)
    generation = only_generation(acme)
    for path in ("", "/panel"):
        assert bob_pages.get(f"/studio/{generation.pk}{path}").status_code == 404
        assert client.get(f"/studio/{generation.pk}{path}").status_code == 302
    assert bob_pages.post(f"/studio/{generation.pk}/cancel").status_code == 404


def test_a_description_is_text_and_never_markup(alice_pages, acme):
    hostile = "<img src=x onerror=alert(1)> {{ 7*7 }} </script><script>alert(2)</script>"
    alice_pages.post("/studio", FORM | {"prompt": hostile})
    generation = only_generation(acme)
    for path in (f"/studio/{generation.pk}", "/studio", "/", "/runs"):
        page = alice_pages.get(path).content.decode()
        assert "<img src=x" not in page
        assert "<script>alert" not in page
