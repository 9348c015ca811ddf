"""Writing an answer: a run that asks the model, and the message that follows the run's state."""

from __future__ import annotations

from typing import Any

from aigen.calls import Completion, stream_answer
from aigen.registry import model_get
from conversations.builtin_answer import say_what_it_is
from conversations.history import logged_answer, prompt_for
from conversations.models import Message
from conversations.services import ANSWER
from platform_site.lib.errors import NotFound
from runs.context import RunContext, RunFailed
from runs.kinds import run_kind
from runs.models import Run, RunState


def message_follows(run: Run) -> None:
    """Keeps the answer's message in step with its run, in the same transaction.

    The text comes from the log, whatever the end was: finished, stopped, failed, or its worker killed.
    """
    text = logged_answer(run.pk, last_seq=run.last_seq) if run.is_terminal else ""
    Message.objects.filter(pk=run.payload["message_id"]).update(
        status=run.state,
        content=text,
        finish_reason=str(run.result.get("finish_reason", "")) if run.state == RunState.SUCCEEDED else "",
    )


@run_kind(ANSWER, label="Answer", idempotent=False, on_change=message_follows)
def write_answer(context: RunContext) -> dict[str, Any]:
    """Streams the model's answer into the run's log. Not idempotent: a second attempt would cost a second time."""
    answer = Message.objects.select_related("conversation").filter(pk=context.run.payload["message_id"]).first()
    if answer is None:
        raise NotFound("The conversation was deleted.")
    choice = model_get(answer.model)
    if not choice.is_model:
        say_what_it_is(context)
        return {"finish_reason": "stop", "model": choice.name}
    completion = stream_answer(context, choice, prompt_for(answer, choice))
    if completion.finish_reason == "cut":
        raise RunFailed(completion.error or "The connection to the model ended in the middle of the answer.")
    return {"model": choice.name, **_figures(completion)}


def _figures(completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    return {
        "finish_reason": completion.finish_reason,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "tokens_estimated": usage.estimated,
        "seconds": round(completion.seconds, 3),
        "cost": None if completion.cost is None else str(completion.cost),
    }
