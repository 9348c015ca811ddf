"""What pages of other rooms may know of deployments."""

from __future__ import annotations

from django import template

from aigen.models import Generation
from deployments.models import Deployment

register = template.Library()


@register.simple_tag
def deployment_of(generation: Generation) -> Deployment | None:
    """The newest deployment of a generation, None when it was never deployed."""
    newest: Deployment | None = (
        Deployment.objects.detailed().filter(release__generation=generation).order_by("-id").first()
    )
    return newest
