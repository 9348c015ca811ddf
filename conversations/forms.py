"""Forms of the conversation pages."""

from __future__ import annotations

from django import forms

from aigen.registry import model_choices
from conversations.services import MAX_MESSAGE_CHARACTERS


def configured_models() -> list[tuple[str, str]]:
    return [(choice.name, choice.label) for choice in model_choices()]


class MessageForm(forms.Form):
    message = forms.CharField(max_length=MAX_MESSAGE_CHARACTERS, widget=forms.Textarea)


class BeginForm(MessageForm):
    model = forms.ChoiceField(choices=configured_models)
