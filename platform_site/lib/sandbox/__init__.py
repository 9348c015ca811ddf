"""Programs that nobody has read yet, run where they can do no harm.

`run` runs a program to its end, `start` keeps an application running, a `Door` leads from a loopback port of the host
to it, and `availability` says whether any of this works here. What a program sees is in `layout`, what it may use in
`limits`, and what is refused by the kernel in `seccomp`.
"""

from platform_site.lib.sandbox.application import SandboxProcess, start
from platform_site.lib.sandbox.availability import availability
from platform_site.lib.sandbox.door import Door
from platform_site.lib.sandbox.job import run
from platform_site.lib.sandbox.layout import discard_directory
from platform_site.lib.sandbox.limits import REASON_TEXT, Availability, Limits, Reason, Result

__all__ = [
    "REASON_TEXT",
    "Availability",
    "Door",
    "Limits",
    "Reason",
    "Result",
    "SandboxProcess",
    "availability",
    "discard_directory",
    "run",
    "start",
]
