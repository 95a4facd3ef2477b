"""The log of a node's process: lines of text, or JSON objects, on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from fleet.actors.runtime.log_fields import fields_of

TEXT, JSON = "text", "json"
_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One object a record: time, level, logger, node, message, what it is about, and a traceback if any.

    Group, member and term are there where the record names them.
    """

    def __init__(self, node: str) -> None:
        super().__init__()
        self.node = node

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "node": self.node,
            "message": record.getMessage(),
        }
        line |= fields_of(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _iso(seconds: float) -> str:
    """In UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def begin_log(level: str, form: str, node: str, stream: TextIO | None = None) -> None:
    """Log what is as bad as `level`, or worse, to stderr."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(node) if form == JSON else logging.Formatter(_LINE))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def said(message: str, form: str, node: str, level: int = logging.INFO) -> str:
    """What a process says about itself, as a line of its log would be."""
    if form != JSON:
        return message
    record = logging.LogRecord("fleet.node", level, "", 0, "%s", (message,), None)
    return JsonLines(node).format(record)
