"""Conversations and their messages. An answer is a run; the message keeps what the run's log said."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models

from accounts.models import TenantModel, User
from accounts.tenancy import tenant_manager
from runs.models import Run, RunState


class Role(models.TextChoices):
    USER = "user", "User"
    ASSISTANT = "assistant", "Assistant"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def newest_first(self) -> ConversationQuerySet:
        return self.order_by("-id")


class Conversation(TenantModel):
    """A session with one model. Its organisation sees it, as it sees the runs that answer."""

    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    title = models.CharField(max_length=200)
    model = models.CharField(max_length=200)
    system_prompt = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[Any] = tenant_manager(ConversationQuerySet)

    class Meta:
        indexes = [models.Index(fields=["organisation", "-id"], name="conversation_of_organisation")]

    def __str__(self) -> str:
        return self.title


class MessageQuerySet(models.QuerySet["Message"]):
    def answers_in_progress(self) -> MessageQuerySet:
        return self.filter(role=Role.ASSISTANT, status__in=[RunState.QUEUED, RunState.RUNNING])

    def leaf(self) -> Message | None:
        """The message that was added last: the end of the branch that people see."""
        return self.order_by("-id").first()

    def thread(self, *, until: Message | None) -> list[Message]:
        """The branch from the first message to `until`, in one query."""
        by_id: dict[uuid.UUID, Message] = {message.pk: message for message in self}
        branch: list[Message] = []
        at = by_id.get(until.pk) if until is not None else None
        while at is not None:
            branch.append(at)
            at = by_id.get(at.parent_id) if at.parent_id else None
        return branch[::-1]


class Message(TenantModel):
    """One turn. Messages are a tree: `parent` is the turn before, None for the first.

    `status` is the state of the run that writes an answer; what a person wrote is `succeeded` from the start.
    `content` of an answer is empty until its run ended; until then the run's log has it.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=20, choices=Role)
    content = models.TextField(blank=True)
    model = models.CharField(max_length=200, blank=True)
    run = models.OneToOneField(Run, null=True, on_delete=models.SET_NULL, related_name="answer")
    status = models.CharField(max_length=20, choices=RunState, default=RunState.SUCCEEDED)
    finish_reason = models.CharField(max_length=20, blank=True)

    objects: ClassVar[Any] = tenant_manager(MessageQuerySet)

    class Meta:
        indexes = [models.Index(fields=["conversation", "-id"], name="message_of_conversation")]

    def __str__(self) -> str:
        return f"{self.role} in {self.conversation_id}"
