"""From snapshots to events: what changed between one version of a ticket and the next, pure.

Sources that tell how a ticket stood (audit logs, polled exports) are kept as told, one
`ticket.snapshot` for each version; the changes are derived here whenever the ticket is folded.
So a version that arrives late, or rows in any order, give the same story.

Where a source keeps no history, a snapshot's instant is not that of the change: it happened since
the ticket was last known to stand otherwise. By how much it may have been earlier goes with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from math import ceil

from tickets.canonical import ORDER, Event, EventType, Fidelity, State
from tickets.flaws import READ_AFTER

#: Attributes change before the state does: a row that resolves holds the values at the resolution.
_CHANGES = (
    ("severity", EventType.PRIORITY_CHANGED),
    ("capability", EventType.CATEGORY_CHANGED),
    ("group", EventType.GROUP_CHANGED),
    ("agent", EventType.ASSIGNED),
    ("problem", EventType.PROBLEM_LINKED),
)


def changes(events: Iterable[Event]) -> list[Event]:
    """Return a ticket's events in order, each snapshot replaced by what it changed.

    A value a snapshot does not hold is unchanged. The first snapshot completes the opening: what
    nobody told of it held from the start. A resolution keeps its snapshot's key.
    """
    ordered = sorted(events, key=ORDER)
    snapshots = [event for event in ordered if event.type is EventType.SNAPSHOT]
    if not snapshots:
        return ordered
    told = [event for event in ordered if event.type is not EventType.SNAPSHOT]
    created = next((e for e in told if e.type is EventType.CREATED), None)
    opening = _opening(created, snapshots)
    told = [opening, *(event for event in told if event.type is not EventType.CREATED)]
    known = dict(opening.data)
    sight = _Sight.of(opening, ordered) if any(map(_is_read, snapshots)) else _Sight()
    for snapshot in snapshots:
        told += _differences(snapshot, known, sight)
    return sorted(told, key=ORDER)


def _is_read(snapshot: Event) -> bool:
    """Whether what it changed may have happened before its instant."""
    return snapshot.fidelity == Fidelity.SNAPSHOT_DIFF and not snapshot.data.get("dated")


@dataclass(frozen=True, slots=True)
class _Sight:
    """When it was known how a ticket stood."""

    #: Instants at which its state was told, ascending.
    told: Sequence[datetime] = ()
    #: By instant of a snapshot, when the ticket had been read before.
    read: dict[datetime, list[datetime]] = field(default_factory=dict)

    @classmethod
    def of(cls, opening: Event, ordered: Iterable[Event]) -> _Sight:
        """Of a ticket's events in order."""
        told, read = [opening.at], defaultdict(list)
        for event in ordered:
            if event.type is EventType.STATUS_CHANGED or "state" in event.data:
                told.append(event.at)
            before = event.data.get(READ_AFTER)
            if event.type is EventType.OBSERVED and event.data["name"] == READ_AFTER:
                before = event.data["value"]
            if before is not None:
                read[event.at].append(datetime.fromisoformat(before))
        return cls(sorted(told), read)

    def early_s(self, snapshot: Event) -> int:
        """By how many seconds a change that a snapshot shows may have been earlier, rounded up."""
        place = bisect_left(self.told, snapshot.at)
        known = [*self.told[max(0, place - 1) : place], *self.read.get(snapshot.at, ())]
        earliest = min(max(known, default=snapshot.at), snapshot.at)
        return ceil((snapshot.at - earliest).total_seconds())


def _opening(created: Event | None, snapshots: list[Event]) -> Event:
    """The ticket.created of a ticket that is known by snapshots."""
    first = snapshots[0]
    data = {
        name: first.data[name] for name in ("capability", "group", "channel") if name in first.data
    }
    severities = [s.data["severity"] for s in snapshots if "severity" in s.data]
    if severities:
        data["severity"] = severities[0]  # an item was never without one, only unsaid
    state = first.data.get("state")
    data["state"] = state if state is not None and State(state).is_open else State.NEW
    requesters = [s.data["requester"] for s in snapshots if "requester" in s.data]
    if requesters:
        data["requester"] = requesters[-1]  # a desk corrects who it was
    if created is None:
        return Event(
            _key(first, "created"),
            EventType.CREATED,
            first.at,
            data=data,
            precision=first.precision,
        )
    told = {name: value for name, value in created.data.items() if name != "requester"}
    return replace(created, data={**created.data, **data, **told}, at=min(created.at, first.at))


def _differences(snapshot: Event, known: dict[str, object], sight: _Sight) -> list[Event]:
    """What a snapshot changed against the values known before it, which it updates."""
    told: list[Event] = []
    for name, type_ in _CHANGES:
        value = snapshot.data.get(name)
        if value is not None and value != known.get(name, ""):
            known[name] = value
            told.append(
                Event(
                    _key(snapshot, name),
                    type_,
                    snapshot.at,
                    f"{snapshot.sequence}a",
                    snapshot.actor_kind,
                    snapshot.actor_key,
                    snapshot.public,
                    {"to": value},
                )
            )
    state = snapshot.data.get("state")
    if state is not None and state != known.get("state"):
        known["state"] = state
        early = sight.early_s(snapshot) if _is_read(snapshot) else 0
        told.append(
            Event(
                snapshot.key,
                EventType.STATUS_CHANGED,
                snapshot.at,
                f"{snapshot.sequence}b",
                snapshot.actor_kind,
                snapshot.actor_key,
                snapshot.public,
                {"to": state, "early_s": early} if early else {"to": state},
                precision=snapshot.precision,
            )
        )
    return told


def _key(snapshot: Event, name: str) -> int:
    digest = blake2b(snapshot.key.to_bytes(8, signed=True) + name.encode(), digest_size=8)
    return int.from_bytes(digest.digest(), signed=True)
