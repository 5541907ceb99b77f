"""Periods that can be asked about; pages, API and command refuse the others in words."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command

from metrics.periods import is_askable
from portal.people.roles import Scope
from tests.factories import Cast
from tests.portal.test_permissions import client_of, key_of
from tests.portal.test_rest import call

YEAR = timedelta(days=366)


@pytest.mark.parametrize(
    ("start", "until", "askable"),
    [
        (date(2026, 1, 1), date(2026, 1, 2), True),
        (date(2026, 1, 1), date(2027, 1, 2), True),
        (date(2026, 1, 1), date(2027, 1, 3), False),
        (date(2026, 1, 1), date(2026, 1, 1), False),
        (date(2026, 1, 2), date(2026, 1, 1), False),
        (date(1972, 1, 1), date(1972, 2, 1), True),
        (date(1971, 12, 31), date(1972, 2, 1), False),
        (date(2099, 12, 1), date(2099, 12, 31), True),
        (date(2099, 12, 1), date(2100, 1, 1), False),
        (date.min, date(1, 2, 1), False),
        (date(9999, 12, 1), date.max, False),
    ],
)
def test_a_period_has_days_of_years_in_which_something_happens(
    start: date, until: date, askable: bool
) -> None:
    assert is_askable(start, until, longest=YEAR) is askable


@pytest.mark.parametrize(
    ("start", "until"), [("0001-01-12", "0002-01-01"), ("9999-12-01", "9999-12-31")]
)
def test_times_that_calendars_end_in_are_refused_everywhere(
    cast: Cast, start: str, until: str
) -> None:
    days = f"from={start}&until={until}"
    key = key_of(cast, *Scope)[1]
    for path in ("readings/export/?", "readings/?metric=reopen_rate.rate&"):
        refused = call(key, f"{path}{days}")
        assert refused.status_code == 400
        assert "none of these times" in str(refused.json()["errors"])
    pages = client_of(cast, "olga")
    for path in ("capabilities/accounts/", "compare/", "drivers/", "detectors/"):
        shown = pages.get(f"/acme/{path}?{days}")
        assert shown.status_code == 200, path
        assert "the usual period is shown" in " ".join(shown.content.decode().split())
    with pytest.raises(CommandError, match="none of these times"):
        call_command(
            *("read", "--organisation", "acme", "--metric", "reopen_rate.rate"),
            *("--from", start, "--until", until),
        )
