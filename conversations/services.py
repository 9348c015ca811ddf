"""What people can do with conversations. Pages, REST and admin call these."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any, cast

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.permissions import OPERATE, require, require_in
from aigen.registry import model_find
from conversations.models import Conversation, Message, Role
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound
from platform_site.lib.text import clean_text, shorten
from runs import queue
from runs.models import Run, RunState
from runs.services import run_cancel

ANSWER = "conversations.answer"
MAX_MESSAGE_CHARACTERS = 32_000
MAX_SYSTEM_PROMPT_CHARACTERS = 8_000
TITLE_CHARACTERS = 80


@dataclass(frozen=True)
class Exchange:
    """What posting a message made: the question, and the answer whose `run` is under way."""

    question: Message
    answer: Message

    @property
    def run(self) -> Run:
        return cast(Run, self.answer.run)


def conversation_find(conversation_id: uuid.UUID | str) -> Conversation:
    """The conversation with this id in the open scope.

    Raises:
        NotFound: it does not exist or belongs to another organisation; both look alike.
    """
    conversation = Conversation.objects.filter(pk=conversation_id).first()
    if not isinstance(conversation, Conversation):
        raise NotFound("There is no such conversation.")
    return conversation


@transaction.atomic
def conversation_create(
    *, organisation_id: uuid.UUID, actor: User, title: str = "", model: str | None = None, system_prompt: str = ""
) -> Conversation:
    """A new, empty conversation; without a title it gets one from its first message.

    Raises:
        InvalidRequest: the model is not configured or the system prompt is too long.
    """
    require_in(actor, OPERATE, organisation_id)
    conversation: Conversation = Conversation.objects.create(
        organisation_id=organisation_id,
        created_by=actor,
        title=shorten(_one_line(title), 200),
        model=model_find(model).name,
        system_prompt=_bounded(system_prompt, "system_prompt", MAX_SYSTEM_PROMPT_CHARACTERS),
    )
    audit.record(actor=actor, action="conversation.create", target=conversation)
    return conversation


@transaction.atomic
def message_post(*, conversation: Conversation, actor: User, text: str, idempotency_key: str | None = None) -> Exchange:
    """Adds a message to the end of the conversation and starts its answer, which is a run.

    The same `idempotency_key` answers with what the first call made.

    Raises:
        InvalidRequest: the text is empty or too long.
        Conflict: the answer before is still being written, or the key was used for another message.
    """
    require(actor, OPERATE, conversation)
    content = _bounded(text, "message", MAX_MESSAGE_CHARACTERS).strip()
    if not content:
        raise InvalidRequest("The message is empty.", errors={"message": ["Write something."]})
    # The lock makes two posts at once take turns: the second meets the first one's answer.
    Conversation.objects.select_for_update().get(pk=conversation.pk)
    key = _run_key(conversation, idempotency_key) if idempotency_key else None
    if key and (earlier := _exchange_of(key)):
        if earlier.question.content != content:
            raise Conflict("This Idempotency-Key was used for another message.")
        return earlier
    messages = Message.objects.filter(conversation=conversation)
    if messages.answers_in_progress().exists():
        raise Conflict("The last answer is still being written. Wait for it or stop it.", retryable=True)
    question = _message(conversation, messages.leaf(), Role.USER, content=content)
    answer = _message(
        conversation,
        question,
        Role.ASSISTANT,
        # Lists sort by id, and two ids of one millisecond have no order of their own.
        id=uuid.UUID(int=question.pk.int + 1),
        model=conversation.model,
        status=RunState.QUEUED,
    )
    conversation.title = conversation.title or shorten(_one_line(content), TITLE_CHARACTERS)
    conversation.save(update_fields=["title", "updated_at"])
    _start(answer, title=conversation.title, actor=actor, key=key)
    return Exchange(question, answer)


def conversation_stop(*, conversation: Conversation, actor: User) -> Run:
    """Stops the answer that is being written; what has come of it stays.

    Raises:
        Conflict: no answer is being written.
    """
    require(actor, OPERATE, conversation)
    answer = Message.objects.filter(conversation=conversation).answers_in_progress().select_related("run").first()
    if answer is None or answer.run is None:
        raise Conflict("No answer is being written.")
    return run_cancel(run=answer.run, actor=actor)


def _message(conversation: Conversation, parent: Message | None, role: Role, **fields: Any) -> Message:
    organisation_id = conversation.organisation_id
    message = Message(organisation_id=organisation_id, conversation=conversation, parent=parent, role=role, **fields)
    message.save(force_insert=True)
    return message


def _start(answer: Message, *, title: str, actor: User, key: str | None) -> None:
    answer.run = queue.enqueue(
        ANSWER,
        organisation_id=answer.organisation_id,
        created_by=actor,
        title=title,
        payload={"message_id": str(answer.pk)},
        idempotency_key=key,
    )
    answer.save(update_fields=["run"])


def _run_key(conversation: Conversation, key: str) -> str:
    """A caller's key holds for one conversation; hashed, it fits whatever its length."""
    return hashlib.sha256(f"{conversation.pk}:{key}".encode()).hexdigest()


def _exchange_of(key: str) -> Exchange | None:
    answers = Message.objects.filter(run__kind=ANSWER, run__idempotency_key=key)
    answer = answers.select_related("run", "parent").first()
    return Exchange(answer.parent, answer) if answer is not None and answer.parent is not None else None


def _bounded(text: str, field: str, characters: int) -> str:
    cleaned = clean_text(text)
    if len(cleaned) > characters:
        raise InvalidRequest(
            f"`{field}` is longer than {characters} characters.", errors={field: [f"At most {characters} characters."]}
        )
    return cleaned


def _one_line(text: str) -> str:
    return " ".join(clean_text(text).split())
