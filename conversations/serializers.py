"""What the conversations API takes and answers."""

from __future__ import annotations

from rest_framework import serializers

from conversations.models import Conversation, Message
from conversations.services import MAX_MESSAGE_CHARACTERS, MAX_SYSTEM_PROMPT_CHARACTERS


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    links = serializers.SerializerMethodField()

    class Meta:
        model = Conversation
        fields = ["id", "title", "model", "system_prompt", "created_by", "created_at", "updated_at", "links"]
        read_only_fields = fields

    def get_links(self, conversation: Conversation) -> dict[str, str]:
        base = f"/api/v1/conversations/{conversation.pk}"
        return {"self": base, "messages": f"{base}/messages", "stop": f"{base}/stop"}


class ConversationPageSerializer(serializers.Serializer[None]):
    results = ConversationSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class ConversationCreateSerializer(serializers.Serializer[None]):
    title = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    model = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)
    system_prompt = serializers.CharField(
        max_length=MAX_SYSTEM_PROMPT_CHARACTERS, required=False, allow_blank=True, default=""
    )


class MessageSerializer(serializers.ModelSerializer[Message]):
    links = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields = ["id", "parent", "role", "content", "model", "status", "finish_reason", "run", "created_at", "links"]
        read_only_fields = fields

    def get_links(self, message: Message) -> dict[str, str]:
        if message.run_id is None:
            return {}
        return {"run": f"/api/v1/runs/{message.run_id}", "events": f"/api/v1/runs/{message.run_id}/events"}


class MessagePageSerializer(serializers.Serializer[None]):
    results = MessageSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class MessagePostSerializer(serializers.Serializer[None]):
    message = serializers.CharField(max_length=MAX_MESSAGE_CHARACTERS)


class ExchangeSerializer(serializers.Serializer[None]):
    message = MessageSerializer()
    answer = MessageSerializer()
