from django.urls import path

from conversations import views

app_name = "conversations"
urlpatterns = [
    path("conversations", views.conversations, name="conversations"),
    path("conversations/<uuid:conversation_id>", views.conversation, name="conversation"),
    path("conversations/<uuid:conversation_id>/stop", views.stop, name="stop"),
]
