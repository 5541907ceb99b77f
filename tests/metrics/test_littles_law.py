"""Whether what is open fits what comes in and how long it stays (METRICS.md M22)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from metrics import columns
from metrics.data_quality import flaws_in_words, with_data_quality
from metrics.folded import past_reader
from metrics.littles_law import FEWEST, compared
from metrics.measure import Agreeing, Hint, Reader, Slice
from metrics.rows import Rows
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    MONDAY,
    asked_of_blocks,
    enter,
    moved,
    news,
)

VIEWS = ("open", "days", "business_age_median", "business_age_p90")
#: Seconds; instants of the pure cases are in days after 1970.
ONE_DAY = 86_400


def items(*opened_and_ended: tuple[float, float | None]) -> Rows:
    """Items by the days on which they were opened and ended; None: still open."""
    return columns.ITEMS.pack(
        {
            **dict.fromkeys(columns.ITEMS.sources),
            "w.handled_by": "unknown",
            "w.opened_at": _day(opened),
            "w.ended_at": None if ended is None else _day(ended),
        }
        for opened, ended in opened_and_ended
    )


def _day(number: float) -> datetime:
    return datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(days=number)


def check(
    opened: Rows, before: Rows, *, start: int = 100, end: int = 130, as_of: int = 200
) -> Hint:
    return compared(
        opened, lambda: before, start=start * ONE_DAY, end=end * ONE_DAY, as_of=as_of * ONE_DAY
    )


#: One opened every day, open for two: two are open on average, but for the first and last day.
STEADY = [(day, day + 2) for day in range(100, 130)]
EARLIER = [(98, 100.0), (99, 101.0)]


def test_a_steady_flow_agrees_worked_by_hand() -> None:
    """29 times two days and one of the last, with one day of an earlier one: 60 days in 30."""
    told = check(items(*STEADY), items(*EARLIER))
    assert (told.outcome, told.ratio) == (Agreeing.AGREES, 1.0)
    assert told.sentence.startswith(
        "On average 2.0 were open, and by Little's law 2.0 would have been,"
    )
    assert "restricted mean" in told.sentence


def test_what_is_never_closed_stands_out_worked_by_hand() -> None:
    """Three from before that stay for all 30 days add 90 to the 60: 150 over 30 times two."""
    told = check(items(*STEADY), items(*EARLIER, *[(10, None)] * 3))
    assert (told.outcome, told.ratio) == (Agreeing.DIFFERS, 2.5)
    assert "On average 5.0 were open, and by Little's law 2.0 would have been" in told.sentence
    assert told.sentence.endswith("older ones stay open, or are over and the data do not say so.")


def test_openings_that_are_missing_stand_out() -> None:
    """All came on the last day: 30 of the 60 days they stay lie within."""
    missing = check(items(*[(129, 132)] * 30), items())
    assert (missing.outcome, missing.ratio) == (Agreeing.DIFFERS, pytest.approx(1 / 3))
    assert missing.sentence.endswith(
        "more comes in than before, or older ones are missing in the data."
    )


@pytest.mark.parametrize(("older", "outcome"), [(2, Agreeing.AGREES), (3, Agreeing.DIFFERS)])
def test_twice_as_many_is_the_border(older: int, outcome: Agreeing) -> None:
    """60 days more than the 60 are exactly twice as many."""
    told = check(items(*STEADY), items(*EARLIER, *[(10, None)] * older))
    assert (told.ratio, told.outcome) == (1 + older / 2, outcome)


def test_the_curve_counts_each_up_to_the_longest_time_seen() -> None:
    """Three of 30 still open at 80 days: 27 x 2 + 3 x 80 days, where S is a tenth after two."""
    same_day = [(120, 122)] * 27 + [(120, None)] * 3
    told = check(items(*same_day), items())
    there = 27 * 2 + 3 * 10
    assert told.ratio == pytest.approx(there / (27 * 2 + 3 * 80))


@pytest.mark.parametrize(
    ("opened", "why"),
    [
        (STEADY[1:], "29 opened in this period are too few, it takes 30"),
        (
            [(120, 122)] * 26 + [(120, None)] * 4,
            (
                "13.3 % of what was opened in this period stays open for longer than it was"
                " watched, so how long on average is not known"
            ),
        ),
        ([(120, 120)] * 30, "everything opened in this period was over at once"),
    ],
)
def test_where_it_cannot_be_told_it_says_why(opened: Any, why: str) -> None:
    def never() -> Rows:
        raise AssertionError("what came before is not needed")

    told = compared(
        items(*opened), never, start=100 * ONE_DAY, end=130 * ONE_DAY, as_of=200 * ONE_DAY
    )
    assert told == Hint(Agreeing.UNKNOWN, None, f"Unknown: {why}.")


def test_what_happens_after_the_moment_of_reading_is_not_known_yet() -> None:
    ended_later = [(opened, 150) for opened, _ in STEADY]
    assert check(items(*ended_later), items(), as_of=131).outcome is Agreeing.UNKNOWN
    assert check(items(*ended_later), items(), as_of=150).outcome is not Agreeing.UNKNOWN


def test_a_flow_of_chance_agrees_and_one_that_lost_ends_before_does_not() -> None:
    """Arrivals and skewed times by chance; the control: of one in twenty no end was told once.

    Where that goes on as before it is in both of what is compared, and cannot be seen.
    """
    dice = np.random.default_rng(7)
    opened = np.sort(dice.uniform(0, 130, 1_300))
    ended = opened + dice.lognormal(0.5, 1.0, 1_300)
    lost = dice.random(1_300) < 1 / 20

    def told(lost: NDArray[np.bool_]) -> Agreeing:
        known = [None if gone else end for end, gone in zip(ended, lost, strict=True)]
        rows = list(zip(opened, known, strict=True))
        before = [(at, end) for at, end in rows if at < 100 and (end is None or end >= 100)]
        return check(items(*[one for one in rows if one[0] >= 100]), items(*before)).outcome

    assert told(np.zeros(1_300, dtype=bool)) is Agreeing.AGREES
    assert told(lost & (opened < 100)) is Agreeing.DIFFERS
    assert told(lost) is Agreeing.AGREES


def test_of_the_fewest_chance_alone_rarely_differs() -> None:
    """Months of a steady flow with very skewed times, 30 or a few more opened in each."""
    dice = np.random.default_rng(3)
    outcomes = []
    for _ in range(200):
        opened = np.append(dice.uniform(40, 100, 64), dice.uniform(100, 130, 32))
        rows = list(zip(opened, opened + dice.lognormal(0, 1.5, 96), strict=True))
        before = [(at, end) for at, end in rows if at < 100 <= end]
        outcomes.append(check(items(*[one for one in rows if one[0] >= 100]), items(*before)))
    differing = sum(one.outcome is Agreeing.DIFFERS for one in outcomes)
    assert not any(one.outcome is Agreeing.UNKNOWN for one in outcomes)
    assert differing < len(outcomes) / 20


# --- of an organisation ---------------------------------------------------------------------------


def a_day_each(cast: Cast, number: int = FEWEST, **more: Any) -> None:
    """One a day in March, open for 24 hours."""
    name = "-".join(map(str, more.values()))
    enter(
        cast,
        *(
            news(f"{name} {n}", moved(24, "resolved"), opened_at=MONDAY + (n - 1) * DAY, **more)
            for n in range(number)
        ),
    )


def never_closed(cast: Cast, number: int, **more: Any) -> None:
    enter(cast, *(news(f"old {n}", opened_at=MONDAY - 60 * DAY, **more) for n in range(number)))


def told_of(cast: Cast, view: str = "open", severity: str | None = "medium", **more: Any) -> Hint:
    capability = more.get("capability", cast.network)
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        cut = Slice(MARCH, APRIL, frozenset([capability.pk]), severity)
        hint = with_data_quality(reader.tell(f"backlog.{view}", cut), cut, reader).data_quality_hint
    assert hint is not None
    return hint


def test_it_is_of_one_severity_and_service_whatever_the_view(cast: Cast) -> None:
    a_day_each(cast)
    a_day_each(cast, severity="high")
    a_day_each(cast, capability="accounts")
    never_closed(cast, 3)
    assert {told_of(cast, view).outcome for view in VIEWS} == {Agreeing.DIFFERS}
    assert told_of(cast, severity="high").outcome is Agreeing.AGREES
    assert told_of(cast, capability=cast.accounts).outcome is Agreeing.AGREES
    assert "0 opened in this period are too few" in told_of(cast, severity="low").sentence
    everything = told_of(cast, severity=None)
    assert everything.outcome is Agreeing.UNKNOWN
    assert "never pooled" in everything.sentence


def test_withdrawn_items_are_over_and_what_came_back_was_there_all_the_time(cast: Cast) -> None:
    """The 31 days of March less an hour hold 30 x 1 day, 10 before that and 20 until the end."""
    a_day_each(cast)
    start = datetime.fromisoformat("2026-03-01T00:00+01:00")
    till = (start - (MONDAY - 20 * DAY)) / HOUR
    enter(
        cast,
        news("withdrawn", moved(till + 240, "withdrawn"), opened_at=MONDAY - 20 * DAY),
        news(
            "came back",
            moved(till - 24, "resolved"),
            moved(till + 24, "open"),
            moved(till + 480, "resolved"),
            opened_at=MONDAY - 20 * DAY,
        ),
        news("over before", moved(till - 1, "resolved"), opened_at=MONDAY - 20 * DAY),
    )
    assert told_of(cast).ratio == pytest.approx((30 + 10 + 20) / 30)


def test_a_past_reading_tells_the_same_of_the_log_folded_again(cast: Cast) -> None:
    a_day_each(cast)
    never_closed(cast, 3)
    enter(cast, news("gap", moved(1, "resolved"), moved(280, "open"), opened_at=MONDAY - 9 * DAY))
    cut = Slice(MARCH, APRIL, frozenset([cast.network.pk]), "medium")
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        past = past_reader(cast.acme, as_of=MAY, start=MARCH, until_day=APRIL)
        then = with_data_quality(past.tell("backlog.open", cut), cut, past).data_quality_hint
    assert then == told_of(cast)
    assert then is not None
    assert then.outcome is Agreeing.DIFFERS


def test_one_statement_asks_what_was_there_and_only_where_it_is_needed(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_day_each(cast)
    a_day_each(cast, severity="high")
    a_day_each(cast, number=FEWEST - 1, severity="low")
    seen = asked_of_blocks(monkeypatch)
    for severities, statements in ((("low", "critical"), 0), (("medium", "high"), 1)):
        with acting(cast.acme.pk):
            reader = Reader(cast.acme, as_of=MAY)
            network = frozenset([cast.network.pk])
            reader.fetch_for(MARCH, APRIL, network)
            cuts = [Slice(MARCH, APRIL, network, severity) for severity in severities]
            readings = [(reader.tell(f"backlog.{v}", cut), cut) for v in VIEWS for cut in cuts]
            seen.clear()
            for reading, cut in readings:
                with_data_quality(reading, cut, reader)
            assert len(seen) == statements


def test_only_what_differs_stands_with_the_flaws_of_the_data(cast: Cast) -> None:
    def line(name: str) -> str:
        with acting(cast.acme.pk):
            reader = Reader(cast.acme, as_of=MAY)
            cut = Slice(MARCH, APRIL, frozenset([cast.network.pk]), "medium")
            return flaws_in_words(with_data_quality(reader.tell(name, cut), cut, reader))

    a_day_each(cast)
    assert line("backlog.open") == ""
    never_closed(cast, 3)
    assert line("backlog.open") == told_of(cast).sentence
    assert line("resolution_time.cohort_median") == ""
