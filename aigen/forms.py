"""Forms of the AI pages."""

from __future__ import annotations

from typing import Any

from django import forms

from aigen.languages import LANGUAGES
from aigen.registry import model_choices
from aigen.services import PROMPT_MAX, PROMPT_MIN


class GenerationForm(forms.Form):
    """What the studio asks. Choices are read when the form is shown, as administrators change them."""

    prompt = forms.CharField(
        min_length=PROMPT_MIN,
        max_length=PROMPT_MAX,
        widget=forms.Textarea(attrs={"rows": 6, "minlength": PROMPT_MIN, "maxlength": PROMPT_MAX}),
    )
    language = forms.ChoiceField()
    model = forms.ChoiceField()
    include_tests = forms.BooleanField(required=False, initial=True)
    include_docs = forms.BooleanField(required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deployable_first = sorted(LANGUAGES.values(), key=lambda language: not language.deployable)
        self.fields["language"].choices = [(known.name, known.label) for known in deployable_first]  # type: ignore[attr-defined]
        self.fields["model"].choices = [(choice.name, choice.label) for choice in model_choices()]  # type: ignore[attr-defined]
