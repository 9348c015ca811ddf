"""Pages of conversations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.actor import actor_of
from accounts.permissions import OPERATE, allowed
from accounts.tenancy import current_organisation
from conversations import services
from conversations.forms import BeginForm, MessageForm
from conversations.models import Conversation, Message
from platform_site.lib.errors import Conflict
from platform_site.lib.http import posted
from platform_site.lib.pagination import page_of
from platform_site.lib.ratelimit import page_limit


@dataclass(frozen=True)
class Turn:
    """A message as the page draws it. `run_id` is set for answers."""

    role: str
    text: str
    state: str
    created_at: datetime
    run_id: uuid.UUID | None

    @classmethod
    def of(cls, message: Message) -> Turn:
        return cls(message.role, message.content, message.status, message.created_at, message.run_id)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@page_limit("generate", "60/m", key="user")
def conversations(request: HttpRequest) -> HttpResponse:
    form = BeginForm(posted(request))
    if request.method == "POST" and form.is_valid():
        return redirect("conversations:conversation", begin(request, form).pk)
    page = page_of(Conversation.objects.all(), request.GET)
    context = {
        "conversations": page.items,
        "page": page,
        "form": form if allowed(actor_of(request), OPERATE, current_organisation()) else None,
    }
    status = 400 if request.method == "POST" else 200
    return render(request, "conversations/conversations.html", context, status=status)


@transaction.atomic
def begin(request: HttpRequest, form: BeginForm) -> Conversation:
    """A conversation with its first message."""
    actor = actor_of(request)
    conversation = services.conversation_create(
        organisation_id=current_organisation(), actor=actor, model=form.cleaned_data["model"]
    )
    services.message_post(conversation=conversation, actor=actor, text=form.cleaned_data["message"])
    return conversation


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@page_limit("generate", "60/m", key="user")
def conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    found = services.conversation_find(conversation_id)
    form = MessageForm(posted(request))
    status = 200 if request.method != "POST" else 400
    if request.method == "POST" and form.is_valid():
        try:
            services.message_post(conversation=found, actor=actor_of(request), text=form.cleaned_data["message"])
            return redirect("conversations:conversation", found.pk)
        except Conflict as exc:
            form.add_error("message", exc.detail)
            status = exc.status_code
    messages = Message.objects.filter(conversation=found)
    context = {
        "conversation": found,
        "thread": [Turn.of(message) for message in messages.thread(until=messages.leaf())],
        "answering": messages.answers_in_progress().first(),
        "form": form if allowed(actor_of(request), OPERATE, found.organisation_id) else None,
    }
    return render(request, "conversations/conversation.html", context, status=status)


@login_required
@require_POST
def stop(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    services.conversation_stop(conversation=services.conversation_find(conversation_id), actor=actor_of(request))
    return redirect("conversations:conversation", conversation_id)
