"""What never reaches a log: the addresses that open something by themselves (TRUST.md T24, T25)."""

from __future__ import annotations

import logging
import re

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
