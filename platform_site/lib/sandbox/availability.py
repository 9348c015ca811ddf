"""Whether a sandbox can be had here: tried, not guessed."""

from __future__ import annotations

import shutil
import sys
import threading
import time

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from platform_site.lib.errors import SandboxUnavailable
from platform_site.lib.sandbox.box import Box, Plan, environment
from platform_site.lib.sandbox.limits import Availability, Limits

RETRY_SECONDS = 30.0
"""A failure is tried again after this time, so that an installation is noticed; a success stays."""

_UNCONFINED = (
    "UNCONFINED: there is no sandbox and SANDBOX_UNCONFINED is on, so generated programs run as the "
    "platform's own user, can read its files and reach the network. Only their time, memory and output are limited."
)

_lock = threading.Lock()
_known: tuple[float, Availability] | None = None


def availability(*, recheck: bool = False) -> Availability:
    """Start a trivial sandbox and say how it went. The answer is kept; `recheck` tries again now."""
    global _known
    with _lock:
        if recheck or _known is None or (not _known[1].confined and time.monotonic() - _known[0] > RETRY_SECONDS):
            _known = (time.monotonic(), _try())
        found = _known[1]
    if not found.ok and unconfined_is_allowed():
        return Availability(ok=True, detail=f"{_UNCONFINED} {found.detail}", confined=False)
    return found


def confinement() -> bool:
    """Whether programs run confined here.

    Raises:
        SandboxUnavailable: they cannot, and the setting that allows to run them anyway is off.
    """
    found = availability()
    if not found.ok:
        raise SandboxUnavailable(found.detail)
    return found.confined


def unconfined_is_allowed() -> bool:
    try:
        return bool(getattr(settings, "SANDBOX_UNCONFINED", False))
    except ImproperlyConfigured:
        return False


def _try() -> Availability:
    if sys.platform != "linux":
        return _missing("Programs are sandboxed with Linux namespaces, and this is not Linux.")
    if shutil.which("bwrap") is None:
        return _missing("bubblewrap is not installed: apt-get install bubblewrap (version 0.7 or newer).")
    plan = Plan(argv=["true"], env=environment(True), limits=Limits(wall_seconds=20), confined=True, cwd="/work")
    try:
        box = Box(plan)
        box.pump(lambda _stream, _data: None)
        box.ended.wait()
    except (SandboxUnavailable, OSError) as error:
        return _missing(f"{error} {_advice(str(error))}".strip())
    if box.exit_code != 0:
        return _missing(f"A sandbox started and then failed ({box.reason}, exit code {box.exit_code}).")
    return Availability(ok=True, detail="Programs run in bubblewrap sandboxes without network.")


def _missing(detail: str) -> Availability:
    return Availability(ok=False, detail=detail, confined=False)


def _advice(said: str) -> str:
    """What usually helps, from what bubblewrap said."""
    lowered = said.lower()
    if "uid map" in lowered or "new namespace failed" in lowered or "unshare failed" in lowered:
        return (
            "User namespaces are not allowed here: check that sysctl user.max_user_namespaces is above 0 and that "
            "kernel.apparmor_restrict_unprivileged_userns is 0; in a container, that seccomp allows unshare."
        )
    if "mount proc" in lowered:
        return "The container hides parts of /proc: start it with systempaths=unconfined or procMount: Unmasked."
    if "unknown option" in lowered:
        return "This bubblewrap is too old: version 0.7 or newer is needed."
    return ""
