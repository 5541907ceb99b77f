"""The guardrail beside a figure: its value, and "met, but see" where it asks for a look (1.15)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from governance.cosigning import accept, cosign
from governance.targets import Wanted, propose
from metrics.definitions import METRICS, Guardrail, Metric, UnknownMetric, check_guards, find
from metrics.measure import Reader, Reading
from metrics.models import SignalAnswer
from portal.cards import card
from portal.readings import Answering, Asked
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import MONDAY, asked, asked_of_blocks, enter, moved, news
from tests.portal.test_one_number import key, table
from tickets import usage
from tickets.news import UsageTold

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
PERIOD = {"from": "2026-03-01", "until": "2026-04-01"}
MARCH = Asked(date(2026, 3, 1), date(2026, 4, 1), "network")
SATISFIED = "csat_share.share"
REOPENED = "reopen_rate.rate"
SCORECARD = "/acme/capabilities/network/"


def promised(cast: Cast, **values: str) -> None:
    """Targets in force in March, by figure with "__" for the point."""
    january = datetime(2026, 1, 10, tzinfo=UTC)
    with acting(cast.acme.pk):
        found = propose(
            tenant=cast.acme,
            domain=cast.it,
            wanted=[
                Wanted(name.replace("__", "."), Decimal(value)) for name, value in values.items()
            ],
            effective_from=date(2026, 2, 1),
            effective_until=date(2026, 12, 31),
            rationale="What people can count on.",
            by=cast.olga,
            at=january,
            reauthenticated_at=january,
        )
        accept(sheet_id=found.pk, by=cast.sam, at=january, reauthenticated_at=january)
        cosign(sheet_id=found.pk, by=cast.bea, at=january, reauthenticated_at=january)


def resolved(cast: Cast, name: str, items: int, came_back: int, at: datetime = MONDAY) -> None:
    """So many items resolved, of which some came back after two days and were solved again."""
    enter(
        cast,
        *(
            news(
                f"{name}{number}",
                moved(2, "resolved"),
                *((moved(80, "open"), moved(300, "resolved")) if number < came_back else ()),
                opened_at=at,
            )
            for number in range(items)
        ),
    )


def told(cast: Cast, name: str = SATISFIED, about: Asked = MARCH) -> Reading:
    with acting(cast.acme.pk):
        return Answering(Reader(cast.acme, as_of=JUNE)).measure(name, about)


def browser(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.olga)
    return client


def signals(reading: Reading) -> dict[str, str]:
    return {one.key: one.signals for one in reading.guardrail}


@pytest.fixture
def satisfied(cast: Cast) -> Cast:
    """Sixty satisfied answers in March, and a target that they meet."""
    for _ in range(60):
        asked(cast, 5)
    return cast


def test_the_words_of_a_guardrail_are_told_from_its_figures() -> None:
    at = find("resolution_time")[0]
    assert at.guardrail_words == (
        "Reopened (M18); Satisfied (M01); without a figure of its own: the share of time paused"
    )
    assert at.guards == ("reopen_rate.rate", "csat_share.share")
    other = replace(at, guardrail=(Guardrail("fcr.net", "leave hard ones out"),))
    assert other.guardrail_words == "Solved at first contact, net (M16): leave hard ones out"
    assert other.guards == ("fcr.net",)
    with pytest.raises(ValueError, match="names a figure"):
        Guardrail()


#: What METRICS.md names as the guardrail of each metric, by codes; of others there is no figure.
HANDBOOK = {
    "M01": {"M06", "M07", "M18"},
    "M02": {"M06", "M07", "M18"},
    "M04": {"M18"},
    "M05": {"M06"},
    "M06": {"M07"},
    "M07": {"M06"},
    "M10": {"M01"},
    "M12": {"M13", "M14"},
    "M13": {"M12", "M14"},
    "M14": {"M18", "M01"},
    "M15": {"M18", "M01"},
    "M16": {"M17", "M18", "M01"},
    "M17": {"M18"},
    "M18": {"M14", "M22"},
    "M19": {"M14", "M18"},
    "M20": {"M19"},
    "M20b": {"M13"},
    "M21": {"M18"},
    "M22": {"M18"},
    "M23": {"M01", "M23"},
    "M25": {"M23"},
    "M26": {"M25"},
}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
def test_a_guardrail_holds_what_the_handbook_names(metric: Metric) -> None:
    named = {find(guard)[0].code for guard in metric.guards}
    assert HANDBOOK.get(metric.code, set()) <= named
    for code in named:
        assert f"({code})" in metric.guardrail_words


def test_what_has_no_figure_is_said_on_the_method_page(cast: Cast) -> None:
    page = browser(cast).get("/acme/method/").content.decode()
    assert "Reopened (M18); without a figure of its own: the share closed for inactivity" in page
    assert "Reopened (M18): a very easy but wrong answer" in page


def test_a_guardrail_is_told_with_its_value_of_the_same_slice(satisfied: Cast) -> None:
    resolved(satisfied, "N", 20, 5)
    beside = {one.key: one for one in told(satisfied).guardrail}
    assert tuple(beside) == find(SATISFIED)[0].guards
    reopened = beside[REOPENED]
    assert (reopened.value, reopened.numerator, reopened.denominator) == (0.25, 5, 20)
    assert reopened.sentence == told(satisfied, REOPENED).sentence


def test_met_but_see_what_came_back(satisfied: Cast) -> None:
    promised(satisfied, csat_share__share="0.80")
    resolved(satisfied, "N", 40, 20)
    reading = told(satisfied)
    assert reading.status == "met"
    assert signals(reading)[REOPENED] == "above the line of 20.0 %"
    shown = card([reading], method_url="/")
    assert shown.status is not None
    assert shown.status.words == "Met, but see its guardrail"
    assert reading.sentence.endswith(" Met, but see Reopened: above the line of 20.0 %.")
    assert shown.sentence == reading.sentence
    page = browser(satisfied).get("/acme/capabilities/network/", PERIOD).content.decode()
    assert "Met, but see Reopened: above the line of 20.0 %." in page


def test_met_and_nothing_to_see_where_it_held(satisfied: Cast) -> None:
    promised(satisfied, csat_share__share="0.80")
    resolved(satisfied, "N", 40, 1)
    reading = told(satisfied)
    assert reading.status == "met"
    assert set(signals(reading).values()) == {""}
    shown = card([reading], method_url="/")
    assert shown.status is not None
    assert shown.status.words == "Met"
    assert "but see" not in shown.sentence


def test_kept_but_see_where_the_outlook_cannot_tell(cast: Cast) -> None:
    promised(cast, repeat_contact__rate="0.05")
    resolved(cast, "N", 40, 20)
    reading = told(cast, "repeat_contact.rate")
    assert (reading.kept, reading.status) == (True, "cannot_tell_yet")
    assert signals(reading)[REOPENED] == "above the line of 20.0 %"
    shown = card([reading], method_url="/")
    assert "Kept, but see Reopened: above the line of 20.0 %." in shown.sentence
    assert shown.status is not None
    assert shown.status.words == "Cannot tell yet"


def test_a_target_that_is_not_met_needs_no_guardrail(satisfied: Cast) -> None:
    promised(satisfied, csat_share__share="0.99")
    resolved(satisfied, "N", 40, 20)
    reading = told(satisfied)
    assert reading.status == "cannot_tell_yet"
    assert set(signals(reading).values()) == {""}


def test_met_but_see_a_promise_of_its_own_that_was_not_kept(satisfied: Cast) -> None:
    promised(satisfied, csat_share__share="0.80", reopen_rate__rate="0.02")
    resolved(satisfied, "N", 40, 6)
    assert signals(told(satisfied))[REOPENED] == "its own target, at most 2.0 %, is not met"


def test_met_but_see_what_left_its_usual_range(satisfied: Cast) -> None:
    promised(satisfied, csat_share__share="0.80")
    month = MONDAY
    for number in range(1, 12):
        month = (month - timedelta(days=month.day)).replace(day=2)
        resolved(satisfied, f"before {number} ", 20, number % 2, month)
    resolved(satisfied, "N", 20, 5)
    reading = told(satisfied)
    assert reading.status == "met"
    assert signals(reading)[REOPENED] == "it left its usual range"


@pytest.mark.parametrize("rebased", [False, True])
def test_a_course_is_that_of_its_own_service_whichever_was_asked_about_before(
    satisfied: Cast, rebased: bool
) -> None:
    promised(satisfied, csat_share__share="0.80")
    for _ in range(60):
        asked(satisfied, 5, capability=satisfied.accounts)
    month = MONDAY
    for number in range(1, 12):
        month = (month - timedelta(days=month.day)).replace(day=2)
        resolved(satisfied, f"before {number} ", 20, number % 2, month)
    resolved(satisfied, "N", 20, 5)
    if rebased:
        with roles.as_role(roles.OWNER), acting(satisfied.acme.pk):
            SignalAnswer.objects.create(
                tenant=satisfied.acme,
                capability=satisfied.network,
                metric=REOPENED,
                severity="",
                step="month",
                day=MARCH.start,
                kind=SignalAnswer.Kind.REBASED,
                reason="Another way of working.",
                answered_by=satisfied.olga,
                printed_name="Olga",
                at=JUNE,
            )
    with acting(satisfied.acme.pk):
        both = Answering(Reader(satisfied.acme, as_of=JUNE))
        accounts = both.measure(SATISFIED, replace(MARCH, capability="accounts"))
        network = both.measure(SATISFIED, MARCH)
    assert (accounts.status, network.status) == ("met", "met")
    assert signals(network)[REOPENED] == ("" if rebased else "it left its usual range")


def test_in_its_usual_range_there_is_nothing_to_see(satisfied: Cast) -> None:
    promised(satisfied, csat_share__share="0.80")
    month = MONDAY
    for number in range(1, 12):
        month = (month - timedelta(days=month.day)).replace(day=2)
        resolved(satisfied, f"before {number} ", 20, number % 2, month)
    resolved(satisfied, "N", 20, 1)
    assert signals(told(satisfied))[REOPENED] == ""


def test_a_guardrail_tells_nothing_of_few_answers(cast: Cast) -> None:
    resolved(cast, "N", 20, 5)
    for _ in range(3):
        asked(cast, 1)
    [_, satisfied_] = told(cast, "sla_attainment.resolution").guardrail
    assert satisfied_.key == SATISFIED
    assert (satisfied_.value, satisfied_.numerator, satisfied_.denominator) == (None, None, None)
    assert "fewer than 5" in satisfied_.sentence


def test_a_duration_guards_one_severity_at_a_time(cast: Cast) -> None:
    resolved(cast, "N", 20, 5)
    pooled, *_ = told(cast, REOPENED).guardrail
    assert (pooled.value, "of one severity at a time" in pooled.sentence) == (None, True)
    alone, *_ = told(cast, REOPENED, Asked(MARCH.start, MARCH.until, "network", "medium")).guardrail
    assert alone.value is not None


def test_looking_at_courses_fetches_nothing_that_a_scorecard_has(
    satisfied: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved(satisfied, "N", 40, 1)
    client = browser(satisfied)
    fetched = asked_of_blocks(monkeypatch)
    numbers = []
    for promise in ({}, {"csat_share__share": "0.80", "resolution_share__share": "0.50"}):
        if promise:
            promised(satisfied, **promise)
        client.get("/acme/capabilities/network/", PERIOD)  # what is packed for the first time
        fetched.clear()
        page = client.get("/acme/capabilities/network/", PERIOD).content.decode()
        assert ("Met</span>" in page) is bool(promise)
        numbers.append(len(fetched))
    assert numbers[1] <= numbers[0]


@pytest.mark.parametrize("name", ["reopen_rate.happiness", "happiness.rate", "csat_share.share"])
def test_a_guardrail_that_is_no_figure_or_the_figure_itself_is_refused(name: str) -> None:
    guarded = find(SATISFIED)[0]
    with pytest.raises((UnknownMetric, ValueError)):
        check_guards([replace(guarded, guardrail=(Guardrail(name),))])
    check_guards(
        [replace(guarded, guardrail=(Guardrail("repeat_contact.rate"),))]
    )  # the negative control


def test_a_guardrail_of_few_answers_signals_nothing(cast: Cast) -> None:
    resolved(cast, "N", 40, 1)
    promised(cast, reopen_rate__rate="0.2", fcr__verified="0.5", csat_share__share="0.9")
    for _ in range(4):
        asked(cast, 1)
    few = told(cast, "fcr.verified")
    of_answers = {one.key: one for one in few.guardrail}[SATISFIED]
    assert (few.status, of_answers.value, of_answers.signals) == ("met", None, "")
    for _ in range(60):
        asked(cast, 1)
    loud = {one.key: one for one in told(cast, "fcr.verified").guardrail}[SATISFIED]
    assert loud.signals == "its own target, at least 90.0 %, is not met"  # the negative control


# --- people who try again (M23) -------------------------------------------------------------------

FINISHED, AGAIN = "self_service_completion.share", "self_service_completion.again"


def tried(cast: Cast, people: int, times: int) -> None:
    """So many people finish a task without us, each so many times, a day after the other."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        usage.store(
            cast.desk,
            [
                UsageTold(
                    f"{told} {who} {time}",
                    told,
                    MONDAY + timedelta(days=time, minutes=minutes),
                    f"u{who}",
                    "network",
                    task="password",
                )
                for who in range(people)
                for time in range(times)
                for told, minutes in (("task_started", 0), ("task_completed", 5))
            ],
            at=JUNE,
        )


@pytest.mark.parametrize(("times", "seen"), [(3, True), (1, False)])
def test_finished_without_us_but_see_who_tries_again(cast: Cast, times: int, seen: bool) -> None:
    """Everything is called completed; where people begin it anew, that says something else."""
    promised(cast, self_service_completion__share="0.80", self_service_completion__again="0.20")
    tried(cast, 40, times)
    reading = told(cast, FINISHED)
    assert (reading.value, reading.status) == (1, "met")
    [again] = [one for one in reading.guardrail if one.key == AGAIN]
    assert (again.numerator, again.denominator) == (40 * (times - 1), 40 * times)
    assert again.signals == ("its own target, at most 20.0 %, is not met" if seen else "")
    assert ("Met, but see Tried again" in reading.sentence) is seen
    page = browser(cast).get(SCORECARD, PERIOD).content.decode()
    assert ("Met, but see Tried again: its own target" in page) is seen


def test_who_tries_again_stands_beside_on_page_api_and_export(cast: Cast) -> None:
    tried(cast, 10, 2)
    expected = told(cast, FINISHED)
    [again] = [one for one in expected.guardrail if one.key == AGAIN]
    assert (again.numerator, again.denominator) == (10, 20)
    page = browser(cast).get(SCORECARD, PERIOD).content.decode()
    assert "Tried again: 50.0 % (10 of 20)" in page
    asked_for = {"metric": FINISHED, "capability": "network", **PERIOD}
    by_api = Client(headers=key(cast)).get(reverse("api_readings"), asked_for).json()
    assert [one["numerator"] for one in by_api["guardrail"] if one["key"] == AGAIN] == [10]
    rows = table(browser(cast).get(f"{SCORECARD}export/", PERIOD))
    assert again.sentence in rows[FINISHED, None]["guardrail"]
    assert (rows[AGAIN, None]["numerator"], rows[AGAIN, None]["denominator"]) == ("10", "20")
    assert "Tried again (M23): called completed" in page_of_the_method(cast)


def test_no_figure_guards_itself(cast: Cast) -> None:
    tried(cast, 10, 2)
    assert [one.key for one in told(cast, AGAIN).guardrail] == [SATISFIED]


def page_of_the_method(cast: Cast) -> str:
    return browser(cast).get("/acme/method/").content.decode()
