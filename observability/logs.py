"""JSON logs: one object a line on standard error, with the request or run they belong to, redacted."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from platform_site.lib.secrets import redact
from platform_site.lib.text import clean_text

request_id: ContextVar[str] = ContextVar("request_id", default="")
run_id: ContextVar[str] = ContextVar("run_id", default="")


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON. A message cannot forge a line: newlines are escaped by JSON itself."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(clean_text(record.getMessage())),
            "request_id": request_id.get() or None,
            "run_id": run_id.get() or None,
        }
        if record.exc_info:
            entry["exception"] = redact(clean_text(self.formatException(record.exc_info)))
        return json.dumps({key: value for key, value in entry.items() if value is not None}, ensure_ascii=False)
