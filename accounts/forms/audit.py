"""What people look for in the audit trail."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.services.audit_trail import AuditFilter, filter_read
from platform_site.lib.errors import InvalidRequest


class AuditFilterForm(forms.Form):
    """The filters of the audit trail; `wanted` is what they come to once the form is valid."""

    action = forms.CharField(label="Action", required=False, max_length=160)
    actor = forms.CharField(label="Who", required=False, max_length=254)
    target_type = forms.CharField(label="Kind of thing", required=False, max_length=80)
    target_id = forms.CharField(label="Id of the thing", required=False, max_length=80)
    since = forms.CharField(label="From (UTC)", required=False, max_length=40)
    until = forms.CharField(label="Before (UTC)", required=False, max_length=40)

    wanted = AuditFilter()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        try:
            self.wanted = filter_read(values)
        except InvalidRequest as exc:
            for field, messages in (exc.errors or {}).items():
                self.add_error(field, list(messages))
        return values

    @property
    def is_used(self) -> bool:
        """Whether anything is looked for."""
        return self.wanted != AuditFilter()
