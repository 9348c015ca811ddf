"""What every page knows about the person in front of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from accounts.models import Membership


def organisation(request: HttpRequest) -> dict[str, Any]:
    """Template variables `product_name`, `organisation`, `memberships` (of the signed-in user, in open organisations)
    and `is_foreign` (whether `organisation` is one that a platform Administrator looks into)."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"product_name": "Steward", "organisation": None, "memberships": [], "is_foreign": False}
    memberships = Membership.objects.open().filter(user=user).select_related("organisation")
    return {
        "product_name": "Steward",
        "organisation": getattr(request, "organisation", None),
        "memberships": memberships,
        "is_foreign": getattr(request, "foreign_organisation", False),
    }
