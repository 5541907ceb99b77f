"""From events to work items, rule by rule (METRICS.md 1.1 to 1.8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.catalogue.severity import SeverityPolicy
from tickets.canonical import (
    ActorKind,
    Event,
    EventType,
    Meaning,
    ResolutionKind,
    Severity,
    State,
)
from tickets.timeline import (
    FoldSettings,
    Outcome,
    ReopenKind,
    TicketLog,
    Timeline,
    WorkItem,
    fold,
)

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY, HOUR, MINUTE, SECOND = (
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)
AGENT, REQUESTER, SYSTEM = ActorKind.AGENT, ActorKind.REQUESTER, ActorKind.SYSTEM


class Story:
    """A ticket's events, told in order; keys follow."""

    def __init__(
        self, at: datetime = START, by: ActorKind = REQUESTER, key: int = 0, **data: Any
    ) -> None:
        said = {"severity": "medium", "capability": 7, "requester": 5} | data
        self.events = [Event(key, EventType.CREATED, at, "0000", by, data=said)]

    def then(
        self,
        after: timedelta,
        type_: EventType,
        by: ActorKind = AGENT,
        who: str | None = "agnes",
        **data: Any,
    ) -> Story:
        """Something that happened `after` the opening."""
        first = self.events[0]
        key = first.key + len(self.events)
        doer = who if by is AGENT else None
        public = type_ is EventType.MESSAGE and not data.pop("internal", False)
        self.events.append(Event(key, type_, first.at + after, f"{key:04}", by, doer, public, data))
        return self

    def to(self, after: timedelta, state: str, by: ActorKind = AGENT, **data: Any) -> Story:
        return self.then(after, EventType.STATUS_CHANGED, by, to=state, **data)

    def reply(self, after: timedelta, **data: Any) -> Story:
        return self.then(after, EventType.MESSAGE, **data)

    def log(self, ticket: str = "A", follows: str | None = None) -> TicketLog:
        return TicketLog(ticket, self.events, follows)

    def timeline(self) -> Timeline:
        [timeline] = fold([self.log()])
        return timeline

    def items(self) -> tuple[WorkItem, ...]:
        return self.timeline().work_items

    def item(self) -> WorkItem:
        [item] = self.items()
        return item


def kinds(item: WorkItem) -> list[ReopenKind]:
    return [reopen.kind for reopen in item.reopens]


# --- 1.1 what is counted --------------------------------------------------------------------------


def test_a_ticket_is_one_item_from_its_opening_to_the_resolution_that_held() -> None:
    item = Story().to(2 * HOUR, "resolved").to(3 * DAY, "closed", SYSTEM).item()
    assert (item.opened_at, item.ended_at) == (START, START + 2 * HOUR)
    assert (item.outcome, item.state) == (Outcome.RESOLVED, State.CLOSED)
    assert len(item.resolutions) == 1  # resolved to closed is no event


@pytest.mark.parametrize("flag", ["spam", "test", "migration"])
def test_flagged_tickets_are_left_out_with_their_reason(flag: str) -> None:
    story = Story().to(HOUR, "resolved").then(2 * HOUR, EventType.FLAGGED, flag=flag)
    assert (story.timeline().left_out, story.items()) == (flag, ())
    back = story.then(3 * HOUR, EventType.FLAGGED, flag=flag, value=False)
    assert (back.timeline().left_out, len(back.items())) == ("", 1)


def test_merged_and_deleted_tickets_are_left_out() -> None:
    assert Story().then(HOUR, EventType.MERGED, into="B").timeline().left_out == "merged"
    assert Story().then(HOUR, EventType.DELETED).timeline().left_out == "deleted"
    assert Story().to(HOUR, "deleted").timeline().left_out == "deleted"


@pytest.mark.parametrize(("late", "items"), [(timedelta(), 1), (SECOND, 2)])
def test_a_reopen_after_exactly_14_days_is_the_same_item_and_a_second_later_a_new_one(
    late: timedelta, items: int
) -> None:
    back = HOUR + 14 * DAY + late
    found = Story().to(HOUR, "resolved").to(back, "open", REQUESTER).items()
    assert len(found) == items
    assert found[0].resolutions[0].reopened == (items == 1)
    assert found[-1].outcome is Outcome.OPEN
    assert found[-1].opened_at == (START if items == 1 else START + back)
    if items == 2:
        assert (found[0].outcome, found[0].ended_at) == (Outcome.RESOLVED, START + HOUR)


@pytest.mark.parametrize(("late", "continued"), [(timedelta(), True), (SECOND, False)])
def test_a_follow_up_within_14_days_continues_its_parent(
    late: timedelta, *, continued: bool
) -> None:
    parent = Story().to(HOUR, "resolved")
    opened = HOUR + 14 * DAY + late
    child = Story(START + opened, key=100).reply(HOUR).to(2 * HOUR, "resolved")
    logs = [parent.log("A"), child.log("B", follows="A")]
    timelines = fold(logs)
    assert timelines == fold(logs[::-1])
    if continued:
        [timeline] = timelines
        [item] = timeline.work_items
        assert timeline.continued_by == ("B",)
        assert [r.ticket for r in item.resolutions] == ["A", "B"]
        assert [r.reopened for r in item.resolutions] == [True, False]
        assert item.opened_at == START
        assert item.ended_at == START + opened + 2 * HOUR
    else:
        assert [(t.ticket, len(t.work_items)) for t in timelines] == [("A", 1), ("B", 1)]
        assert not timelines[0].work_items[0].resolutions[0].reopened


def test_withdrawing_is_no_resolution() -> None:
    item = Story().to(HOUR, "withdrawn", REQUESTER).item()
    assert (item.outcome, item.ended_at) == (Outcome.WITHDRAWN, START + HOUR)
    assert item.resolutions == ()


# --- 1.4 pauses -----------------------------------------------------------------------------------


def test_a_pause_before_the_first_reply_is_not_accepted() -> None:
    story = Story().to(HOUR, "waiting_on_requester").to(3 * HOUR, "open").reply(4 * HOUR)
    assert story.to(5 * HOUR, "resolved").item().pauses == ()


def test_a_pause_that_runs_when_the_first_reply_goes_out_counts_from_the_reply() -> None:
    story = Story().to(HOUR, "waiting_on_requester").reply(2 * HOUR).to(3 * HOUR, "open")
    assert story.item().pauses == ((START + 2 * HOUR, START + 3 * HOUR),)


def test_waiting_for_a_third_party_pauses_nothing() -> None:
    story = Story().reply(HOUR).to(2 * HOUR, "waiting_on_third_party").to(3 * HOUR, "open")
    assert story.item().pauses == ()


def test_the_gap_before_a_counted_reopen_is_not_charged() -> None:
    story = Story().to(HOUR, "resolved").to(5 * HOUR, "open", REQUESTER).reply(6 * HOUR)
    item = story.to(7 * HOUR, "resolved").item()
    assert item.pauses == ((START + HOUR, START + 5 * HOUR),)
    assert item.ended_at == START + 7 * HOUR


# --- 1.5 severity ---------------------------------------------------------------------------------

GOVERNED = FoldSettings(SeverityPolicy.GOVERNED, lambda opened_at: opened_at + HOUR)


def governed(story: Story) -> WorkItem:
    [timeline] = fold([story.log()], GOVERNED)
    [item] = timeline.work_items
    return item


def priority(after: timedelta, to: str, **data: Any) -> tuple[timedelta, dict[str, Any]]:
    return after, {"to": to} | data


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        (priority(30 * MINUTE, "low"), Severity.LOW),  # triage
        (priority(HOUR, "low"), Severity.LOW),  # its last instant
        (priority(2 * HOUR, "low"), Severity.MEDIUM),  # a bare downgrade
        (priority(2 * HOUR, "low", reason="typo"), Severity.MEDIUM),
        (priority(2 * HOUR, "low", reason="typo", approved_by="agnes"), Severity.MEDIUM),
        (priority(2 * HOUR, "low", approved_by="sam"), Severity.MEDIUM),
        (priority(2 * HOUR, "low", reason="typo", approved_by="sam"), Severity.LOW),
        (priority(2 * HOUR, "high"), Severity.HIGH),  # upgrades take effect at once
    ],
)
def test_a_governed_downgrade_needs_a_reason_and_somebody_elses_approval(
    change: tuple[timedelta, dict[str, Any]], severity: Severity
) -> None:
    after, data = change
    story = Story().then(MINUTE, EventType.ASSIGNED, to="agnes")
    story.then(after, EventType.PRIORITY_CHANGED, **data).to(5 * HOUR, "resolved")
    assert governed(story).severity is severity
    assert story.item().severity is Severity(data["to"])  # as recorded, whatever was approved


def test_an_upgrade_adds_its_tighter_promise_to_the_old_one() -> None:
    story = Story().then(2 * HOUR, EventType.PRIORITY_CHANGED, to="critical")
    assert governed(story).terms[-1].steps == (
        (START, Severity.MEDIUM),
        (START + 2 * HOUR, Severity.CRITICAL),
    )


def test_triage_ends_with_the_resolution_if_that_is_earlier() -> None:
    story = (
        Story().to(10 * MINUTE, "resolved").then(20 * MINUTE, EventType.PRIORITY_CHANGED, to="low")
    )
    assert governed(story).severity is Severity.MEDIUM


def test_the_governed_policy_needs_to_know_when_triage_ends() -> None:
    with pytest.raises(ValueError, match="triage_ends"):
        FoldSettings(SeverityPolicy.GOVERNED)


# --- 1.6 reopens ----------------------------------------------------------------------------------


def test_a_thank_you_is_a_courtesy_and_the_first_resolution_stands() -> None:
    story = Story().to(HOUR, "resolved").to(2 * HOUR, "open", REQUESTER)
    item = story.to(26 * HOUR, "resolved").item()
    assert kinds(item) == [ReopenKind.COURTESY]
    assert item.ended_at == START + HOUR
    assert [r.reopened for r in item.resolutions] == [False]


@pytest.mark.parametrize(
    "between",
    [
        (EventType.MESSAGE, {}),
        (EventType.ASSIGNED, {"to": "arjun"}),
        (EventType.GROUP_CHANGED, {"to": "network"}),
        (EventType.ESCALATED, {"kind": "functional"}),
    ],
)
def test_it_is_no_courtesy_if_somebody_worked_in_between(
    between: tuple[EventType, dict[str, Any]],
) -> None:
    type_, data = between
    story = Story().to(HOUR, "resolved").to(2 * HOUR, "open", REQUESTER)
    item = story.then(3 * HOUR, type_, **data).to(4 * HOUR, "resolved").item()
    assert kinds(item) == [ReopenKind.COUNTED]
    assert item.ended_at == START + 4 * HOUR


def test_it_is_no_courtesy_if_it_stays_open_a_second_longer_than_a_day() -> None:
    story = Story().to(HOUR, "resolved").to(2 * HOUR, "open", REQUESTER)
    assert kinds(story.to(26 * HOUR + SECOND, "resolved").item()) == [ReopenKind.COUNTED]


def test_an_internal_note_leaves_a_courtesy_a_courtesy() -> None:
    story = Story().to(HOUR, "resolved").to(2 * HOUR, "open", REQUESTER)
    story.then(3 * HOUR, EventType.MESSAGE, internal=True)
    assert kinds(story.to(4 * HOUR, "resolved").item()) == [ReopenKind.COURTESY]


def test_a_later_reopen_still_counts_against_the_resolution_a_courtesy_left_standing() -> None:
    story = Story().to(HOUR, "resolved").to(2 * HOUR, "open", REQUESTER).to(3 * HOUR, "resolved")
    item = story.to(5 * DAY, "open", REQUESTER).reply(5 * DAY + HOUR).item()
    assert kinds(item) == [ReopenKind.COURTESY, ReopenKind.COUNTED]
    [resolution] = item.resolutions
    assert (resolution.at, resolution.reopened) == (START + HOUR, True)
    assert resolution.reopen is not None
    assert resolution.reopen.at == START + 5 * DAY


@pytest.mark.parametrize(
    ("after", "who", "kind"),
    [
        (10 * MINUTE, "agnes", ReopenKind.MISCLICK),
        (10 * MINUTE + SECOND, "agnes", ReopenKind.COUNTED),
        (MINUTE, "arjun", ReopenKind.COUNTED),
    ],
)
def test_the_same_agent_within_ten_minutes_slipped(
    after: timedelta, who: str, kind: ReopenKind
) -> None:
    story = Story().to(HOUR, "resolved").to(HOUR + after, "open", who=who)
    item = story.to(5 * HOUR, "resolved").item()
    assert kinds(item) == [kind]
    voided = kind is ReopenKind.MISCLICK
    assert [r.at for r in item.resolutions] == (
        [START + 5 * HOUR] if voided else [START + HOUR, START + 5 * HOUR]
    )
    assert item.ended_at == START + 5 * HOUR


def slipped(story: Story, at: timedelta) -> Story:
    """A resolution that the same agent takes back three minutes later."""
    return story.to(at, "resolved").to(at + 3 * MINUTE, "open")


def test_slips_are_counted_with_the_resolution_that_follows_them() -> None:
    story = slipped(slipped(Story(), HOUR), 2 * HOUR).to(5 * HOUR, "resolved")
    slipped(story.to(DAY, "open", REQUESTER).reply(25 * HOUR), 26 * HOUR).to(27 * HOUR, "resolved")
    item = story.to(3 * DAY, "open", REQUESTER).reply(73 * HOUR).to(74 * HOUR, "resolved").item()
    assert [(r.at - START, r.slips) for r in item.resolutions] == [
        (5 * HOUR, 2),
        (27 * HOUR, 1),
        (74 * HOUR, 0),
    ]
    assert kinds(item).count(ReopenKind.MISCLICK) == 3


@pytest.mark.parametrize(
    ("then", "outcome"), [(None, Outcome.OPEN), ("withdrawn", Outcome.WITHDRAWN)]
)
def test_a_slip_that_no_resolution_follows_is_listed_only(
    then: str | None, outcome: Outcome
) -> None:
    story = slipped(Story(), HOUR)
    item = (story.to(DAY, then) if then else story).item()
    assert (item.outcome, item.resolutions) == (outcome, ())
    assert kinds(item) == [ReopenKind.MISCLICK]


def test_a_slip_stays_with_its_item_where_a_later_reopen_starts_another() -> None:
    story = slipped(Story(), HOUR).to(2 * HOUR, "resolved").to(30 * DAY, "open", REQUESTER)
    first, second = story.reply(31 * DAY).to(32 * DAY, "resolved").items()
    assert [[r.slips for r in item.resolutions] for item in (first, second)] == [[1], [0]]


@pytest.mark.parametrize("mark", ["bulk", "migration"])
def test_a_bulk_change_reopens_nothing(mark: str) -> None:
    story = Story().to(HOUR, "resolved").to(2 * DAY, "open", SYSTEM, **{mark: True})
    item = story.item()
    assert kinds(item) == [ReopenKind.SYSTEM]
    assert (item.outcome, item.ended_at) == (Outcome.RESOLVED, START + HOUR)


def test_a_closing_for_inactivity_is_a_resolution_without_an_agent() -> None:
    story = Story().then(MINUTE, EventType.ASSIGNED, to="agnes")
    story.to(9 * DAY, "resolved", SYSTEM, resolution="inactivity")
    [resolution] = story.item().resolutions
    assert (resolution.kind, resolution.agent) == (ResolutionKind.INACTIVITY, None)
    assert not story.item().fcr_claimed


# --- 1.7 who and when -----------------------------------------------------------------------------


def test_a_resolution_takes_what_holds_at_its_instant() -> None:
    story = Story(group="desk").then(MINUTE, EventType.ASSIGNED, to="arjun")
    story.to(HOUR, "resolved")
    story.then(2 * HOUR, EventType.ASSIGNED, to="sam")  # after a bad rating, say
    story.then(2 * HOUR, EventType.GROUP_CHANGED, to="network")
    story.then(2 * HOUR, EventType.CATEGORY_CHANGED, to=8)
    [resolution] = story.item().resolutions
    assert (resolution.agent, resolution.group, resolution.capability) == ("arjun", "desk", 7)


def test_replies_are_told_apart_by_whether_they_helped() -> None:
    story = Story().then(MINUTE, EventType.MESSAGE, internal=True)
    story.then(2 * MINUTE, EventType.MESSAGE, ActorKind.AUTOMATION)
    story.reply(3 * MINUTE, meaning="not_meaningful").reply(HOUR, who="arjun", meaning="meaningful")
    item = story.item()
    assert item.first_response is not None
    assert item.first_meaningful is not None
    assert (item.first_response.at, item.first_response.agent) == (START + 3 * MINUTE, "agnes")
    assert item.first_response.meaning is Meaning.NOT_MEANINGFUL
    assert (item.first_meaningful.at, item.first_meaningful.agent) == (START + HOUR, "arjun")


def test_the_message_with_which_an_agent_opens_a_ticket_answers_nobody() -> None:
    opened = Story(by=AGENT).reply(timedelta())
    assert opened.item().first_response is None
    answered = Story(by=AGENT).reply(timedelta()).reply(HOUR).item().first_response
    assert answered is not None
    assert answered.at == START + HOUR


def test_a_ticket_an_agent_opens_without_contact_owes_no_response() -> None:
    assert not Story(by=AGENT, no_contact=True).item().response_owed
    assert Story(by=AGENT).item().response_owed
    assert Story().item().response_owed


# --- order and repetition -------------------------------------------------------------------------


def _eventful() -> list[Event]:
    story = Story(group="desk").then(MINUTE, EventType.ASSIGNED, to="agnes")
    story.reply(HOUR, meaning="meaningful").to(2 * HOUR, "waiting_on_requester")
    story.to(6 * HOUR, "open", REQUESTER).to(7 * HOUR, "resolved")
    story.to(8 * HOUR, "open", REQUESTER).to(9 * HOUR, "resolved")
    story.to(3 * DAY, "open", REQUESTER).then(
        3 * DAY, EventType.ESCALATED, kind="functional", reason="needs a specialist"
    )
    story.then(3 * DAY, EventType.GROUP_CHANGED, to="network").to(4 * DAY, "resolved")
    return story.to(40 * DAY, "open", REQUESTER).events


EVENTFUL = _eventful()


@settings(max_examples=60)
@given(st.permutations(EVENTFUL), st.lists(st.sampled_from(EVENTFUL)))
def test_any_order_and_any_repetition_give_the_same_timeline(
    shuffled: list[Event], repeated: list[Event]
) -> None:
    told = fold([TicketLog("A", EVENTFUL)])
    assert fold([TicketLog("A", [*shuffled, *repeated])]) == told
    assert [len(timeline.work_items) for timeline in told] == [2]
