"""Over which days survey figures are told where nobody asks for a period (METRICS.md 1.16).

Only days whose answers may no longer come: what would still change is not the ordinary figure.
"""

from __future__ import annotations

from datetime import date, timedelta
from math import ceil

from metrics.charts import PLOTTED_FROM
from metrics.measure import Reader, Slice

#: The longer of the windows.
ROLLING = timedelta(days=90)
#: What a slice is measured by: from ten answers on it is told as a percentage (METRICS.md 1.11).
_ANSWERS = "csat_share.share"


def mature_day(reader: Reader) -> date:
    """The day before which whoever was asked can answer no more."""
    return reader.today() - timedelta(days=ceil(reader.settings.answer_days))


def survey_window(reader: Reader, capabilities: frozenset[int] | None) -> tuple[date, date]:
    """The ordinary window of survey figures of a slice, start <= day < until.

    By the organisation's decision the last 90 days, the last calendar month, or the month where it
    has ten answers and 90 days where it has fewer.
    """
    until = mature_day(reader)
    rolling = until - ROLLING, until
    if reader.settings.survey_window == "90 days":
        return rolling
    end = until.replace(day=1)
    month = (end - timedelta(days=1)).replace(day=1), end
    if reader.settings.survey_window == "month":
        return month
    answers = reader.tell(_ANSWERS, Slice(*month, capabilities)).denominator
    return month if (answers or 0) >= PLOTTED_FROM else rolling
