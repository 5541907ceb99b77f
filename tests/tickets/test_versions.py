"""Changes between versions of a ticket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tickets.canonical import Event, EventType
from tickets.versions import changes

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def snapshot(key: int, minutes: int, **data: object) -> Event:
    return Event(
        key, EventType.SNAPSHOT, START + timedelta(minutes=minutes), f"{key:04}", data=data
    )


TOLD = [
    Event(99, EventType.CREATED, START - timedelta(minutes=5)),
    snapshot(1, 0, state="new", severity="low", group="Desk"),
    snapshot(2, 10, state="open", severity="high", group="Desk", agent="a"),
    snapshot(3, 20, state="open", severity="high"),
    snapshot(4, 30, state="resolved", severity="low", group="Net", agent="a"),
]


def told(events: list[Event]) -> list[tuple[str, object]]:
    return [(event.type.value, event.data.get("to")) for event in events]


def test_only_what_differs_from_the_version_before_is_told() -> None:
    events = changes(TOLD)
    assert told(events[:1]) == [("ticket.created", None)]
    assert set(told(events[1:3])) == {("ticket.priority_changed", "high"), ("ticket.assigned", "a")}
    assert told(events[3:4]) == [("ticket.status_changed", "open")]
    assert set(told(events[4:6])) == {
        ("ticket.priority_changed", "low"),
        ("ticket.group_changed", "Net"),
    }
    assert told(events[6:]) == [("ticket.status_changed", "resolved")]


def test_the_opening_is_completed_by_the_first_version() -> None:
    opening = changes(TOLD)[0]
    assert opening.at == START - timedelta(minutes=5)
    assert opening.data == {"severity": "low", "group": "Desk", "state": "new"}


def test_a_resolution_has_the_key_of_its_version_and_comes_after_its_values() -> None:
    last = changes(TOLD)[-1]
    assert (last.type, last.key) == (EventType.STATUS_CHANGED, 4)


def test_a_ticket_first_seen_resolved_was_opened_and_then_resolved() -> None:
    events = changes([snapshot(1, 0, state="resolved", severity="low")])
    assert told(events) == [("ticket.created", None), ("ticket.status_changed", "resolved")]
    assert events[0].data["state"] == "new"


@given(st.permutations(TOLD))
def test_versions_in_any_order_tell_the_same_changes(shuffled: list[Event]) -> None:
    assert changes(shuffled) == changes(TOLD)
