"""Lists take few queries, and as many for thirty rows as for three."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.tenancy import all_organisations
from tests.architecture.conftest import make_invitation, make_member, make_world, signed_in, with_token

API_LISTS = ["runs", "generations", "conversations", "apps", "deployments", "appliances", "organizations", "audit"]
PAGE_LISTS = ["runs", "studio", "conversations", "apps", "appliances", "organisation/audit"]
ACCOUNT_LISTS = [
    (with_token, "/api/v1/organizations/{organisation_id}/members"),
    (with_token, "/api/v1/organizations/{organisation_id}/invitations"),
    (with_token, "/api/v1/users"),
    (signed_in, "/organisation/members"),
]
OWN_QUERIES = 5
ALL_QUERIES = 14
FIXED = re.compile(r'FROM "(django_session|accounts_user|accounts_membership|accounts_organisation)"')
"""Who asks, and where they belong: the same for every request."""


def all_queries(client, path: str) -> list[str]:
    """The statements of a request."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured.captured_queries if query["sql"].startswith("SELECT")]


def own_queries(client, path: str) -> list[str]:
    """The statements of a request for its own data."""
    return [statement for statement in all_queries(client, path) if not FIXED.search(statement)]


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


@pytest.mark.parametrize(("client_of", "path"), ACCOUNT_LISTS, ids=[path for _, path in ACCOUNT_LISTS])
def test_list_of_people_takes_few_queries_whatever_its_length(client_of, path, acme, alice, record_property):
    """Here who asks and what is listed are rows of the same tables, so every statement counts."""
    type(alice).objects.filter(pk=alice.pk).update(role="administrator")
    client, path = client_of(alice), path.format(organisation_id=acme.pk)

    def fill(count: int) -> list[str]:
        with all_organisations():
            for _ in range(count):
                make_member(acme)
                make_invitation(acme, alice)
        return all_queries(client, path)

    few, many = fill(3), fill(27)
    record_property("queries", len(many))
    assert len(many) == len(few), "\n".join(many)
    assert len(many) <= ALL_QUERIES, "\n".join(many)
