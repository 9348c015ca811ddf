"""Deployment targets, one file each; registering one is one line."""

from __future__ import annotations

from deployments.targets.base import Target
from deployments.targets.process import Process
from platform_site.lib.errors import InvalidRequest

TARGETS: dict[str, Target] = {"process": Process()}


def target_get(name: str) -> Target:
    """The target of that name.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        return TARGETS[name]
    except KeyError as exc:
        problem = f"There is no deployment target of that name. Known: {', '.join(sorted(TARGETS))}."
        raise InvalidRequest(problem, errors={"target": [problem]}) from exc
