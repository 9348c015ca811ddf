"""A small system call filter: what generated programs never need and attackers of kernels like.

The namespaces already keep a program in; this closes the doors that lead deeper into the kernel, and the ways to hold
memory that no process owns. A refused call fails as if the kernel were built without it, so programs can fall back.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from dataclasses import dataclass

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020000
"""Every CLONE_NEW* flag."""
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True)
class Machine:
    """Numbers of one processor family. `refused` names are for the reader; the filter holds the numbers."""

    audit: int
    clone: int
    clone3: int
    socket: int
    refused: dict[str, int]


_COMMON = {  # one numbering for all processors since Linux 5.1
    "pidfd_getfd": 438, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "memfd_secret": 447,
}  # fmt: skip

MACHINES = {
    "x86_64": Machine(0xC000003E, 56, 435, 41, _COMMON | {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "mount": 165, "umount2": 166,
        "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "keyctl": 250, "add_key": 248,
        "request_key": 249, "bpf": 321,
        "userfaultfd": 323, "perf_event_open": 298, "kexec_load": 246, "init_module": 175, "finit_module": 313,
        "delete_module": 176, "memfd_create": 319, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240,
        "name_to_handle_at": 303, "open_by_handle_at": 304, "quotactl": 179, "swapon": 167, "syslog": 103, "acct": 163,
        "fanotify_init": 300, "vmsplice": 278, "kcmp": 312, "personality": 135,
    }),
    "aarch64": Machine(0xC00000B7, 220, 435, 198, _COMMON | {
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "mount": 40, "umount2": 39, "pivot_root": 41,
        "chroot": 51, "unshare": 97, "setns": 268, "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280,
        "userfaultfd": 282, "perf_event_open": 241, "kexec_load": 104, "init_module": 105, "finit_module": 273,
        "delete_module": 106, "memfd_create": 279, "shmget": 194, "msgget": 186, "semget": 190, "mq_open": 180,
        "name_to_handle_at": 264, "open_by_handle_at": 265, "quotactl": 60, "swapon": 224, "syslog": 116, "acct": 89,
        "fanotify_init": 262, "vmsplice": 75, "kcmp": 272, "personality": 92,
    }),
}  # fmt: skip


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _refuse(error: int) -> bytes:
    return _step(_RETURN, _ERRNO | error)


def seccomp_filter(machine: str | None = None) -> bytes | None:
    """The filter as bubblewrap's `--seccomp` reads it, or None for a processor that is not known here."""
    known = MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    steps = [
        _step(_LOAD, _ARCH_AT),
        _step(_JUMP_EQUAL, known.audit, if_true=1),
        _step(_RETURN, _KILL),  # a 32-bit call would be read with the wrong numbers
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_GREATER, _X32_BIT, if_false=1),
        _refuse(errno.ENOSYS),
        _step(_JUMP_EQUAL, known.clone3, if_false=1),
        _refuse(errno.ENOSYS),  # its flags are behind a pointer; libraries then use clone
    ]
    for number in sorted(known.refused.values()):
        steps += [_step(_JUMP_EQUAL, number, if_false=1), _refuse(errno.ENOSYS)]
    steps += [
        _step(_JUMP_EQUAL, known.clone, if_false=3),
        _step(_LOAD, _FIRST_ARGUMENT_AT),
        _step(_JUMP_BITS, _NEW_NAMESPACES, if_false=len(_FAMILIES) + 4),
        _refuse(errno.EPERM),
        _step(_JUMP_EQUAL, known.socket, if_false=len(_FAMILIES) + 2),
        _step(_LOAD, _FIRST_ARGUMENT_AT),
        *(_step(_JUMP_EQUAL, family, if_true=len(_FAMILIES) - index) for index, family in enumerate(_FAMILIES)),
        _refuse(errno.EAFNOSUPPORT),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)
