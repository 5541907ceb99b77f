"""What never reaches a log: the token of a survey link (TRUST.md T25)."""

from __future__ import annotations

import logging
import re

_SURVEY_LINK = re.compile(r"/s/[^/\s?]+")


class MaskTokens(logging.Filter):
    """Writes the address's template in place of the address."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask, and keep, every record."""
        record.msg = _SURVEY_LINK.sub("/s/<token>", record.getMessage())
        record.args = None
        return True
