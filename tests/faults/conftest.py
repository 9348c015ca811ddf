"""Serving processes for the tests of this folder, and a scripted model that outlives them."""

from __future__ import annotations

import pytest

from aigen.tests.upstream import serve
from tests.serving import Steward


@pytest.fixture
def upstream():
    with serve() as running:
        yield running


@pytest.fixture
def steward(tmp_path, upstream):
    """A started Steward with the scripted model, signed in as its administrator."""
    serving = Steward(tmp_path / "var", OPENAI_BASE_URL=upstream.url + "/v1", OPENAI_MODEL="tiny")
    try:
        serving.start().sign_in()
        yield serving
    finally:
        serving.close()
