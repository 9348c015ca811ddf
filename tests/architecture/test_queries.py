"""Lists take few queries, and as many for thirty rows as for three."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.tenancy import all_organisations
from tests.architecture.conftest import make_world, signed_in, with_token

API_LISTS = ["runs", "generations", "conversations", "apps", "deployments", "appliances", "organizations"]
PAGE_LISTS = ["runs", "studio", "conversations", "apps", "appliances"]
OWN_QUERIES = 5
FIXED = re.compile(r'FROM "(django_session|accounts_user|accounts_membership|accounts_organisation)"')
"""Who asks, and where they belong: the same for every request."""


def own_queries(client, path: str) -> list[str]:
    """The statements of a request for its own data."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(path).status_code == 200
    statements = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("SELECT")]
    return [statement for statement in statements if not FIXED.search(statement)]


@pytest.mark.parametrize(
    ("client_of", "path"),
    [*((with_token, f"/api/v1/{name}") for name in API_LISTS), *((signed_in, f"/{name}") for name in PAGE_LISTS)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_list_takes_few_queries_whatever_its_length(client_of, path, acme, alice, record_property):
    client = client_of(alice)

    def fill(count: int) -> list[str]:
        with all_organisations():
            for _ in range(count):
                make_world(acme, alice)
        return own_queries(client, path)

    few, many = fill(3), fill(27)
    record_property("own queries", len(many))
    assert len(many) == len(few), "\n".join(many)
    assert len(many) <= OWN_QUERIES, "\n".join(many)
