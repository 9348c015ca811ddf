"""What a service refused, shown at the fields of the form that asked for it."""

from __future__ import annotations

from django import forms

from platform_site.lib.errors import StewardError


def refusal_show(form: forms.Form, refusal: StewardError) -> None:
    """Adds a refusal to a form: by field where it names fields of the form, else above all."""
    for name, sentences in (refusal.errors or {"": [refusal.detail]}).items():
        form.add_error(name if name in form.fields else None, list(sentences))
