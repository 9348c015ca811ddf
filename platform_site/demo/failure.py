"""What ends the walk."""

from __future__ import annotations


class StepFailed(Exception):
    """A step did not happen as it should; the text says why, for people."""
