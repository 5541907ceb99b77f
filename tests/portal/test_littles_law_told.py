"""The check of what is open by Little's law, on page, API, export and command (METRICS.md M22)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import Cast
from tests.metrics.test_littles_law import VIEWS, a_day_each, never_closed, told_of
from tests.metrics.told import MAY
from tests.portal.test_one_number import browser, by_command, key, table
from tests.portal.test_readings import PERIOD

NAME = "backlog.business_age_median"
QUALITY = '<a href="/acme/sources/quality/">{}</a>'
TERM = "<dt>Check by Little&#x27;s law<dd>{}"


@pytest.fixture
def steady(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """One a day of medium severity, each open for a day; nothing of another."""
    monkeypatch.setattr(timezone, "now", lambda: MAY)
    a_day_each(cast)
    return cast


def by_api(cast: Cast, name: str = NAME, severity: str | None = "medium") -> Any:
    asked = {"metric": name, "capability": "network", **PERIOD}
    asked |= {"severity": severity} if severity else {}
    answer = Client(headers=key(cast)).get(reverse("api_readings"), asked)
    assert answer.status_code == 200, answer.content
    return answer.json()


def page_of(cast: Cast) -> str:
    return browser(cast).get("/acme/capabilities/network/", PERIOD).content.decode()


def escaped(sentence: str) -> str:
    return sentence.replace("'", "&#x27;")


def test_what_differs_stands_with_the_quality_of_the_data_everywhere(steady: Cast) -> None:
    never_closed(steady, 3)
    hint = told_of(steady)
    assert hint.ratio == pytest.approx((30 + 3 * (31 - 1 / 24)) / 30)  # the clocks went forward
    told = {"outcome": "differs", "ratio": hint.ratio, "sentence": hint.sentence}
    assert [by_api(steady, f"backlog.{view}")["data_quality_hint"] for view in VIEWS] == [told] * 4
    assert by_command(NAME, "medium")["data_quality_hint"] == told
    rows = table(browser(steady).get("/acme/capabilities/network/export/", PERIOD))
    assert rows[NAME, "medium"]["data_quality_hint"] == f"differs: {hint.sentence}"
    page = page_of(steady)
    assert page.count(QUALITY.format(escaped(hint.sentence))) == 1
    assert page.count(TERM.format(escaped(hint.sentence))) == 1


def test_what_agrees_is_said_without_alarm(steady: Cast) -> None:
    """The negative control: the same flow without the three that are never closed."""
    hint = by_api(steady)["data_quality_hint"]
    assert (hint["outcome"], hint["ratio"]) == ("agrees", 1.0)
    page = page_of(steady)
    assert TERM.format(escaped(hint["sentence"])) in page
    assert QUALITY.format(escaped(hint["sentence"])) not in page


def test_where_it_cannot_be_told_all_of_them_say_why(steady: Cast) -> None:
    few = "Unknown: 0 opened in this period are too few, it takes 30."
    several = "Unknown: it is told of one severity only, as times are never pooled over several."
    page = page_of(steady)
    rows = table(browser(steady).get("/acme/capabilities/network/export/", PERIOD))
    for name, severity, why in ((NAME, "low", few), ("backlog.open", None, several)):
        told = {"outcome": "unknown", "ratio": None, "sentence": why}
        assert by_api(steady, name, severity)["data_quality_hint"] == told
        assert rows[name, severity]["data_quality_hint"] == f"unknown: {why}"
        assert TERM.format(why) in page


def test_of_other_figures_nothing_is_checked(steady: Cast) -> None:
    assert by_api(steady, "resolution_time.cohort_median")["data_quality_hint"] is None
    rows = table(browser(steady).get("/acme/capabilities/network/export/", PERIOD))
    checked = {name for (name, _), row in rows.items() if row["data_quality_hint"]}
    assert checked == {f"backlog.{view}" for view in VIEWS}
