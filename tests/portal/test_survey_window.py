"""Survey figures are told over the ordinary window where nobody asks for a period (1.16)."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from metrics.deciding_settings import change_settings
from metrics.measure import Reader
from metrics.windows import survey_window
from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.metrics.told import asked
from tests.portal.test_one_number import browser

#: In May nobody asked on 26 April or before can answer any more; the last whole month is March.
NOW = datetime(2026, 5, 10, 10, tzinfo=UTC)
MONTH = date(2026, 3, 1), date(2026, 4, 1)
ROLLING = date(2026, 1, 26), date(2026, 4, 26)
PAGE = "/acme/capabilities/network/"


def decide(cast: Cast, **values: str) -> None:
    with acting(cast.acme.pk):
        change_settings(tenant=cast.acme, values=values, reason="we are few", by=SYSTEM, at=NOW)


def window(cast: Cast) -> tuple[date, date]:
    with acting(cast.acme.pk):
        return survey_window(Reader(cast.acme, as_of=NOW), frozenset([cast.network.pk]))


def answered(cast: Cast, day: date, satisfied: int, of: int) -> None:
    at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    for number in range(of):
        asked(cast, 5 if number < satisfied else 1, at=at, capability=cast.network)


@pytest.fixture
def spring(cast: Cast) -> Cast:
    """Ten answers in March, eight of them satisfied, and six in February, all dissatisfied."""
    answered(cast, date(2026, 3, 10), 8, 10)
    answered(cast, date(2026, 2, 10), 0, 6)
    return cast


@pytest.mark.parametrize(
    ("profile", "days"), [("small", ROLLING), ("standard", MONTH), ("large", MONTH)]
)
def test_the_profile_sets_it(spring: Cast, profile: str, days: tuple[date, date]) -> None:
    if profile != "standard":
        decide(spring, profile=profile)
    assert window(spring) == days


def test_a_month_with_few_answers_becomes_90_days(cast: Cast) -> None:
    answered(cast, date(2026, 3, 10), 8, 9)
    assert window(cast) == ROLLING
    answered(cast, date(2026, 3, 11), 1, 1)
    assert window(cast) == MONTH
    assert MONTH[1] - ROLLING[0] < ROLLING[1] - ROLLING[0] == timedelta(days=90)


def test_what_was_decided_otherwise_stands(spring: Cast) -> None:
    decide(spring, survey_window="90 days")
    decide(spring, profile="large")
    assert window(spring) == ROLLING


def test_the_scorecard_and_its_export_tell_the_same_over_the_window(
    spring: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    client = browser(spring)

    def card(**query: str) -> str:
        page = client.get(PAGE, query).content.decode()
        return page.split('id="csat-share-share"')[1].split("</article>")[0]

    def exported(**query: str) -> dict[str, str]:
        text = client.get(f"{PAGE}export/", {"format": "csv"} | query).content.decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text))
        return next(r for r in rows if r["metric"] == "csat_share.share" and not r["severity"])

    month = card()
    assert "8 of 10 answers" in month
    assert "1 March 2026 to 31 March 2026" in month
    assert (exported()["numerator"], exported()["denominator"]) == ("8", "10")
    decide(spring, profile="small")
    rolling = card()
    assert "8 of 16 answers" in rolling
    assert "26 January 2026 to 25 April 2026" in rolling
    assert (exported()["from"], exported()["denominator"]) == ("2026-01-26", "16")
    # a period that is asked for is told as it is asked for
    asked_for = {"from": "2026-02-01", "until": "2026-03-01"}
    assert "0 of 6" in card(**asked_for)
    assert "26 January 2026" not in card(**asked_for)
    assert exported(**asked_for)["denominator"] == "6"
