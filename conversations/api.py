"""The conversations part of `/api/v1`."""

from __future__ import annotations

import uuid

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.tenancy import current_organisation
from conversations import serializers, services
from conversations.models import Conversation, Message
from platform_site.lib.pagination import page_of
from platform_site.lib.ratelimit import ScopedRateThrottle
from runs import sse
from runs.api import IDEMPOTENCY_KEY, PAGE_PARAMETERS, StreamingView, idempotency_key
from runs.serializers import RunSerializer


class Conversations(APIView):
    @extend_schema(
        operation_id="v1_conversations_list",
        responses=serializers.ConversationPageSerializer,
        parameters=PAGE_PARAMETERS,
    )
    def get(self, request: Request) -> Response:
        page = page_of(Conversation.objects.all(), request.query_params)
        found = serializers.ConversationSerializer(page.items, many=True)
        return Response({"results": found.data, "next_cursor": page.next_cursor})

    @extend_schema(
        request=serializers.ConversationCreateSerializer, responses={201: serializers.ConversationSerializer}
    )
    def post(self, request: Request) -> Response:
        form = serializers.ConversationCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        made = services.conversation_create(
            organisation_id=current_organisation(), actor=actor_of(request), **form.validated_data
        )
        return Response(serializers.ConversationSerializer(made).data, status=201)


class ConversationDetail(APIView):
    @extend_schema(responses=serializers.ConversationSerializer)
    def get(self, request: Request, conversation_id: uuid.UUID) -> Response:
        return Response(serializers.ConversationSerializer(services.conversation_find(conversation_id)).data)


class Messages(StreamingView):
    """The messages of a conversation, newest first; posting one starts its answer.

    The answer is a run: 202 names it, and with `Accept: text/event-stream` the same call streams its events.
    """

    throttle_scope = "generate"

    def get_throttles(self) -> list[BaseThrottle]:
        # Reading asks no model.
        return [ScopedRateThrottle()] if self.request.method == "POST" else super().get_throttles()

    @extend_schema(responses=serializers.MessagePageSerializer, parameters=PAGE_PARAMETERS)
    def get(self, request: Request, conversation_id: uuid.UUID) -> Response:
        conversation = services.conversation_find(conversation_id)
        page = page_of(Message.objects.filter(conversation=conversation), request.query_params)
        found = serializers.MessageSerializer(page.items, many=True)
        return Response({"results": found.data, "next_cursor": page.next_cursor})

    @extend_schema(
        request=serializers.MessagePostSerializer,
        responses={(202, "application/json"): serializers.ExchangeSerializer, (200, "text/event-stream"): str},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request, conversation_id: uuid.UUID) -> HttpResponseBase:
        conversation = services.conversation_find(conversation_id)
        form = serializers.MessagePostSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        exchange = services.message_post(
            conversation=conversation,
            actor=actor_of(request),
            text=form.validated_data["message"],
            idempotency_key=idempotency_key(request),
        )
        if sse.wants_event_stream(request._request):
            return sse.event_stream(request, exchange.run.pk, 0)
        body = {
            "message": serializers.MessageSerializer(exchange.question).data,
            "answer": serializers.MessageSerializer(exchange.answer).data,
        }
        return Response(body, status=202, headers={"Location": f"/api/v1/runs/{exchange.run.pk}"})


class Stop(APIView):
    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, conversation_id: uuid.UUID) -> Response:
        conversation = services.conversation_find(conversation_id)
        run = services.conversation_stop(conversation=conversation, actor=actor_of(request))
        return Response(RunSerializer(run).data, status=202)
