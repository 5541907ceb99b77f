"""Pilots of surveys: the handbook's example from stored rows, and who decides what and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from scipy.stats import spearmanr

from governance import pilots
from governance.models import PilotDecision, SurveyPilot
from governance.pilots import (
    AlreadyDecided,
    NotPiloted,
    NotTheirs,
    NotWhatItShows,
    Shown,
    TooEarly,
    decide_pilot,
    pilots_of,
    shown,
    start_pilot,
)
from metrics.measure import Reader
from metrics.piloting import Verdict
from portal import pilots as pages
from portal.audit.models import AuditEntry
from portal.organisations import Member
from portal.people.roles import Role
from portal.tenancy.context import acting
from surveys.models import Answer, Invitation, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.metrics.many import answered
from tests.metrics.told import DAY, HOUR, MONDAY, commented, enter, moved, news, replied
from tests.portal.test_one_number import browser, key
from tickets.models import Ticket
from tickets.news import event_key

BEGINS = date(2026, 3, 2)
BEFORE = datetime(2026, 3, 1, 9, tzinfo=UTC)
#: Sixty days and the time to answer are over.
LATER = datetime(2026, 6, 15, 9, tzinfo=UTC)
DRIVERS = [["clear", "plain words"], ["quick"]]
Kind = PilotDecision.Kind

#: By week: held and of them satisfied, reopened and of them satisfied. 62 of 70, 5 of 14.
HANDBOOK = [
    (9, 9, 0, 0),
    (9, 9, 1, 1),
    (9, 8, 1, 0),
    (9, 8, 2, 1),
    (9, 8, 2, 1),
    (9, 8, 2, 1),
    (8, 6, 3, 1),
    (8, 6, 3, 0),
]


def told(cast: Cast, weeks: list[tuple[int, int, int, int]], *, silent: int = 0) -> None:
    """Resolutions of weeks, each asked about and answered."""
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    stories, scores = [], {}
    for week, (held, happy, back, happy_too) in enumerate(weeks):
        for sort, number, satisfied in (("held", held, happy), ("back", back, happy_too)):
            for n in range(number):
                name = f"{sort} {week} {n}"
                more = again if sort == "back" else ()
                opened = MONDAY + 7 * week * DAY
                stories.append(news(name, moved(2, "resolved"), *more, opened_at=opened))
                scores[name] = 5 if n < satisfied else 2
    enter(cast, *stories)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for ticket in Ticket.objects.filter(external_id__in=scores):
            _answered(cast, ticket, scores[ticket.external_id])
    if silent:
        answered(cast, 0, 0, at=MONDAY + DAY, silent=silent)


def _answered(cast: Cast, ticket: Ticket, score: int) -> None:
    at = ticket.opened_at + 2 * HOUR
    event = SurveyedEvent.objects.create(
        tenant=cast.acme,
        ticket=ticket,
        event_key=event_key(ticket.external_id, 1),
        at=at,
        decision="invited",
        capability=cast.network,
        severity="medium",
        requester=ticket.requester,
    )
    Invitation.objects.create(
        tenant=cast.acme,
        event=event,
        state="sent",
        due_at=at,
        message_id=f"00000000-0000-0000-0000-{event.pk:012}",
        token_digest=event.pk.to_bytes(32),
        sent_at=at,
        window_until=at + 14 * DAY,
    )
    Answer.objects.create(
        tenant=cast.acme, event=event, score=score, answered_at=at + DAY, released_at=at + DAY
    )


def begun(cast: Cast, **more: Any) -> SurveyPilot:
    with acting(cast.acme.pk):
        return start_pilot(
            **{
                "tenant": cast.acme,
                "domain": cast.it,
                "begins": BEGINS,
                "interviewed": "Sam, who leads IT",
                "interviewed_on": date(2026, 2, 20),
                "drivers": DRIVERS,
                "by": cast.sam,
                "roles": [Role.SERVICE_DESK_MANAGER],
                "at": BEFORE,
            }
            | more
        )


def found(cast: Cast, pilot: SurveyPilot, at: datetime = LATER) -> Shown:
    with acting(cast.acme.pk):
        return shown(Reader(cast.acme, as_of=at), pilots_of(cast.acme).get(pk=pilot.pk))


def decided(
    cast: Cast,
    pilot: SurveyPilot,
    kind: Kind,
    *,
    at: datetime = LATER,
    by: Any = None,
    role: Role = Role.SERVICE_DESK_MANAGER,
    reason: str = "The figures say so.",
) -> PilotDecision:
    seen = found(cast, pilot, at)
    with acting(cast.acme.pk):
        return decide_pilot(
            tenant=cast.acme,
            shown=seen,
            kind=kind,
            reason=reason,
            by=by or cast.sam,
            roles=[role],
            at=at,
        )


def test_the_handbooks_example_passes_from_stored_rows(cast: Cast) -> None:
    told(cast, HANDBOOK, silent=216)
    seen = found(cast, begun(cast))
    assert (seen.held.x, seen.held.n, seen.reopened.x, seen.reopened.n) == (62, 70, 5, 14)
    assert seen.reliability == "reliable"  # 84 of 300
    result = seen.result
    assert result is not None
    assert result.interval is not None
    limits = (result.difference, result.interval.lower, result.interval.upper)
    assert limits == pytest.approx((0.529, 0.256, 0.730), abs=5e-4)
    satisfied = [(happy + too) / (held + back) for held, happy, back, too in HANDBOOK]
    reopened = [back / (held + back) for held, _, back, _ in HANDBOOK]
    for lag in (0, 1, 2):
        rho = spearmanr(satisfied[: 8 - lag], reopened[lag:]).statistic
        assert result.correlations[lag] == pytest.approx(rho), lag
    assert result.correlations[0] is not None
    assert result.correlations[0] < -0.7
    assert result.verdict is Verdict.PASSES


def test_satisfaction_that_does_not_react_to_failed_fixes_fails(cast: Cast) -> None:
    told(cast, [(25, 18, 8, 8)] * 3)
    result = found(cast, begun(cast)).result
    assert result is not None
    assert result.verdict is Verdict.FAILS


def test_before_the_last_answer_counts_there_is_no_verdict_and_no_decision(cast: Cast) -> None:
    told(cast, HANDBOOK)
    pilot = begun(cast)
    seen = found(cast, pilot)
    assert (seen.days.until, seen.told_from) == (date(2026, 5, 1), date(2026, 5, 15))
    early = datetime(2026, 5, 14, 20, tzinfo=UTC)
    assert found(cast, pilot, early).result is None
    with pytest.raises(TooEarly):
        decided(cast, pilot, Kind.PASSED, at=early)
    assert found(cast, pilot, early + DAY).result is not None
    decided(cast, pilot, Kind.PASSED, at=early + DAY)


def test_a_resolution_that_may_still_be_reopened_is_not_counted_as_held(cast: Cast) -> None:
    told(cast, HANDBOOK)
    early = found(cast, begun(cast), MONDAY + 21 * DAY)
    # those of the first week only: asked and resolved more than 14 days ago
    assert (early.held.n, early.reopened.n) == (9, 0)


def test_only_what_the_evidence_says_is_decided_and_by_whose_survey_it_is(cast: Cast) -> None:
    told(cast, HANDBOOK)
    pilot = begun(cast)
    for wrong in (Kind.FAILED, Kind.EXTENDED, Kind.ADOPTED):
        with pytest.raises(NotWhatItShows):
            decided(cast, pilot, wrong)
    with pytest.raises(NotTheirs):
        decided(cast, pilot, Kind.PASSED, by=cast.bea, role=Role.BUSINESS_UNIT_LEAD)
    with pytest.raises(NotPiloted, match="Say why"):
        decided(cast, pilot, Kind.PASSED, reason=" ")
    decided(cast, pilot, Kind.PASSED)
    with pytest.raises(AlreadyDecided):
        decided(cast, pilot, Kind.PASSED, by=cast.olga, role=Role.PROCESS_OWNER)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        entry = AuditEntry.objects.get(act="pilot.decided")
    assert (entry.detail["kind"], entry.detail["evidence"]) == ("passed", "pass")


def test_after_two_extensions_both_choose_the_same_with_a_reason(cast: Cast) -> None:
    told(cast, [(6, 5, 1, 0)] * 4)  # 28 answers, 4 of them on reopened items
    pilot = begun(cast)
    first = found(cast, pilot)
    assert first.result is not None
    assert first.result.verdict is Verdict.EXTEND
    assert "fewer than 5 of 8 answers on reopened items" in first.result.reasons
    decided(cast, pilot, Kind.EXTENDED)
    again = found(cast, pilot, datetime(2026, 9, 1, tzinfo=UTC))
    assert again.days.until == date(2026, 5, 31)
    later = datetime(2026, 9, 1, 9, tzinfo=UTC)
    with pytest.raises(NotWhatItShows):
        decided(cast, pilot, Kind.ADOPTED, at=later)
    decided(cast, pilot, Kind.EXTENDED, at=later)
    seen = found(cast, pilot, later)
    assert seen.days.until == date(2026, 6, 30)
    assert seen.result is not None
    assert seen.result.verdict is Verdict.CHOOSE
    with pytest.raises(NotWhatItShows):
        decided(cast, pilot, Kind.EXTENDED, at=later)
    decided(cast, pilot, Kind.ADOPTED, at=later, reason="Few requests, and the words are right.")
    assert found(cast, pilot, later).closed is None  # one alone does not decide
    with pytest.raises(AlreadyDecided):
        decided(cast, pilot, Kind.ADOPTED, at=later)
    decided(cast, pilot, Kind.ADOPTED, at=later, by=cast.olga, role=Role.PROCESS_OWNER)
    over = found(cast, pilot, later)
    assert over.closed is not None
    assert over.again_on == date(2027, 9, 1)


def test_one_person_who_is_both_says_so_in_each_role(cast: Cast) -> None:
    told(cast, [(6, 5, 1, 0)] * 4)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        type(cast.network).objects.filter(domain=cast.it).update(process_owner=cast.sam)
    pilot, later = begun(cast), datetime(2026, 9, 1, 9, tzinfo=UTC)
    for kind, times in ((Kind.EXTENDED, 2), (Kind.FAILED, 2)):
        for _ in range(times):
            seen = found(cast, pilot, later)
            with acting(cast.acme.pk):
                decide_pilot(
                    tenant=cast.acme,
                    shown=seen,
                    kind=kind,
                    reason="Few answers.",
                    by=cast.sam,
                    roles=[Role.SERVICE_DESK_MANAGER, Role.PROCESS_OWNER],
                    at=later,
                )
    over = found(cast, pilot, later).closed
    assert over is not None
    assert over.kind == "failed"


def test_drivers_are_looked_for_in_comments_of_a_batch(cast: Cast) -> None:
    pilot = begun(cast)
    commented(cast, 5, "Everything was clear", at=MONDAY + DAY)
    assert found(cast, pilot).drivers[0].comments is None  # fewer than five lead to their authors
    for text in ("In plain words at last", "Thanks", "Unclear as ever", "Good"):
        commented(cast, 2, text, at=MONDAY + DAY)
    clear, quick = found(cast, pilot).drivers
    assert (clear.name, clear.comments) == ("clear", (2, 5))  # "Unclear" is another word
    assert (quick.name, quick.comments) == ("quick", (0, 5))


def test_a_pilot_begins_with_an_interview_and_alone(cast: Cast) -> None:
    for wrong in (
        {"begins": date(2026, 2, 28)},
        {"begins": date(9999, 12, 1)},
        {"interviewed": " "},
        {"interviewed_on": date(2026, 3, 3)},
        {"drivers": DRIVERS[:1]},
        {"drivers": [*DRIVERS, *DRIVERS]},
        {"drivers": [["clear"], ["("]]},
        {"drivers": [["clear"], []]},
    ):
        with pytest.raises(NotPiloted):
            begun(cast, **wrong)
    with pytest.raises(NotTheirs):
        begun(cast, by=cast.bea, roles=[Role.BUSINESS_UNIT_LEAD])
    begun(cast)
    with pytest.raises(AlreadyDecided):
        begun(cast, begins=date(2026, 4, 1))


DECISION = """
INSERT INTO governance_pilotdecision (tenant_id, pilot_id, round, kind, reason, role,
    decided_by_id, printed_name, at)
VALUES (%(tenant)s, %(pilot)s, %(round)s, %(kind)s, %(reason)s, %(role)s, %(person)s, 'Sam', now())
"""


def test_the_database_refuses_what_the_product_would_never_write(cast: Cast) -> None:
    pilot = begun(cast)
    right = {
        "tenant": cast.acme.pk,
        "pilot": pilot.pk,
        "round": 1,
        "kind": "extended",
        "reason": "Few answers.",
        "role": "service_desk_manager",
        "person": cast.sam.pk,
    }

    def run(statement: str, values: Any = None) -> None:
        with acting(cast.acme.pk), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, values)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    for wrong in (
        {"kind": "adopted"},
        {"round": 2},
        {"reason": " "},
        {"role": "auditor"},
        {"person": cast.bea.pk},
        {"role": "process_owner"},  # Sam owns none
        {"tenant": cast.globex.pk},
    ):
        with pytest.raises(DatabaseError):
            run(DECISION, right | wrong)
    run(DECISION, right)
    run(DECISION, right | {"round": 2})
    for wrong in ({"round": 3}, {"round": 4}):
        with pytest.raises(DatabaseError):  # never a third time
            run(DECISION, right | wrong)
    run(DECISION, right | {"round": 3, "kind": "passed"})
    with pytest.raises(DatabaseError):  # it is over
        run(DECISION, right | {"round": 3, "kind": "failed", "role": "process_owner",
                               "person": cast.olga.pk})  # fmt: skip
    for change in (
        "UPDATE governance_pilotdecision SET reason = 'Other.'",
        "DELETE FROM governance_pilotdecision",
        "UPDATE governance_surveypilot SET interviewed = 'Nobody'",
        "DELETE FROM governance_surveypilot",
    ):
        with pytest.raises(DatabaseError):
            run(change)
    with pytest.raises(DatabaseError):
        run(
            "INSERT INTO governance_surveypilot (tenant_id, domain_id, begins, interviewed,"
            " interviewed_on, drivers, recorded_by_id, printed_name, at) VALUES (%s, %s,"
            " '2026-05-01', 'Sam', '2026-05-01', '[[\"clear\"]]', %s, 'Sam', now())",
            [cast.acme.pk, cast.it.pk, cast.sam.pk],
        )


# --- pages and API -------------------------------------------------------------------------------

LIST = "/acme/surveys/pilots/"


def form(**more: str) -> dict[str, str]:
    today = timezone.now().date().isoformat()
    return {
        "domain": "it",
        "begins": (timezone.now().date() + timedelta(days=1)).isoformat(),
        "interviewed": "Sam <b>of IT</b>",
        "on": today,
        "driver_1": "clear,  plain words",
        "driver_2": "quick",
        "driver_3": "",
    } | more


def test_a_pilot_is_begun_on_its_page(cast: Cast) -> None:
    sam = browser(cast, "sam")
    assert sam.post(LIST, form()).status_code == 302
    page = sam.get(LIST).content.decode()
    assert "Under way" in page
    assert "<b>of IT</b>" not in page
    with acting(cast.acme.pk):
        pilot = SurveyPilot.objects.get()
    assert pilot.drivers == [["clear", "plain words"], ["quick"]]
    shown_page = sam.get(f"{LIST}{pilot.pk}/").content.decode()
    assert "Figures so far; there is a verdict from" in shown_page
    assert "too few answers to be shown" in shown_page
    assert "Decide</button>" not in shown_page
    for wrong, why in (
        ({"domain": "hr"}, "Choose a domain"),
        ({"on": "then"}, "Name the first day"),
        ({"driver_2": ""}, "two or three drivers"),
        ({"driver_1": "x" * 201}, "longer than"),
        ({}, "under way"),
    ):
        answer = sam.post(LIST, form(**wrong))
        assert answer.status_code == 400
        assert why in answer.content.decode()


def member(cast: Cast) -> Member:
    return Member(cast.sam, cast.acme, frozenset({Role.SERVICE_DESK_MANAGER}))


def test_the_page_says_what_the_evidence_is(cast: Cast) -> None:
    told(cast, HANDBOOK, silent=216)
    pilot = begun(cast)
    with acting(cast.acme.pk):
        page = pages.pilot_page(member=member(cast), pilot_id=pilot.pk, now=LATER)
    assert page is not None
    assert page.verdict == "Pass: the survey measures what matters here."
    assert (page.held, page.reopened) == ("88.6 % (62 of 70)", "35.7 % (5 of 14)")
    assert page.difference == "+52.9 points [25.6, 73.0]"
    assert page.enough == "30 answers, 8 of them on reopened items"
    assert [kind for kind, _ in page.choices] == ["passed"]
    with acting(cast.acme.pk):
        assert not pages.decide(
            page=page,
            member=member(cast),
            said={"kind": "passed", "reason": "It does."},
            at=LATER,
        )
    text = browser(cast, "sam").get(f"{LIST}{pilot.pk}/").content.decode()
    assert "Decided: the survey measures what matters" in text


def test_few_answers_on_reopened_items_are_not_told(cast: Cast) -> None:
    told(cast, [(10, 8, 1, 0)] * 4)
    pilot = begun(cast)
    page = browser(cast, "sam").get(f"{LIST}{pilot.pk}/").content.decode()
    told_by_api = Client().get(f"/api/v1/pilots/{pilot.pk}/", headers=key(cast)).json()
    for secret in ("32 of 40", "0 of 4", "points ["):
        assert secret not in page
    assert told_by_api["held"] == {"satisfied": None, "of": None}
    assert told_by_api["difference"] is None
    assert told_by_api["lower"] is None


def test_the_api_tells_a_pilot_with_its_evidence(cast: Cast) -> None:
    told(cast, HANDBOOK, silent=216)
    pilot = begun(cast)
    decided(cast, pilot, Kind.PASSED)
    client, headers = Client(), key(cast)
    (listed,) = client.get("/api/v1/pilots/", headers=headers).json()
    assert (listed["domain"], listed["closed"]) == ("it", "passed")
    one = client.get(f"/api/v1/pilots/{pilot.pk}/", headers=headers).json()
    assert (one["verdict"], one["reopened"]) == ("pass", {"satisfied": 5, "of": 14})
    assert one["difference"] == pytest.approx(0.528571, abs=1e-6)
    assert one["driver_mentions"][0]["mentioned_in"] is None
    assert client.get("/api/v1/pilots/4711/", headers=headers).status_code == 404
    assert client.get("/api/v1/pilots/?who=sam", headers=headers).status_code == 400


def test_the_page_asks_a_bounded_number_of_statements(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    told(cast, [(6, 5, 2, 0)] * 4)
    pilot = begun(cast)
    sam = browser(cast, "sam")
    sam.get("/acme/")
    with django_assert_max_num_queries(36):
        sam.get(f"{LIST}{pilot.pk}/")


def test_the_counts_a_pilot_needs_stand_in_one_place() -> None:
    assert (pilots.ENOUGH.answers, pilots.ENOUGH.on_reopened) == (30, 8)
