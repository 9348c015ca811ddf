"""Every operation of the API's own schema, called with what the schema allows and with what it does not."""

from __future__ import annotations

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from accounts.services.families import tokens_issue

ONE_FORMAT = {"error", "detail", "status_code", "timestamp", "path", "request_id"}
EXAMPLES = 15


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_input_makes_the_platform_fail(alice):
    headers = {"Authorization": "Bearer " + tokens_issue(user=alice)["access"], "Prefer": "respond-async"}
    api = schemathesis.openapi.from_wsgi("/api/schema?format=json", get_wsgi_application())
    operations = [result.ok() for result in api.get_all_operations()]
    assert len(operations) > 30
    seen = set()
    for operation in operations:
        call_with_examples(operation, headers, seen)
    assert {200, 400, 404, 405} & seen >= {200, 400, 404}, seen


def call_with_examples(operation, headers, seen):
    modes = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]

    @given(case=st.one_of(modes))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case):
        answer = case.call(headers=headers)
        seen.add(answer.status_code)
        assert answer.status_code < 500, (operation.label, case.as_curl_command(), answer.text)
        if answer.status_code >= 400:
            assert set(answer.json()) >= ONE_FORMAT, (operation.label, answer.text)

    call()
