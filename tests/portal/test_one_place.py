"""A metric is declared in one place: everything that goes through all metrics finds it there."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse

from metrics import columns, definitions
from metrics.definitions import Family, Metric, View
from metrics.evaluating import Facts, share
from metrics.kinds import Estimate, Unit
from metrics.pairs import Pair
from metrics.standing import Direction
from tests.factories import Cast
from tests.metrics import test_definitions as battery
from tests.metrics.told import month, promise
from tests.portal.test_one_number import PERIOD, Shown, browser, by_command, key, table

LOW = columns.SEVERITIES.index("low") + 1


def trifles(facts: Facts) -> Estimate:
    rows = facts.rows(columns.ITEMS)
    return share(int((rows["severity"] == LOW).sum()), len(rows), beside={"a_dozen": 12})


MADE_UP = Metric(
    code="X01",
    key="trifles",
    family=Family.FLOW,
    name="Trifles",
    question="How much of what comes in is of little weight?",
    formula="Items of low severity of all items opened.",
    population="items opened",
    dating="opening",
    direction=Direction.NONE,
    views=(View("share", "Trifles", Unit.SHARE, trifles, "were of low severity", leads=True),),
    evidence="the items' own texts",
    unguarded="none, because it is made up",
    gaming="calling everything a trifle",
    source="nowhere: it is made up",
    pair=(Pair.ASKED_ALL_THE_SAME,),
)


@pytest.fixture
def declared(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """The one place."""
    monkeypatch.setitem(definitions.BY_KEY, MADE_UP.key, MADE_UP)
    promise(cast)
    month(cast, 30)
    return cast


def test_it_is_told_by_the_api_the_command_the_export_and_the_scorecard(declared: Cast) -> None:
    question = {"metric": "trifles", "capability": "network", **PERIOD}
    by_api = Client(headers=key(declared)).get(reverse("api_readings"), question).json()
    assert 0 < by_api["numerator"] < by_api["denominator"]
    told = by_command("trifles", None)
    assert [told[f] for f in ("value", "sentence")] == [by_api[f] for f in ("value", "sentence")]
    exported = table(browser(declared).get("/acme/capabilities/network/export/", PERIOD))
    assert float(exported["trifles.share", None]["value"]) == by_api["value"]
    page = browser(declared).get("/acme/capabilities/network/", PERIOD).content.decode()
    shown = Shown(page)
    counted = f"{by_api['numerator']} of {by_api['denominator']}"
    assert shown.rows["trifles-share"][2] == counted
    assert by_api["sentence"] in shown.text_of["trifles-share"]
    assert "Trifles, by month" in page  # it leads, so its course is drawn
    assert "A dozen" in shown.text_of["trifles-share"]
    assert page.index('id="family-flow"') < page.index('id="trifles-share"')


def test_it_is_explained_on_the_method_page(declared: Cast) -> None:
    page = Shown(browser(declared).get("/acme/method/").content.decode())
    for said in (MADE_UP.question, MADE_UP.formula, MADE_UP.gaming, MADE_UP.guardrail_words):
        assert said in page.text_of["trifles"]


def test_what_is_not_declared_stands_nowhere(cast: Cast) -> None:
    """The negative control."""
    page = browser(cast).get("/acme/method/").content.decode()
    assert "trifles" not in page
    assert "trifles" not in browser(cast).get("/acme/capabilities/network/").content.decode()
    question = {"metric": "trifles", **PERIOD}
    assert Client(headers=key(cast)).get(reverse("api_readings"), question).status_code == 400


def test_the_battery_runs_over_it(declared: Cast) -> None:
    """The checks of every metric take it as they take the others, and fail where it is wrong."""
    view = MADE_UP.views[0]
    for field in battery.DECLARED:
        battery.test_every_metric_declares_what_to_read_beside_it(MADE_UP, field)
    battery.test_a_view_is_found_by_its_name_and_the_first_stands_for_the_metric(MADE_UP, view)
    battery.test_durations_are_told_per_severity(MADE_UP, view)
    battery.test_a_view_refuses_pooled_severities_where_it_must_and_tells_the_rest(
        declared, MADE_UP, view
    )
    battery.test_figures_do_not_depend_on_how_or_in_which_order_rows_are_read(declared)
    pooled = replace(view, unit=Unit.SECONDS)
    with pytest.raises(AssertionError):
        battery.test_durations_are_told_per_severity(MADE_UP, pooled)


def test_the_battery_goes_through_the_registry_and_no_list_of_its_own() -> None:
    assert [param.id for param in battery.VIEWS] == definitions.names()
    assert "METRICS" not in inspect.getsource(battery.everything)


def test_a_figure_that_depends_on_the_order_of_rows_is_found(
    declared: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_row(facts: Facts) -> Estimate:
        rows = facts.rows(columns.ITEMS)
        return share(int(rows["item"][0]) % 97, 97)

    wrong = replace(MADE_UP, views=(replace(MADE_UP.views[0], evaluate=first_row),))
    monkeypatch.setitem(definitions.BY_KEY, MADE_UP.key, wrong)
    with pytest.raises(AssertionError):
        battery.test_figures_do_not_depend_on_how_or_in_which_order_rows_are_read(declared)
