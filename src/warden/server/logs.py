"""The daemon's log: standard logging, as lines for people or as one JSON object a line.

Owns the formats and the original's level names. It decides nothing about what is logged.
"""

from __future__ import annotations

import json
import logging
import sys

from warden.model.text import escaped

_LEVELS = {
    "off": logging.CRITICAL + 10,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "debug1": logging.DEBUG,
    "debug2": logging.DEBUG,
    "all": logging.NOTSET + 1,
}


class JsonFormatter(logging.Formatter):
    """One object a line: timestamp (seconds since the epoch), log_level, source, message, process_id, exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "timestamp": record.created,
            "log_level": record.levelname.lower(),
            "source": record.name,
            "message": record.getMessage(),
            "process_id": record.process,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=True, default=str)


class TextFormatter(logging.Formatter):
    """Lines for people. What would begin a line of its own or steer a terminal is shown escaped: handles and tags are
    anybody's text."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = "\t".join(map(escaped, record.message.split("\t")))
        return super().formatMessage(record)


def setup(level: str, file: str | None, log_format: str) -> None:
    """Sends the log of everything named `warden.…` to *file*, or to standard error."""
    handler: logging.Handler = logging.FileHandler(file, delay=False) if file else logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    root = logging.getLogger("warden")
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    root.propagate = False
