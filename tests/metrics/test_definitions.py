"""Every metric of the registry: what it declares, and that it never fails for want of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from metrics import columns, definitions
from metrics.definitions import BY_KEY, METRICS, Guardrail, Metric, UnknownMetric, View, find
from metrics.evaluating import SeveritiesPooled
from metrics.keeping import Loaded, Stretch
from metrics.kinds import Unit
from metrics.measure import Reader, Slice
from metrics.rows import Rows
from metrics.trends import Period, trend
from portal.tenancy.context import acting
from surveys import reading_comments
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    MARCH,
    MAY,
    add_written_line,
    asked,
    asked_of_blocks,
    commented,
    enter,
    month,
    moved,
    news,
    promise,
    read,
    themed,
    used,
)
from tickets.canonical import EventType

VIEWS = [
    pytest.param(metric, view, id=f"{metric.key}.{view.key}")
    for metric in METRICS
    for view in metric.views
]
#: What the handbook asks for and nothing records, with the words that say so.
NEVER_TOLD = {
    "response_rate.break_off": "nobody records who opened",
    "telemetry_proxy.estimate": "nobody has said how quick",  # told in test_self_service.py
}
DECLARED = ("question", "formula", "evidence", "gaming", "source")


@pytest.mark.parametrize("metric", METRICS, ids=list(BY_KEY))
@pytest.mark.parametrize("field", DECLARED)
def test_every_metric_declares_what_to_read_beside_it(metric: Metric, field: str) -> None:
    assert len(getattr(metric, field)) > 5
    told = {f.name: getattr(metric, f.name) for f in fields(metric)}
    for nothing in ("", "none", "none yet"):
        with pytest.raises(ValueError, match=f"{metric.key} declares no {field}"):
            Metric(**(told | {field: nothing}))


@pytest.mark.parametrize("metric", METRICS, ids=list(BY_KEY))
def test_every_metric_declares_its_guardrail_or_why_it_has_none(metric: Metric) -> None:
    assert bool(metric.guardrail) is not metric.unguarded.startswith("none, because ")
    for nothing in ("", "none", "none yet"):
        with pytest.raises(ValueError, match=f"{metric.key} declares no unguarded"):
            replace(metric, guardrail=(), unguarded=nothing)
    with pytest.raises(ValueError, match="says that it has none"):
        replace(
            metric,
            guardrail=(Guardrail(words="what comes in"),),
            unguarded="none, because nobody looks",
        )


def test_a_metric_needs_views_with_names_of_their_own() -> None:
    metric = METRICS[0]
    for views in ((), (metric.headline, metric.headline)):
        with pytest.raises(ValueError, match="names of their own"):
            replace(metric, views=views)


def test_codes_and_keys_are_unique() -> None:
    assert len({metric.code for metric in METRICS}) == len(BY_KEY) == len(METRICS)


@pytest.mark.parametrize(("metric", "view"), VIEWS)
def test_a_view_is_found_by_its_name_and_the_first_stands_for_the_metric(
    metric: Metric, view: View
) -> None:
    assert find(f"{metric.key}.{view.key}") == (metric, view)
    assert find(metric.key) == (metric, metric.views[0])


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownMetric, match="csat_share"):
        find("happiness")
    with pytest.raises(UnknownMetric, match="it has share"):
        find("csat_share.mean")


@pytest.mark.parametrize(("metric", "view"), VIEWS)
def test_durations_are_told_per_severity(metric: Metric, view: View) -> None:
    assert view.per_severity or view.unit is not Unit.SECONDS


@pytest.mark.parametrize(("metric", "view"), VIEWS)
def test_a_view_tells_an_empty_slice_without_failing(
    cast: Cast, metric: Metric, view: View
) -> None:
    name = f"{metric.key}.{view.key}"
    reading = read(cast, name, severity="low" if view.per_severity else None)
    assert reading.key == name
    if metric.key == "backlog" and view.unit is Unit.COUNT:
        assert (reading.value, reading.sentence) == (0, "Nothing is open.")
        return
    assert reading.value is None
    assert reading.sentence.startswith("Unknown: ")
    assert len(reading.sentence) > len("Unknown: nothing.")
    assert reading.interval.lower is reading.interval.upper is None


@pytest.fixture
def told(cast: Cast) -> Cast:
    promise(cast)
    add_written_line(cast)
    month(cast, 60)
    denied = (0.5, EventType.FLAGGED, {"flag": "policy_denial"})
    enter(cast, *(news(f"denied {n}", denied, moved(2, "resolved")) for n in range(6)))
    for score in (5, 4, 4, 2, 1, 5, 5, 4, 3, 5, 4, 5):
        asked(cast, score)
        asked(cast, score, policy_denial=True)
        asked(cast, score, scale="ces_ease")
        asked(cast, 2 * score, scale="nps_0_10")
    used(cast)
    for score in (5, 5, 4, 2, 1) * 2:
        commented(cast, score, "It works again, that was great!")
    themed(cast, "works again")
    with roles.as_role(roles.WORKER):
        reading_comments.sweep(MAY)
    return cast


@pytest.mark.parametrize(("metric", "view"), VIEWS)
def test_a_view_refuses_pooled_severities_where_it_must_and_tells_the_rest(
    told: Cast, metric: Metric, view: View
) -> None:
    name = f"{metric.key}.{view.key}"
    severity = None
    if view.per_severity:
        with pytest.raises(SeveritiesPooled, match="never pooled across severities"):
            read(told, name)
        severity = "medium"
    reading = read(told, name, severity=severity)
    plain: dict[str, Any] = reading.to_json()
    if name in NEVER_TOLD:
        assert (plain["value"], NEVER_TOLD[name] in plain["sentence"]) == (None, True)
        return
    assert plain["value"] is not None or plain["sentence"].startswith("More than ")
    assert plain["denominator"] > 0
    assert plain["paired_evidence"] == (metric.evidence,)
    assert plain["as_of"] == MAY.isoformat()
    if view.unit is Unit.SHARE:
        assert 0 <= plain["value"] <= 1


def a_month(view: View) -> Slice:
    return Slice(MARCH, APRIL, None, "medium" if view.per_severity else None)


class Shuffled(Reader):
    """Reads the same columns in another order."""

    def _load(self, *asked: Any) -> dict[str, Loaded]:
        return {
            name: Loaded(self._shuffled(found.rows), None)
            for name, found in super()._load(*asked).items()
        }

    def _open_at(self, *asked: Any) -> Rows:
        return self._shuffled(super()._open_at(*asked))

    def _shuffled(self, rows: Rows) -> Rows:
        return rows[np.random.default_rng(1).permutation(len(rows))]


class DayByDay(Reader):
    """Puts the columns together from one read a day."""

    def _load(self, asked: Sequence[Stretch], *served: Any) -> dict[str, Loaded]:
        return {one.kind.name: Loaded(self._by_day(one, *served), None) for one in asked}

    def _by_day(self, asked: Stretch, *served: Any) -> Rows:
        days = [asked.start + timedelta(days=n) for n in range(asked.days)]
        alone = [Stretch(asked.kind, day, day + timedelta(1)) for day in days]
        found = [super(DayByDay, self)._load([one], *served) for one in alone]
        return Rows.together([told.rows for one in found for told in one.values()])


def everything(reader: Reader) -> dict[str, tuple[Any, ...]]:
    return {
        f"{metric.key}.{view.key}": (
            estimate.numerator,
            estimate.denominator,
            estimate.left_out,
            *map(pytest.approx, (estimate.value, estimate.interval.lower, estimate.interval.upper)),
        )
        for metric in definitions.BY_KEY.values()
        for view in metric.views
        for estimate in [reader.estimate(view, a_month(view))]
    }


def test_figures_do_not_depend_on_how_or_in_which_order_rows_are_read(told: Cast) -> None:
    with acting(told.acme.pk):
        figures = everything(Reader(told.acme, as_of=MAY))
        assert everything(Shuffled(told.acme, as_of=MAY)) == figures
        assert everything(DayByDay(told.acme, as_of=MAY)) == figures


def test_a_scorecard_reads_each_kind_once_for_all_its_figures_and_weeks(
    told: Cast, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    with roles.as_role(roles.WORKER):
        columns.refresh(told.acme)
    read_so_far = asked_of_blocks(monkeypatch)
    with acting(told.acme.pk):
        Reader(told.acme, as_of=MAY).fetch(MARCH, APRIL)
        read_so_far.clear()
        reader = Reader(told.acme, as_of=MAY)
        reader.fetch(MARCH, APRIL)
        with django_assert_num_queries(0):
            for metric, view in (param.values for param in VIEWS):
                name = f"{metric.key}.{view.key}"
                reader.measure(name, a_month(view))
                if metric.key != "backlog":
                    trend(reader, name, a_month(view), WEEKS)
        assert len(read_so_far) == len(columns.KINDS) + 1  # what is open is no matter of days
        read_so_far.clear()
        Reader(told.acme, as_of=MAY).fetch(MARCH, APRIL, capabilities=frozenset([told.network.pk]))
        assert (
            len(read_so_far) == 2
        )  # of one capability all kinds at once; new is what has no block
        Reader(told.acme, as_of=MAY).fetch(MARCH, APRIL, capabilities=frozenset([told.network.pk]))
        assert len(read_so_far) == 3


WEEKS = [Period(MARCH + timedelta(7 * n), MARCH + timedelta(7 * n + 7), "") for n in range(4)]
