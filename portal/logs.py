"""How logs are written, and what never reaches them: addresses that open something (T24, T25)."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

#: Addresses that open something by themselves, and what is written in their place.
_ADDRESSES = re.compile(r"/(s|hooks)/[^/\s?\"']+")
_FORMATTER = logging.Formatter()


def masked(text: str) -> str:
    """The text with addresses' templates in place of addresses."""
    return _ADDRESSES.sub(r"/\1/<token>", text)


class MaskTokens(logging.Filter):
    """Masks what a record says, and the failure it tells of."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask, and keep, every record."""
        record.msg = masked(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = masked(record.exc_text)
        return True


class JsonLines(logging.Formatter):
    """One object a line, of these fields and no other: a line break in a message begins no line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: at (UTC), level, logger, message, and the failure it tells of."""
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        failure = record.exc_text or (record.exc_info and self.formatException(record.exc_info))
        if failure:
            told["failure"] = failure
        return json.dumps(told)  # in ASCII: half a surrogate pair in a message stops no log
