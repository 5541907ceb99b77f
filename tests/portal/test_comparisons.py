"""Periods, parts and drivers: only what is proven is worded as a difference."""

from __future__ import annotations

from typing import Any

import pytest

from metrics import columns
from portal import comparisons
from portal.tenancy.context import acting
from surveys.models import SurveyedEvent
from tests import roles
from tests.factories import Cast, RequesterFactory
from tests.metrics.told import DAY, MONDAY, asked, asked_of_blocks, enter, moved, news, replied
from tests.portal.test_one_number import browser
from tickets.models import Requester, Resolution

SPRING = {"from": "2026-04-01", "until": "2026-05-01"}


def tickets(cast: Cast, number: int, back: int, *, weeks: int = 0, **created: Any) -> None:
    """Resolved tickets of a day, `back` of them reopened."""
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    enter(
        cast,
        *(
            news(
                f"{created} {weeks} {n}",
                moved(2, "resolved"),
                *(again if n < back else ()),
                opened_at=MONDAY + 7 * weeks * DAY,
                **created,
            )
            for n in range(number)
        ),
    )


@pytest.fixture
def changed(cast: Cast) -> Cast:
    """The network got worse from March to April, accounts did not; most of April is the network."""
    tickets(cast, 20, 2, capability="network")
    tickets(cast, 40, 2, weeks=6, capability="network")
    tickets(cast, 40, 30, weeks=7, capability="network", severity="high")
    tickets(cast, 60, 6, capability="accounts")
    tickets(cast, 20, 2, weeks=6, capability="accounts")
    return cast


def row(page: str, name: str) -> str:
    """The first row of that name."""
    found = page.split(f'<th scope="row">{name}</th>')[1]
    return found.split("</tr>")[0]


def test_a_change_is_split_into_rate_and_mix_and_worded_only_if_proven(changed: Cast) -> None:
    page = browser(changed).get("/acme/compare/", SPRING).content.decode()
    assert "1 April 2026 to 30 April 2026, against as many days before: 2 March 2026" in page
    assert "Worse: 34.0 % (34 of 100) were reopened within 14 days, after 10.0 % (8 of 80)" in page
    assert "+24.0 points" in page
    # rate: (0.25 + 0.8) / 2 * (40 - 10) points; mix: (10 + 40) / 2 * 0.55 - 10 * 0.55 points
    assert "What the parts did themselves: +15.8 points" in page
    assert "in other numbers: +8.3 points" in page
    assert "Mostly a change of mix" not in page
    assert "<strong>worse</strong>" in row(page, "Network")
    assert "10.0 % (2 of 20)" in row(page, "Network")
    assert "no clear change" in row(page, "Accounts") or "no clear difference" in row(
        page, "Accounts"
    )
    assert "<strong>" not in row(page, "Accounts")


def test_parts_are_set_against_the_largest(changed: Cast) -> None:
    page = browser(changed).get("/acme/compare/", SPRING).content.decode()
    against = page.split('id="differences"')[1]
    assert "Each against Network" in against
    assert "<strong>lower</strong>" in row(against, "Accounts")
    one = {"capability": "network", **SPRING}
    by_severity = browser(changed).get("/acme/compare/", one).content.decode()
    assert "<strong>lower</strong>" in row(by_severity.split('id="differences"')[1], "medium")


def test_a_change_of_mix_is_called_one(cast: Cast) -> None:
    tickets(cast, 60, 6, capability="accounts")
    tickets(cast, 20, 12, capability="network")
    tickets(cast, 20, 2, weeks=6, capability="accounts")
    tickets(cast, 60, 36, weeks=6, capability="network")
    page = browser(cast).get("/acme/compare/", SPRING).content.decode()
    assert "Mostly a change of mix." in page
    assert "What the parts did themselves: 0.0 points" in page


def test_answers_of_several_services_are_not_thrown_together(cast: Cast) -> None:
    for capability in (cast.network, cast.accounts):
        for number in range(12):
            asked(cast, 5 if number < 8 else 2, capability=capability, at=MONDAY + 42 * DAY)
    question = {"metric": "csat_share.share", **SPRING}
    page = browser(cast).get("/acme/compare/", question).content.decode()
    assert "never thrown together" in page
    assert "(16 of 24)" not in page
    one = browser(cast).get("/acme/compare/", {**question, "capability": "network"})
    assert "never thrown together" not in one.content.decode()


def test_few_answers_of_a_part_cannot_be_found_by_subtraction(cast: Cast) -> None:
    for severity, number in (("low", 12), ("medium", 11), ("high", 2)):
        for _ in range(number):
            event = asked(cast, 5, at=MONDAY + 42 * DAY)
            _of(event, severity)
    question = {"metric": "csat_share.share", "capability": "network", **SPRING}
    page = browser(cast).get("/acme/compare/", question).content.decode()
    assert "2 of 2" not in page
    assert '<th scope="row">high</th>' not in page


def _of(event: Any, severity: str) -> None:
    with roles.as_role(roles.OWNER), acting(event.tenant_id):
        type(event).objects.filter(pk=event.pk).update(severity=severity)


def test_drivers_tell_big_because_busy_from_worse_than_the_rest(cast: Cast) -> None:
    for capability, number, unhappy in ((cast.accounts, 40, 4), (cast.network, 20, 10)):
        for one in range(number):
            asked(cast, 1 if one < unhappy else 5, capability=capability, at=MONDAY + 42 * DAY)
    page = browser(cast).get("/acme/drivers/", SPRING).content.decode()
    # 14 of 60 overall, weight 20 (fewer than five groups): shrunk rates by hand
    p = 14 / 60
    network, accounts = 20 * (10 + 20 * p) / 40, 40 * (4 + 20 * p) / 60
    share = 100 * network / (network + accounts)
    rows = page.split("<tbody>")[1]
    assert rows.index("Network") < rows.index("Accounts")
    assert f"{share:.1f} %" in rows.split("</tr>")[0].replace("\xa0", " ")
    assert "worse than the rest" in rows.split("</tr>")[0]
    assert "big because busy" in rows.split("</tr>")[1]
    assert "10 of 20" in rows.split("</tr>")[0]


def test_a_service_with_four_answers_is_not_named_among_drivers(cast: Cast) -> None:
    for capability, number in ((cast.accounts, 10), (cast.network, 4)):
        for _ in range(number):
            asked(cast, 1, capability=capability, at=MONDAY + 42 * DAY)
    page = browser(cast).get("/acme/drivers/", SPRING).content.decode()
    assert "Network" not in page.split("<tbody>")[1].split("</tbody>")[0]
    assert "4 of 4" not in page
    assert "too few answers to say" in page


@pytest.mark.parametrize("path", ["/acme/compare/", "/acme/drivers/"])
def test_a_page_reads_each_kind_once(
    changed: Cast, path: str, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    client = browser(changed)
    fetched = asked_of_blocks(monkeypatch)
    with django_assert_max_num_queries(22):
        assert client.get(path, SPRING).status_code == 200
    # Of each kind what is packed, and the facts of other days.
    assert len(fetched) <= 2 * len(columns.KINDS)


def test_what_a_page_is_asked_for_in_vain_is_told_for_the_usual_period(cast: Cast) -> None:
    page = browser(cast).get("/acme/compare/", {"from": "soon", "metric": "happiness"})
    assert page.status_code == 200
    assert "Both days are needed" in page.content.decode()
    assert "Reopened" in page.content.decode() or "reopened" in page.content.decode()


# --- what satisfaction goes together with ---------------------------------------------------------


def answered_about(cast: Cast, scores: list[int], people: list[Requester] | None = None) -> None:
    """Answers about the resolutions that are there, in the order of their tickets' names.

    Each by somebody else, or everybody who gives the same score is one of `people`, lowest first.
    """
    whose = dict(zip(sorted(set(scores)), people, strict=True)) if people else {}
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        resolutions = list(
            Resolution.objects.for_tenant(cast.acme)
            .filter(number=1)
            .order_by("ticket__external_id")
        )
        assert len(resolutions) == len(scores)
    for resolution, score in zip(resolutions, scores, strict=True):
        event = asked(cast, score, at=resolution.at, requester=whose.get(score))
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            SurveyedEvent.objects.filter(pk=event.pk).update(
                ticket_id=resolution.ticket_id, event_key=resolution.event_key
            )


def story(back: bool) -> tuple[Any, ...]:
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    return (moved(2, "resolved"), *(again if back else ()))


MARCH_ONLY = {"from": "2026-03-01", "until": "2026-04-01", "capability": "network"}


def test_satisfaction_is_told_beside_what_happened_to_the_items(cast: Cast) -> None:
    enter(cast, *(news(f"H{n:02}", *story(back=n < 15)) for n in range(40)))
    answered_about(cast, [2] * 12 + [5] * 3 + [5] * 22 + [1] * 3)
    page = browser(cast).get("/acme/drivers/", MARCH_ONLY).content.decode()
    held = row(page, "held")
    assert "88.0 % (22 of 25)" in held
    assert "20.0 % (3 of 15)" in held
    assert "<strong>higher</strong>" in held
    assert page.index('<th scope="row">held</th>') < page.index(
        '<th scope="row">not escalated</th>'
    )
    assert "too few answers to say" in row(page, "not escalated")  # nothing was escalated
    assert "too few answers to say" in row(page, "resolved in time")  # nothing was promised


def test_two_people_who_answer_often_prove_no_difference(cast: Cast) -> None:
    enter(cast, *(news(f"H{n:02}", *story(back=n < 15)) for n in range(40)))
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        two = [RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(2)]
    answered_about(cast, [1] * 15 + [5] * 25, two)
    held = row(browser(cast).get("/acme/drivers/", MARCH_ONLY).content.decode(), "held")
    assert "100.0 % (25 of 25)" in held
    assert "no clear difference" in held


def test_two_sides_of_few_answers_are_both_kept_back(cast: Cast) -> None:
    enter(cast, *(news(f"H{n:02}", *story(back=n < 4)) for n in range(30)))
    answered_about(cast, [1] * 4 + [5] * 26)
    page = browser(cast).get("/acme/drivers/", MARCH_ONLY).content.decode()
    assert "too few answers to say" in row(page, "held")
    assert "26 of 26" not in page


def by_tenure(cast: Cast, old_back: int, new_back: int, number: int = 40) -> None:
    """In April: people whose first item was a year ago, and people never heard of before."""
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    april, long_ago = MONDAY + 42 * DAY, MONDAY - 400 * DAY
    told = []
    for n in range(number):
        old = {"requester": f"old {n}"}
        told.append(news(f"first {n}", moved(1, "resolved"), opened_at=long_ago, **old))
        story = (
            (moved(40 + n / 10, "resolved"),) if n >= old_back else (moved(2, "resolved"), *again)
        )
        told.append(news(f"old {n}", *story, opened_at=april, **old))
        story = (moved(2 + n / 100, "resolved"), *(again if n < new_back else ()))
        told.append(news(f"new {n}", *story, opened_at=april))
    enter(cast, *told)


@pytest.mark.parametrize(("old_back", "differs"), [(20, True), (6, False)])
def test_segments_are_compared_by_who_people_were_then(
    cast: Cast, old_back: int, differs: bool
) -> None:
    by_tenure(cast, old_back, 5)
    question = {"by": "tenure", "capability": "network", **SPRING}
    page = browser(cast).get("/acme/compare/", question).content.decode()
    against = page.split('id="differences"')[1]
    assert f"({old_back} of 40)" in page
    assert "Each against experienced" in against
    assert ("<strong>lower</strong>" in row(against, "unknown")) is differs
    if not differs:
        assert "no clear difference" in against
    assert "the same as" not in page


def test_durations_are_compared_by_their_course_within_one_severity(cast: Cast) -> None:
    by_tenure(cast, 0, 0)
    question = {
        "by": "tenure",
        "capability": "network",
        "metric": "resolution_time.cohort_median",
        **SPRING,
    }
    page = browser(cast).get("/acme/compare/", question).content.decode()
    against = page.split('id="differences"')[1]
    assert "<strong>longer</strong>" in against or "<strong>shorter</strong>" in against
    assert "(40 items)" in against
    assert 'name="severity"' in page
    low = browser(cast).get("/acme/compare/", {**question, "severity": "low"}).content.decode()
    assert "nothing" in low


def test_what_cannot_be_told_by_segment_says_so(cast: Cast) -> None:
    question = {"by": "tenure", "capability": "network", **SPRING}
    shown = browser(cast).get(
        "/acme/compare/", {**question, "metric": "self_service_completion.share"}
    )
    new = row(shown.content.decode(), "new")
    assert "not compared: what people do without us is not told by segment" in new
    assert new.count("unknown") == 2


def test_a_page_asks_all_its_questions_as_one_family(cast: Cast, monkeypatch: Any) -> None:
    by_tenure(cast, 20, 5)
    asked: list[int] = []
    ours = comparisons.compare
    monkeypatch.setattr(
        comparisons,
        "compare",
        lambda pairs, **more: asked.append(len(pairs)) or ours(pairs, **more),
    )
    browser(cast).get("/acme/compare/", {"by": "tenure", "capability": "network", **SPRING})
    assert asked == [4 + 3]  # four values of tenure over time, three of them against the largest
