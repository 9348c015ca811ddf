"""A scripted upstream and the endpoints that lead to it."""

from __future__ import annotations

import pytest

from aigen.tests.upstream import serve


@pytest.fixture
def upstream():
    with serve() as running:
        yield running


@pytest.fixture
def scripted_model(db, upstream):
    """A model behind the scripted upstream, priced at 1 and 2 dollars a million tokens."""
    from aigen.models import ProviderEndpoint

    ProviderEndpoint.objects.create(
        name="scripted",
        kind="openai",
        base_url=upstream.url + "/v1",
        api_key="sk-scripted-0123456789abcdef",
        default_model="tiny",
        price_input=1,
        price_output=2,
    )
    return "scripted/tiny"
