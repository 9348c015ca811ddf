"""What a model is told of a conversation, and what the log of an answer's run holds of the answer."""

from __future__ import annotations

import json
import uuid

from django.conf import settings

from aigen.providers import base
from aigen.registry import ModelChoice
from conversations.models import Message
from runs.events import frames_after
from runs.models import RunState

HISTORY_CHARACTERS = 48_000
SYSTEM_PROMPT = (
    "You are the assistant of Steward, a platform that turns plain language into running software. "
    "Answer in the language you are asked in. Say so when you do not know something."
)


def prompt_for(answer: Message, choice: ModelChoice) -> base.Prompt:
    """The branch that leads to `answer` as a prompt: the newest turns that fit, the question always among them."""
    branch = Message.objects.filter(conversation_id=answer.conversation_id).thread(until=answer.parent)
    return base.Prompt(
        system=answer.conversation.system_prompt or SYSTEM_PROMPT,
        messages=newest_that_fit(branch),
        model=choice.model_id,
        max_tokens=settings.MAX_TOKENS,
        temperature=settings.TEMPERATURE,
    )


def newest_that_fit(branch: list[Message], *, characters: int = HISTORY_CHARACTERS) -> tuple[base.Message, ...]:
    """The end of a branch within `characters`, without turns that have no text; it begins with a question."""
    kept: list[base.Message] = []
    for message in reversed(branch):
        characters -= len(message.content)
        if kept and characters < 0:
            break
        if message.content:
            kept.append(base.Message(message.role, message.content))
    while len(kept) > 1 and kept[-1].role != "user":
        kept.pop()
    return tuple(reversed(kept))


def logged_answer(run_id: uuid.UUID, *, last_seq: int) -> str:
    """The text of the last attempt in a run's log, up to `last_seq`: exactly what its viewers saw."""
    pieces: list[str] = []
    after = 0
    while after < last_seq and (frames := frames_after(run_id, after, up_to=last_seq)):
        after = frames[-1].last_seq
        for event in (event for frame in frames for event in json.loads(frame.body)):
            if event["kind"] == "token" and event["stream"] == "answer":
                pieces.append(event["text"])
            elif event["stream"] == "run" and event["text"] == RunState.RUNNING:
                pieces.clear()
    return "".join(pieces)
