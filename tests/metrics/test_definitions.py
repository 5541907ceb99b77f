"""Every metric of the registry: what it declares, and that it never fails for want of data."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from metrics.definitions import BY_KEY, METRICS, Metric, UnknownMetric, View, find
from metrics.evaluating import SeveritiesPooled
from metrics.kinds import Unit
from tests.factories import Cast
from tests.metrics.told import MAY, asked, enter, month, moved, news, promise, read
from tickets.canonical import EventType

VIEWS = [
    pytest.param(metric, view, id=f"{metric.key}.{view.key}")
    for metric in METRICS
    for view in metric.views
]
DECLARED = ("question", "formula", "evidence", "guardrail", "gaming", "source")


@pytest.mark.parametrize("metric", METRICS, ids=list(BY_KEY))
@pytest.mark.parametrize("field", DECLARED)
def test_every_metric_declares_what_to_read_beside_it(metric: Metric, field: str) -> None:
    assert len(getattr(metric, field)) > 5
    told = {f.name: getattr(metric, f.name) for f in fields(metric)}
    for nothing in ("", "none", "none yet"):
        with pytest.raises(ValueError, match=f"{metric.key} declares no {field}"):
            Metric(**(told | {field: nothing}))


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
    if view.unit is Unit.COUNT:
        assert (reading.value, reading.sentence) == (0, "Nothing is open.")
        return
    assert reading.value is None
    assert reading.sentence.startswith("Unknown: ")
    assert len(reading.sentence) > len("Unknown: nothing.")
    assert reading.interval.lower is reading.interval.upper is None


@pytest.fixture
def told(cast: Cast) -> Cast:
    promise(cast)
    month(cast, 60)
    denied = (0.5, EventType.FLAGGED, {"flag": "policy_denial"})
    enter(cast, *(news(f"denied {n}", denied, moved(2, "resolved")) for n in range(6)))
    for score in (5, 4, 4, 2, 1, 5, 5, 4, 3, 5, 4, 5):
        asked(cast, score)
        asked(cast, score, policy_denial=True)
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
    assert plain["value"] is not None or plain["sentence"].startswith("More than ")
    assert plain["denominator"] > 0
    assert (plain["guardrail"], plain["paired_evidence"]) == (metric.guardrail, (metric.evidence,))
    assert plain["as_of"] == MAY.isoformat()
    if view.unit is Unit.SHARE:
        assert 0 <= plain["value"] <= 1
