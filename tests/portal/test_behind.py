"""The tickets behind a figure: they add up to it, and only those who may see tickets see them."""

from __future__ import annotations

import re
from datetime import date
from statistics import median
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from metrics import tracing
from metrics.definitions import find, names
from metrics.kinds import Unit
from metrics.measure import Reader, SeveritiesPooled, Slice
from metrics.tracing import Traced, Untraceable, behind, is_traceable, some
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.metrics.told import DAY, MONDAY, add_written_line, enter, month, moved, news, promise
from tests.portal.test_one_number import browser

PAGE = "/acme/capabilities/network/tickets/"
NOW = MONDAY + 90 * DAY
TRACEABLE = [name for name in names() if is_traceable(name)]


@pytest.fixture
def told(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    promise(cast)
    add_written_line(cast)
    month(cast, 60)
    enter(cast, *(news(f"open {n}", opened_at=MONDAY + n * DAY) for n in range(4)))
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return cast


def cut_of(cast: Cast, severity: str | None = None) -> Slice:
    return Slice(date(2026, 3, 1), date(2026, 4, 1), frozenset([cast.network.pk]), severity)


def rows_of(cast: Cast, name: str, severity: str | None = None) -> tuple[list[Traced], Any]:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=NOW)
        cut = cut_of(cast, severity)
        return list(behind(reader, name, cut).from_place(0)), reader.measure(name, cut)


def test_what_tickets_contribute_alone_adds_up_to_the_figure(told: Cast) -> None:
    for name in TRACEABLE:
        adds_up(told, name)


def adds_up(told: Cast, name: str) -> None:
    _, view = find(name)
    rows, reading = rows_of(told, name, "medium" if view.per_severity else None)
    assert rows, f"{name}: nothing of the kind happened: the comparison would say nothing"
    counted = [row.contribution for row in rows if row.counts]
    assert len(counted) == reading.denominator, name
    if reading.numerator is not None:
        assert sum(one.numerator or 0 for one in counted) == reading.numerator, name
    waiting = [one for one in (row.contribution for row in rows) if one.still_open or one.why]
    if reading.still_open:
        assert len(waiting) >= reading.still_open, name
    if view.unit is Unit.SECONDS and "median" in view.key and not reading.still_open:
        alone = [one.value for one in counted]
        assert reading.value == pytest.approx(median(alone), abs=1), name


def test_most_figures_of_tickets_are_traced_and_no_answer_is() -> None:
    assert len(TRACEABLE) > 20
    for name in names():
        metric, _ = find(name)
        if metric.from_answers:
            assert name not in TRACEABLE


def test_a_figure_from_answers_is_refused_with_the_reason(told: Cast) -> None:
    with acting(told.acme.pk):
        reader = Reader(told.acme, as_of=NOW)
        with pytest.raises(Untraceable, match="that is theirs"):
            behind(reader, "csat_share.share", cut_of(told))
        with pytest.raises(SeveritiesPooled):
            behind(reader, "resolution_time.cohort_median", cut_of(told))


def test_a_rare_row_is_looked_for_among_so_many_and_no_more(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "MOST_LOOKED_AT", 10)
    with acting(told.acme.pk):
        rows = behind(Reader(told.acme, as_of=NOW), "reopen_rate.rate", cut_of(told))
        expected = [one.place for one in rows.from_place(0) if one.counts_for_it]
        place: int | None = 0
        found: list[int] = []
        steps = 0
        while place is not None:
            told_now = some(rows, first=place, wanted=3, only_for_it=True)
            found += [one.place for one in told_now.rows]
            place, steps = told_now.go_on, steps + 1
    assert found == expected
    assert steps >= len(rows) // 10


def test_the_page_lists_the_tickets_and_its_figure(told: Cast) -> None:
    rows, reading = rows_of(told, "reopen_rate.rate")
    asked = {"figure": "reopen_rate.rate", "from": "2026-03-01", "until": "2026-04-01", "only": "1"}
    page = browser(told).get(PAGE, asked).content.decode()
    assert reading.sentence in page
    listed = re.findall(r'<th scope="row"><a class="mono" href="[^"]+">([^<]+)</a>', page)
    assert listed == [row.ticket for row in rows if row.counts_for_it][:50]
    assert listed
    assert page.count("counted for it") == len(listed)


def test_the_next_rows_follow_without_gap_or_repetition(told: Cast) -> None:
    enter(told, *(news(f"more {n}", moved(3, "resolved")) for n in range(60)))
    client, query, listed = browser(told), "figure=reopen_rate.rate", []
    query += "&from=2026-03-01&until=2026-04-01"
    while query:
        page = client.get(f"{PAGE}?{query}").content.decode()
        listed += re.findall(r'<th scope="row"><a class="mono" href="[^"]+">([^<]+)</a>', page)
        onward = re.search(r'href="\?([^"]+)">Go on', page)
        query = onward[1].replace("&amp;", "&") if onward else ""
    rows, _ = rows_of(told, "reopen_rate.rate")
    assert listed == [row.ticket for row in rows]
    assert len(listed) > 80


def test_the_scorecard_leads_there_for_those_who_see_tickets_only(told: Cast) -> None:
    def led(client: Client) -> list[str]:
        days = "from=2026-03-01&until=2026-04-01"
        page = client.get(f"/acme/capabilities/network/?{days}").content.decode()
        return re.findall(r'href="(tickets/\?[^"]+)"', page)

    urls = led(browser(told))
    assert any("figure=reopen_rate.rate" in url for url in urls)
    assert not any("csat" in url for url in urls)
    for url in urls:
        answer = browser(told).get(f"/acme/capabilities/network/{url.replace('&amp;', '&')}")
        assert answer.status_code == 200
    assert led(browser(told, "bea")) == []
    assert browser(told, "bea").get(PAGE).status_code == 404


def test_what_a_figure_rests_on_is_worked_out_once_even_if_it_leads_to_no_tickets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(tracing, "find", lambda name: asked.append(name) or find(name))
    tracing._rests_on.cache_clear()
    for _ in range(2):
        assert tracing.rests_on("csat_share.share") is None
        assert tracing.rests_on("reopen_rate.rate") is not None
    assert asked == ["csat_share.share", "reopen_rate.rate"]
