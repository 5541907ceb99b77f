"""Detectors over columns: each pattern is found where it is, and not where it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

import pytest

from metrics import columns
from metrics.detecting import LOOKS, Look, look
from metrics.detectors import DETECTORS, Check, Closing, Counts, Of, Outcome, bulk_closing
from metrics.measure import Reader, Slice
from portal import watching
from portal.tenancy.context import acting
from surveys import releasing
from surveys.models import Answer, AnswerRevision, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    MONDAY,
    asked,
    asked_of_blocks,
    assigned,
    enter,
    moved,
    news,
    promise,
    replied,
)
from tests.portal.test_one_number import PERIOD, browser
from tickets import usage
from tickets.canonical import EventType
from tickets.models import Resolution, TicketEvent
from tickets.news import UsageTold

#: A resolution is promised within 16 business hours: Monday 9 to Tuesday 17 in Berlin.
SECOND_DAY = 24.0


def found(cast: Cast, key: str) -> Look:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        network = frozenset([cast.network.pk])
        looks = look(
            reader.facts(Slice(MARCH, APRIL, network)),
            reader.facts(Slice(MARCH - 30 * DAY, MARCH, network)),
        )
    return next(one for one in looks if one.detector.key == key)


def outcome(cast: Cast, key: str, check: int = 0) -> Outcome:
    finding = found(cast, key).finding
    assert finding is not None
    return finding.checks[check].outcome


def resolved(cast: Cast, name: str, at: list[float], *more: Any, **created: Any) -> None:
    """One ticket for each number of hours."""
    enter(
        cast,
        *(news(f"{name} {n}", moved(hours, "resolved"), *more, **created)
          for n, hours in enumerate(at)),
    )  # fmt: skip


def test_every_detector_is_looked_for() -> None:
    assert list(LOOKS) == list(DETECTORS)


def test_bunching_just_under_the_target(cast: Cast) -> None:
    """Far below 15 h, just below 15.5 h, just above 16.5 h, far above 18 h of 16."""
    promise(cast)
    shapes = {
        "far below": [SECOND_DAY + 5.5] * 10,
        "just below": [SECOND_DAY + 7.5] * 40,
        "just above": [2 * SECOND_DAY + 0.5] * 4,
        "far above": [2 * SECOND_DAY + 2.5] * 10,
    }
    for name in ("far below", "just above", "far above"):
        resolved(cast, name, shapes[name])
    assert outcome(cast, "G1") is Outcome.TOO_FEW
    resolved(cast, "just below", shapes["just below"])
    assert outcome(cast, "G1") is Outcome.FLAG


def test_no_bunching_where_the_course_is_smooth(cast: Cast) -> None:
    promise(cast)
    for name, hours, number in (
        ("far below", SECOND_DAY + 5.5, 14),
        ("just below", SECOND_DAY + 7.5, 12),
        ("just above", 2 * SECOND_DAY + 0.5, 11),
        ("far above", 2 * SECOND_DAY + 2.5, 10),
    ):
        resolved(cast, name, [hours] * number)
    assert outcome(cast, "G1") is Outcome.NOTHING


@pytest.mark.parametrize(("back", "expected"), [(20, Outcome.FLAG), (1, Outcome.NOTHING)])
def test_closing_early(cast: Cast, back: int, expected: Outcome) -> None:
    promise(cast)
    late = SECOND_DAY + 7.5
    again = (moved(late + 48, "open"), replied(late + 49), moved(late + 50, "resolved"))
    resolved(cast, "early", [2.0] * 35)
    resolved(cast, "late and back", [late] * back, *again)
    resolved(cast, "late", [late] * (40 - back))
    assert outcome(cast, "G2") is expected


@pytest.mark.parametrize(("useless", "expected"), [(20, Outcome.FLAG), (2, Outcome.NOTHING)])
def test_empty_first_replies(cast: Cast, useless: int, expected: Outcome) -> None:
    promise(cast)
    for number in range(40):
        meaning = "not_meaningful" if number < useless else "meaningful"
        enter(cast, news(f"R{number}", replied(1, meaning), replied(9), moved(10, "resolved")))
    assert outcome(cast, "G6", 0) is expected
    assert outcome(cast, "G6", 1) is expected


@pytest.mark.parametrize(("thanks", "expected"), [(30, Outcome.FLAG), (6, Outcome.NOTHING)])
def test_courtesy_reopens_that_double(cast: Cast, thanks: int, expected: Outcome) -> None:
    thanked = (moved(4, "open"), moved(5, "resolved"))
    back = (moved(4, "open"), replied(5), moved(6, "resolved"))
    february = MONDAY - 20 * DAY
    resolved(cast, "then thanked", [2.0] * 6, *thanked, opened_at=february)
    resolved(cast, "then back", [2.0] * 34, *back, opened_at=february)
    resolved(cast, "now thanked", [2.0] * thanks, *thanked)
    resolved(cast, "now back", [2.0] * (40 - thanks), *back)
    assert outcome(cast, "G5") is expected


@pytest.mark.parametrize(("step", "expected"), [(0.0, Outcome.FLAG), (0.01, Outcome.NOTHING)])
def test_clocks_at_one_exact_value(cast: Cast, step: float, expected: Outcome) -> None:
    resolved(cast, "same", [2.0 + step * n for n in range(40)])
    assert outcome(cast, "G10", 2) is expected


def test_closed_for_inactivity_more_often_than_before(cast: Cast) -> None:
    silent = {"resolution": "inactivity"}
    for name, opened, number in (("then", MONDAY - 20 * DAY, 2), ("now", MONDAY, 12)):
        for one in range(40):
            said = silent if one < number else {}
            enter(cast, news(f"{name} {one}", moved(2, "resolved", **said), opened_at=opened))
    assert outcome(cast, "G10", 1) is Outcome.FLAG


def decided(cast: Cast, *, troubled: bool, invited: int, of: int) -> None:
    """Resolutions that could be asked about, escalated or not; the first ones were asked."""
    story: list[Any] = [moved(2, "resolved")]
    if troubled:
        story.insert(0, (1.0, EventType.ESCALATED, {"kind": "functional"}))
    names = [f"asked {troubled} {n}" for n in range(of)]
    enter(cast, *(news(name, *story) for name in names))
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for n, name in enumerate(names):
            resolution = Resolution.objects.get(ticket__external_id=name)
            SurveyedEvent.objects.create(
                tenant=cast.acme,
                ticket_id=resolution.ticket_id,
                event_key=resolution.event_key,
                at=resolution.at,
                decision="invited" if n < invited else "not_sent",
                capability=cast.network,
                severity="medium",
            )


@pytest.mark.parametrize(("invited", "expected"), [(10, Outcome.FLAG), (30, Outcome.NOTHING)])
def test_asking_the_untroubled_only(cast: Cast, invited: int, expected: Outcome) -> None:
    assert "nobody was to be asked" in found(cast, "G3").missing
    decided(cast, troubled=False, invited=32, of=35)
    assert outcome(cast, "G3") is Outcome.TOO_FEW
    decided(cast, troubled=True, invited=invited, of=35)
    assert outcome(cast, "G3") is expected


def rated(cast: Cast, *words: tuple[float, int], message: float | None = None) -> None:
    """An answer given and changed, in hours after the event, with an agent's message between."""
    event = asked(cast, words[-1][1], released=False)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for hours, score in words:
            AnswerRevision.objects.create(
                tenant=cast.acme, answer=event.answer, score=score, at=MONDAY + hours * HOUR
            )
        if message is not None:
            TicketEvent.objects.create(
                tenant=cast.acme,
                ticket=event.ticket,
                key=1,
                type=EventType.MESSAGE,
                at=MONDAY + message * HOUR,
                recorded_at=MONDAY,
                actor_kind="agent",
                public=True,
            )


def released(cast: Cast) -> None:
    """Every answer enters the figures, with whatever was changed."""
    with (
        roles.as_role(roles.WORKER),
        acting(cast.acme.pk),
        patch.object(releasing, "ENOUGH_AGENTS", 0),
    ):
        releasing.release_ready(tenant_id=cast.acme.pk, now=MAY - DAY)


@pytest.mark.parametrize(
    ("message", "expected"), [(12.0, Outcome.FLAG), (1.0, Outcome.NOTHING), (None, Outcome.NOTHING)]
)
def test_chasing_ratings(cast: Cast, message: float | None, expected: Outcome) -> None:
    """Raised after a message between the two ratings; before the first one it chased nothing."""
    for _ in range(7):
        rated(cast, (6, 2), (20, 5), message=message)
    released(cast)
    assert outcome(cast, "G4") is Outcome.TOO_FEW
    for _ in range(5):
        rated(cast, (6, 5), (20, 2), message=12.0)  # went down: nobody chased that
        rated(cast, (6, 4))  # never changed
    assert outcome(cast, "G4") is Outcome.TOO_FEW  # not before the batch is released
    released(cast)
    assert outcome(cast, "G4") is expected


@pytest.mark.parametrize(("late", "expected"), [(25, Outcome.FLAG), (15, Outcome.NOTHING)])
def test_problems_that_come_back_just_after_the_window(
    cast: Cast, late: int, expected: Outcome
) -> None:
    """Half of them by a follow-up ticket of their own, half by a reopen of the same one."""
    for number in range(40):
        days = 16 if number < late else 10
        if number % 2:
            enter(cast, news(f"B{number}", moved(1, "resolved"), moved(1 + days * 24, "open")))
            continue
        enter(cast, news(f"B{number}", moved(1, "resolved")))
        follows = (0.0, EventType.FOLLOWUP_OF, {"parent": f"B{number}"})
        enter(cast, news(f"F{number}", follows, opened_at=MONDAY + HOUR + days * DAY))
    assert outcome(cast, "G5", 1) is expected


@pytest.mark.parametrize(
    ("asking", "expected"),
    [
        (replied(SECOND_DAY + 7.4), Outcome.NOTHING),
        (replied(SECOND_DAY + 7.4, "not_meaningful"), Outcome.FLAG),
        (replied(SECOND_DAY + 6), Outcome.FLAG),
    ],
)
def test_parking_before_the_target(cast: Cast, asking: Any, expected: Outcome) -> None:
    """Set to waiting half an hour before the target of two days, with a question or without."""
    promise(cast)
    parked = (moved(SECOND_DAY + 7.45, "waiting_on_requester"), moved(4 * 24, "resolved"))
    early = moved(3, "waiting_on_requester"), moved(4 * 24, "resolved")
    for number in range(12):
        enter(cast, news(f"E{number}", *early))  # early pauses are nobody's parking
    assert outcome(cast, "G7") is Outcome.TOO_FEW
    for number in range(12):
        enter(cast, news(f"P{number}", asking, *parked))
    assert outcome(cast, "G7") is expected


@pytest.mark.parametrize(("late", "expected"), [(20, Outcome.FLAG), (2, Outcome.NOTHING)])
def test_downgrading_near_the_target(cast: Cast, late: int, expected: Outcome) -> None:
    promise(cast)
    milder = EventType.PRIORITY_CHANGED, {"to": "low"}
    for number in range(40):
        near = [(SECOND_DAY + 6.0, *milder)] if number < late else []
        enter(cast, news(f"late {number}", *near, moved(SECOND_DAY + 7, "resolved")))
        far = [(1.0, *milder)] if number < 2 else []
        enter(cast, news(f"early {number}", *far, moved(3, "resolved")))
    assert outcome(cast, "G8") is expected


@pytest.mark.parametrize(
    ("flagged", "by", "score", "expected"),
    [
        (30.0, "agnes@acme.example", 1, Outcome.FLAG),
        (30.0, "agnes@acme.example", 5, Outcome.NOTHING),  # after a satisfied answer
        (30.0, "somebody@acme.example", 1, Outcome.TOO_FEW),  # not by the one it was assigned to
        (5.0, "agnes@acme.example", 1, Outcome.TOO_FEW),  # before the answer
    ],
)
def test_a_denial_said_after_a_dissatisfied_answer(
    cast: Cast, flagged: float, by: str, score: int, expected: Outcome
) -> None:
    for number in range(6):
        name = f"D{number}"
        said = news(
            name,
            assigned(0.5, "agnes@acme.example"),
            moved(2, "resolved"),
            (flagged, EventType.FLAGGED, {"flag": "policy_denial"}),
        )
        said.events[-1] = replace(said.events[-1], actor_key=by)
        enter(cast, said)
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            resolution = Resolution.objects.get(ticket__external_id=name)
            event = SurveyedEvent.objects.create(
                tenant=cast.acme,
                ticket_id=resolution.ticket_id,
                event_key=resolution.event_key,
                at=resolution.at,
                decision="invited",
                capability=cast.network,
                severity="medium",
            )
            Answer.objects.create(
                tenant=cast.acme,
                event=event,
                score=score,
                answered_at=MONDAY + 20 * HOUR,
                released_at=MONDAY + DAY,
            )
    assert outcome(cast, "G9") is expected


@pytest.mark.parametrize(
    ("number", "accounts", "expected"),
    [(21, 1, Outcome.FLAG), (20, 1, Outcome.NOTHING), (40, 2, Outcome.NOTHING)],
)
def test_a_burst_is_of_one_account_and_is_told_without_it(
    cast: Cast, number: int, accounts: int, expected: Outcome
) -> None:
    """One after another half a minute apart, entered in several batches and not in order."""
    told = [
        news(
            f"burst {n}",
            moved(2 + (n // accounts) * 0.5 / 60, "resolved"),
            by=f"{'ab'[n % accounts]}@acme.example",
        )
        for n in range(number)
    ]
    for some in (told[1::2], told[::2]):
        enter(cast, *some)
    assert outcome(cast, "G10", 0) is expected
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        known = Resolution.objects.exclude(burst=None).values_list("burst", flat=True)
        assert sorted(known) == ([21] if expected is Outcome.FLAG else [])


@pytest.mark.parametrize(("back", "expected"), [(30, Outcome.FLAG), (0, Outcome.NOTHING)])
def test_more_closed_as_solved_at_first_contact_than_stays_so(
    cast: Cast, back: int, expected: Outcome
) -> None:
    """Ten of forty were solved at once in February, and stayed so; forty are in March."""
    february = MONDAY - 28 * DAY
    resolved(cast, "at once", [2.0] * 10, opened_at=february)
    passed_on = (1, EventType.ESCALATED, {"kind": "functional"})
    more = [news(f"up {n}", passed_on, moved(2, "resolved"), opened_at=february) for n in range(30)]
    enter(cast, *more)
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    enter(cast, *(news(f"back {n}", moved(2.0, "resolved"), *again) for n in range(back)))
    resolved(cast, "held", [2.0] * (40 - back))
    assert outcome(cast, "M16") is expected


@pytest.mark.parametrize(("asked_us", "expected"), [(0, Outcome.FLAG), (20, Outcome.NOTHING)])
def test_more_finished_and_more_given_up_without_us(
    cast: Cast, asked_us: int, expected: Outcome
) -> None:
    """In February thirty of forty asked us and five each finished and gave up; in March 20 each."""

    def tried(name: str, number: int, at: datetime, *, done: bool) -> None:
        kinds = ["task_started", *(["task_completed"] if done else [])]
        told = [
            UsageTold(f"{name} {n} {kind}", kind, at + n * HOUR, f"{name} {n}", "network")
            for n in range(number)
            for kind in kinds
        ]
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            usage.store(cast.desk, told, at=MAY)

    def then_asked(name: str, number: int, at: datetime) -> None:
        started = [
            news(f"{name} {n}", opened_at=at + n * HOUR + DAY, requester=f"{name} {n}")
            for n in range(number)
        ]
        enter(cast, *started)

    february = MONDAY - 28 * DAY
    for name, number, at, done, asking in (
        ("f done", 5, february, True, 0),
        ("f given up", 5, february, False, 0),
        ("f asked", 30, february, False, 30),
        ("m done", 20, MONDAY, True, 0),
        ("m given up", 20, MONDAY, False, asked_us),
    ):
        then_asked(name, asking, at)
        tried(name, number, at, done=done)
    assert outcome(cast, "M23") is expected


def test_the_page_asks_and_invites_an_innocent_reason(cast: Cast) -> None:
    resolved(cast, "same", [2.0] * 40)
    page = browser(cast).get("/acme/detectors/", PERIOD).content.decode()
    assert "Or is there an innocent reason? Did an outage end for many at once" in page
    assert page.index('id="G10"') < page.index('id="G4"')  # what asks stands first
    assert "Network: unknown, nobody was to be asked about anything in this period." in page
    for agent in ("Agnes", "agnes@acme.example", "Arjun"):
        assert agent not in page


def test_of_many_services_what_asks_for_a_look_is_listed_and_the_rest_where_one_is_chosen(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved(cast, "same", [2.0] * 40)
    every = browser(cast).get("/acme/detectors/", PERIOD).content.decode()
    monkeypatch.setattr(watching, "MANY", 1)
    page = browser(cast).get("/acme/detectors/", PERIOD).content.decode()
    asking = every.count("<strong>asks for a look</strong>")
    assert page.count("<strong>asks for a look</strong>") == asking > 0
    assert "nothing unusual" in every
    assert "nothing unusual" not in page
    assert "these services ask for no look. Choose a service to see what they say." in page
    asked_for = {**PERIOD, "capability": "network"}
    chosen = browser(cast).get("/acme/detectors/", asked_for).content.decode()
    assert '<option value="network" selected>' in chosen
    assert "ask for no look" not in chosen
    assert "/acme/capabilities/network/?" in chosen
    assert "/acme/capabilities/accounts/?" in every
    assert "/acme/capabilities/accounts/?" not in chosen


def test_services_that_share_a_reason_are_named_together() -> None:
    pattern = watching.Pattern(DETECTORS["G1"], "", missing={"nothing happened": list("ABCDEFG")})
    assert pattern.missing_words == ["A, B, C, D, E and 2 more: unknown, nothing happened."]


def test_a_page_reads_each_kind_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    promise(cast)
    resolved(cast, "same", [2.0] * 3, opened_at=MONDAY + HOUR)
    client = browser(cast)
    fetched = asked_of_blocks(monkeypatch)
    with django_assert_max_num_queries(12 + len(columns.KINDS)):
        assert client.get("/acme/detectors/", PERIOD).status_code == 200
    # Of each kind what is packed, and the facts of other days.
    assert len(fetched) <= 2 * len(columns.KINDS)


def test_a_difference_of_shares_is_told_in_points_and_a_share_in_percent() -> None:
    share = Check("of all", Outcome.NOTHING, 0.125)
    gap = Check("now minus before", Outcome.FLAG, -0.049, counts=Counts.DIFFERENCE)
    assert watching._value(share) == "12.5 %"
    assert watching._value(gap) == "\N{MINUS SIGN}4.9 points"


def test_what_rose_is_a_difference_of_shares() -> None:
    found = bulk_closing(Closing(0, Of(30, 100), Of(10, 100), Of(0, 100)))
    assert [one.counts for one in found.checks][1] is Counts.DIFFERENCE
