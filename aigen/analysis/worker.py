"""The program of the processes that `aigen.analysis.isolation` starts: requests in, findings out.

It is started with no environment but PATH and reaches nothing of the platform but the parsers.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import BinaryIO

from aigen.analysis.isolation import HEADER, READY
from aigen.analysis.parsing import inspect

CPU_SECONDS = 1.5
CPU_SECONDS_EACH_MEBIBYTE = 1.0
"""Processor time for one file, by its length; the kernel ends the process after that, wherever it is."""
MEMORY_BYTES = 2 * 1024**3


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until the input ends."""
    while (header := source.read(HEADER.size)) and len(header) == HEADER.size:
        (size,) = HEADER.unpack(header)
        request = json.loads(source.read(size))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS + CPU_SECONDS_EACH_MEBIBYTE * (size >> 20))
        findings = inspect(request["path"], request["content"], request["language"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer = json.dumps(
            [
                {"line": item.line, "column": item.column, "message": item.message, "severity": item.severity}
                for item in findings
            ]
        ).encode()
        sink.write(HEADER.pack(len(answer)) + answer)
        sink.flush()


def main() -> None:
    """Limit this process, then serve standard input and output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Nobody reads standard error; a parser that fills it must not block.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
