"""Generation from the request to the verdict, against a scripted model and the real sandbox."""

from __future__ import annotations

import time

import pytest

from accounts.tenancy import organisation_scope
from aigen import services
from aigen.models import Attempt, GeneratedFile, Generation
from aigen.tests.upstream import Reply
from runs.execution import execute
from runs.services import run_cancel, run_wait

END = "\n<!-- steward:end -->\n"
TEST = """
```python path=tests/test_adder.py
import unittest
from adder import add

class AddTest(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(add(2, 3), 5)
```
"""
GOOD = "Here it is.\n```python path=adder.py\ndef add(a, b):\n    return a + b\n```\n" + TEST + END
WRONG = GOOD.replace("a + b", "a - b")
BROKEN_SYNTAX = GOOD.replace("def add(a, b):", "def add(a, b:")
PROMPT = "A function that adds two numbers"


@pytest.fixture
def generate(alice, acme, scripted_model):
    """Creates a generation and executes its run in this thread."""

    def create(**options):
        with organisation_scope(acme.pk):
            generation = services.generation_create(
                actor=alice,
                organisation_id=acme.pk,
                prompt=options.pop("prompt", PROMPT),
                language=options.pop("language", "python"),
                model=options.pop("model", scripted_model),
                **options,
            )
        execute(generation.run_id)
        return reload(generation)

    return create


def reload(generation):
    with organisation_scope(generation.organisation_id):
        return Generation.objects.select_related("run", "best_attempt").get(pk=generation.pk)


def verdicts(generation):
    with organisation_scope(generation.organisation_id):
        return list(generation.attempts.order_by("number").values_list("verdict", flat=True))


@pytest.mark.django_db(transaction=True)
@pytest.mark.needs("sandbox")
def test_a_broken_answer_is_repaired_and_the_result_is_ready(generate, upstream):
    upstream.replies = [Reply(WRONG), Reply(GOOD)]
    generation = generate()
    assert generation.status == "ready", generation.reason
    assert verdicts(generation) == ["tests_failed", "passed"]
    assert generation.run.state == "succeeded"
    with organisation_scope(generation.organisation_id):
        first, second = generation.attempts.order_by("number")
        assert (first.purpose, second.purpose) == ("write", "repair")
        assert "AssertionError" in first.test_output
        assert first.test_exit_code == 1
        assert (second.input_tokens, second.output_tokens, second.tokens_estimated) == (100, 200, False)
        assert second.cost * 1_000_000 == 500
        kept = {file.path: file.content for file in GeneratedFile.objects.filter(attempt=generation.best_attempt)}
    assert "return a + b" in kept["adder.py"]
    sent_back = upstream.requests[1]["messages"]
    assert any("AssertionError" in message["content"] for message in sent_back), "the failure goes back to the model"
    assert any("a - b" in message["content"] for message in sent_back), "together with its answer"


@pytest.mark.django_db(transaction=True)
@pytest.mark.needs("sandbox")
def test_syntax_errors_are_repaired_before_anything_runs(generate, upstream):
    upstream.replies = [Reply(BROKEN_SYNTAX), Reply(GOOD)]
    generation = generate()
    assert verdicts(generation) == ["syntax_error", "passed"]
    with organisation_scope(generation.organisation_id):
        finding = generation.attempts.get(number=1).findings[0]
    assert (finding["path"], finding["line"]) == ("adder.py", 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cut_after", [20, 60, len(GOOD) - len(END) - 4, len(GOOD) - 3])
def test_an_answer_that_was_cut_is_never_ready(generate, upstream, settings, cut_after):
    settings.GENERATION_MAX_REPAIRS = 0
    upstream.replies = [Reply(GOOD, cut_after=cut_after)]
    generation = generate()
    assert generation.status == "failed"
    assert verdicts(generation) == ["incomplete"]


@pytest.mark.django_db(transaction=True)
def test_an_answer_at_the_length_limit_is_never_ready(generate, upstream, settings):
    settings.GENERATION_MAX_REPAIRS = 0
    upstream.replies = [Reply(GOOD, finish_reason="length")]
    assert generate().status == "failed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.needs("sandbox")
def test_repairs_stop_at_the_same_failure_and_the_best_version_is_kept(generate, upstream):
    upstream.replies = [Reply(BROKEN_SYNTAX), Reply(WRONG), Reply(WRONG), Reply(GOOD)]
    generation = generate()
    assert verdicts(generation) == ["syntax_error", "tests_failed", "tests_failed"]
    assert generation.status == "failed"
    assert generation.best_attempt.verdict == "tests_failed"
    assert "Not ready after 3 attempts" in generation.reason


@pytest.mark.django_db(transaction=True)
@pytest.mark.needs("sandbox")
def test_there_are_at_most_three_repairs(generate, upstream):
    upstream.replies = [Reply(WRONG.replace("a - b", f"a - b - {n}")) for n in range(9)]
    assert len(verdicts(generate())) == 4


@pytest.mark.django_db(transaction=True)
def test_tests_that_were_asked_for_must_be_there(generate, upstream, settings):
    settings.GENERATION_MAX_REPAIRS = 0
    upstream.replies = [Reply(GOOD.replace(TEST, ""))]
    generation = generate()
    assert generation.status == "failed"
    assert "contains none" in generation.reason


@pytest.mark.django_db(transaction=True)
def test_without_tests_the_result_is_checked_but_called_unverified(generate, upstream):
    upstream.replies = [Reply(GOOD.replace(TEST, ""))]
    generation = generate(include_tests=False)
    assert (generation.status, generation.run.state) == ("unverified", "succeeded")


@pytest.mark.django_db(transaction=True)
def test_without_a_sandbox_nothing_runs_and_nothing_is_ready(generate, upstream, monkeypatch):
    from platform_site.lib import sandbox
    from platform_site.lib.errors import SandboxUnavailable

    def refuse(*args, **kwargs):
        raise SandboxUnavailable("No sandbox here: install bubblewrap.")

    monkeypatch.setattr(sandbox, "run", refuse)
    upstream.replies = [Reply(GOOD)]
    generation = generate()
    assert generation.status == "unverified"
    assert "install bubblewrap" in generation.reason


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["../../etc/cron.d/x", "/etc/passwd", ".git/hooks/pre-commit", "sitecustomize.py"])
def test_hostile_file_names_are_refused(generate, upstream, settings, path):
    settings.GENERATION_MAX_REPAIRS = 0
    upstream.replies = [Reply(f"```python path={path}\nx = 1\n```\n" + GOOD)]
    generation = generate()
    assert generation.status == "failed"
    assert verdicts(generation) == ["invalid_files"]


@pytest.mark.django_db(transaction=True)
def test_a_refusing_provider_fails_the_generation_with_its_reason(generate, upstream):
    upstream.replies = [Reply("You exceeded your quota", status=401)]
    generation = generate()
    assert generation.status == "failed"
    assert "401" in generation.reason
    assert "quota" in generation.reason


@pytest.mark.django_db(transaction=True)
@pytest.mark.needs("sandbox")
def test_temporary_refusals_before_the_first_token_are_tried_again(generate, upstream):
    upstream.replies = [Reply(status=503), Reply(status=429, headers={"Retry-After": "1"}), Reply(GOOD)]
    generation = generate()
    assert generation.status == "ready"
    assert len(verdicts(generation)) == 1


@pytest.mark.django_db(transaction=True)
def test_cancelling_closes_the_connection_to_the_model(alice, acme, scripted_model, upstream, worker):
    upstream.replies = [Reply(GOOD * 50, piece=5, pause=0.02)]
    with organisation_scope(acme.pk):
        generation = services.generation_create(
            actor=alice, organisation_id=acme.pk, prompt=PROMPT, language="python", model=scripted_model
        )
        deadline = time.monotonic() + 10
        while not upstream.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        run_cancel(run=generation.run, actor=alice)
        began = time.monotonic()
        assert run_wait(generation.run_id, seconds=5)
        assert upstream.disconnected.wait(2)
        assert time.monotonic() - began < 2
        assert reload(generation).status == "cancelled"
        attempt = Attempt.objects.get(generation=generation)
        assert attempt.verdict == "interrupted"
        assert attempt.answer, "what had come is kept"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", ["python", pytest.param("javascript", marks=pytest.mark.needs("node")), "html"])
@pytest.mark.needs("sandbox")
def test_the_builtin_templates_make_an_application_that_is_ready(generate, language):
    generation = generate(
        model="builtin", language=language, prompt="a to-do list API with title, due date and done flag"
    )
    assert generation.status == "ready", (generation.reason, generation.best_attempt.test_output)


@pytest.mark.django_db(transaction=True)
def test_what_the_templates_cannot_write_is_said_once_and_honestly(generate):
    generation = generate(model="builtin", prompt="A function that predicts the stock market of tomorrow")
    assert generation.status == "failed"
    assert verdicts(generation) == ["incomplete"], "the templates are not asked twice"
    assert "It says:" in generation.reason
    assert "no language model wrote" in generation.reason
    assert "do not know the function" in generation.reason
