"""The routes of conversations under `/api/v1`."""

from django.urls import path

from conversations import api

urlpatterns = [
    path("conversations", api.Conversations.as_view()),
    path("conversations/<uuid:conversation_id>", api.ConversationDetail.as_view()),
    path("conversations/<uuid:conversation_id>/messages", api.Messages.as_view()),
    path("conversations/<uuid:conversation_id>/stop", api.Stop.as_view()),
]
