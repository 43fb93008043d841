"""The log: text or JSON lines with the same keys, on standard error and, if the user likes, in a file that begins anew when it is large."""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from syncjob.core.errors import ConfigError
from syncjob.report import Report, foreseen, log, told

FILE_BYTES, OLD_FILES = 10_000_000, 5


def configure_logging(report: Report, *, level: str, form: str, file: Path | None = None, everything: bool = False) -> None:
    """Let every log record leave without its secrets, as text or as JSON lines; other libraries' from WARNING on.

    `everything`: what is said in words goes to standard error as records, too. Raises ConfigError when the file cannot be written.
    """
    formatter: logging.Formatter = _JsonLines() if form == "json" else _Lines()
    files: list[logging.Handler] = [_File(file, report, formatter)] if file else []
    root = logging.getLogger()
    for old in {*root.handlers, *told.handlers}:
        if isinstance(old, _File):
            old.close()
    root.handlers[:] = [_Records(report, formatter), *files]
    root.setLevel(logging.WARNING)
    log.setLevel(level)
    told.propagate = everything
    told.handlers[:] = [logging.NullHandler()] if everything else files or [logging.NullHandler()]


def catch_all(report: Report) -> None:
    """Let also what nobody caught, in any thread, and warnings leave through the report, in our words."""

    def uncaught(kind: type[BaseException], error: BaseException | None, places: TracebackType | None) -> None:
        if error:
            report.problem("syncjob", foreseen(error))
            log.debug("nobody caught this", exc_info=(kind, error, places))

    sys.excepthook = uncaught
    threading.excepthook = lambda found: uncaught(found.exc_type, found.exc_value, found.exc_traceback)
    logging.captureWarnings(True)


class _Records(logging.Handler):
    def __init__(self, report: Report, formatter: logging.Formatter) -> None:
        super().__init__()
        self._report = report
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        self._report.record(self.format(record))


class _File(RotatingFileHandler):
    """For this user alone, since names and addresses are in it."""

    def __init__(self, path: Path, report: Report, formatter: logging.Formatter) -> None:
        self._report = report
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            super().__init__(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigError(f"the log {path} cannot be written ({error.strerror})", hint="correct LOG_FILE") from None
        self.setFormatter(formatter)

    def _open(self) -> TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return open(handle, "a", encoding=self.encoding, errors=self.errors)  # noqa: PTH123  a descriptor is no path

    def format(self, record: logging.LogRecord) -> str:
        return self._report.clean(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk loses lines of the log, nothing else."""


class _Lines(logging.Formatter):
    """`time LEVEL message key=value ...`"""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_word(value)}" for name, value in _facts(record).items())
        line = f"{self.formatTime(record)} {record.levelname} {record.getMessage()} {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def formatException(self, ei: Any) -> str:
        """Where it happened and what it was, but none of its words: psycopg2 puts rows into them, and others quote mails."""
        _, error, places = ei
        return f"Traceback (most recent call last):\n{''.join(traceback.format_tb(places))}{type(error).__module__}.{type(error).__name__}"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ}"


class _JsonLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": self.formatTime(record), "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**fields, **_facts(record)}, ensure_ascii=False)


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(record, "facts", {})
    return {name: value for name, value in found.items() if value != ""}


def _word(value: Any) -> str:
    """A value as one word, quoted if it has to be."""
    text = str(value)
    return text if text.isalnum() or not set(text) & set(' "=\n\t') else json.dumps(text, ensure_ascii=False)
