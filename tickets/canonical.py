"""The words every help desk's news is put into: one event type list, one state list, one Event.

What stands in `Event.data`, by type (keys marked ? may be absent):

| type                    | data |
|-------------------------|----------------------------------------------------------------------|
| ticket.created          | severity, capability?, group?, requester?, channel?, state? |
| ticket.status_changed   | to (State), resolution? (ResolutionKind), bulk?, migration? |
| ticket.assigned         | to (actor key or null) |
| ticket.group_changed    | to, automatic? (first routing by a rule) |
| ticket.priority_changed | to (Severity), reason?, approved_by? (actor key) |
| ticket.category_changed | to (capability) |
| ticket.message          | meaning? (Meaning; of an agent's public message), template? |
| ticket.escalated        | kind (functional or hierarchical), reason?, planned? |
| ticket.merged           | into (external id of the surviving ticket) |
| ticket.deleted          | |
| ticket.followup_of      | parent (external id) |
| ticket.flagged          | flag (Flag), value? (default true) |
| ticket.problem_linked   | to (what it shares with others, or null), kind? (ProblemKind; default |
|                         | problem) |
| ticket.snapshot         | state?, severity?, capability?, group?, agent?, requester?, problem? |
|                         | (empty: linked to none), dated? (its instant is that of the change),
|                         | read_after? (when it was read before): the ticket |
|                         | as it stood; tickets/versions.py tells the changes between snapshots |
| ticket.observed         | name (one of tickets/flaws.py), value: what the source counts |

A change that was found between two snapshots holds `early_s` once it is told: by how many seconds
it may have been earlier than its instant, which is that of the later snapshot.

Any of them may hold `revises?`: the key of the event whose place it takes, which is then not told;
and `position?`: its number among the events of its ticket, where its source counts them.

A help desk's own words stay in the log as it said them; tickets/lens.py puts ours in their place
when a ticket is folded, so a better mapping tells the same log better:

| instead of                    | the log holds |
|-------------------------------|----------------------------------------------------------|
| to (a state or severity)      | said |
| state, severity               | state_said, severity_said |
| capability                    | facets: {kind of word: word}, also in group_changed; what is |
|                               | not said again is unchanged |
| actor_kind                    | unknown, with an actor key: what they were then is looked up |

Capabilities, requesters and problems are whatever hashable identity the caller uses (the database's
ids).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from portal.catalogue.severity import Severity

__all__ = [
    "FIRST_YEAR",
    "LAST_YEAR",
    "ORDER",
    "ActorKind",
    "Event",
    "EventType",
    "Fidelity",
    "Flag",
    "Meaning",
    "Precision",
    "ProblemKind",
    "ResolutionKind",
    "Severity",
    "State",
    "UsageType",
]

#: Instants outside these years are noughts of other clocks and slips of the pen.
FIRST_YEAR, LAST_YEAR = 1971, 2099


class State(StrEnum):
    """Canonical states (METRICS.md 1.6)."""

    NEW = "new"
    OPEN = "open"
    WAITING_ON_REQUESTER = "waiting_on_requester"
    WAITING_ON_THIRD_PARTY = "waiting_on_third_party"
    RESOLVED = "resolved"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    DELETED = "deleted"

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to act."""
        return self in _OPEN

    @property
    def is_resolved(self) -> bool:
        """Whether the ticket counts as resolved."""
        return self in (State.RESOLVED, State.CLOSED)


_OPEN = frozenset({State.NEW, State.OPEN, State.WAITING_ON_REQUESTER, State.WAITING_ON_THIRD_PARTY})


class ActorKind(StrEnum):
    """Who acted, as far as figures need to know."""

    REQUESTER = "requester"
    AGENT = "agent"
    BOT = "bot"
    AUTOMATION = "automation"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class EventType(StrEnum):
    """What can happen to a ticket."""

    CREATED = "ticket.created"
    STATUS_CHANGED = "ticket.status_changed"
    ASSIGNED = "ticket.assigned"
    GROUP_CHANGED = "ticket.group_changed"
    PRIORITY_CHANGED = "ticket.priority_changed"
    CATEGORY_CHANGED = "ticket.category_changed"
    MESSAGE = "ticket.message"
    ESCALATED = "ticket.escalated"
    MERGED = "ticket.merged"
    DELETED = "ticket.deleted"
    FOLLOWUP_OF = "ticket.followup_of"
    FLAGGED = "ticket.flagged"
    PROBLEM_LINKED = "ticket.problem_linked"
    SNAPSHOT = "ticket.snapshot"
    OBSERVED = "ticket.observed"


class UsageType(StrEnum):
    """What somebody did without us (METRICS.md M10, M23)."""

    STARTED = "task_started"
    COMPLETED = "task_completed"
    ABANDONED = "task_abandoned"
    OUTCOME = "outcome"


class ResolutionKind(StrEnum):
    """How a resolution came about (METRICS.md 1.6)."""

    NORMAL = "normal"
    INACTIVITY = "inactivity"
    DUPLICATE = "duplicate"


class ProblemKind(StrEnum):
    """What several tickets may share (METRICS.md M26)."""

    #: A problem record or parent of the help desk.
    PROBLEM = "problem"
    #: A known error of a product.
    DEFECT = "defect"
    #: The first of a group that somebody confirmed to be the same.
    DUPLICATE = "duplicate"


class Meaning(StrEnum):
    """Whether a human public reply helped (METRICS.md M13)."""

    MEANINGFUL = "meaningful"
    NOT_MEANINGFUL = "not_meaningful"
    UNKNOWN = "unknown"


class Flag(StrEnum):
    """What can be said of a ticket as a whole; `ticket.flagged` sets or clears it."""

    SPAM = "spam"
    TEST = "test"
    MIGRATION = "migration"
    POLICY_DENIAL = "policy_denial"
    OUT_OF_SCOPE = "out_of_scope"
    #: Routine work that should be self-service (M25): true, or false where somebody said no.
    ROUTINE = "routine"


class Fidelity(StrEnum):
    """How a source told what happened."""

    NATIVE = "native_event"
    CHANGELOG = "derived_from_changelog"
    #: It shows how a ticket stands and keeps no history: what changed lies between two readings.
    SNAPSHOT_DIFF = "derived_from_snapshot_diff"


class Precision(StrEnum):
    """How fine an instant was told; it is kept as the beginning of its minute or day."""

    SECOND = ""
    MINUTE = "min"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `key` is 64 signed bits, unique within its ticket."""

    key: int
    type: EventType
    at: datetime
    sequence: str = ""
    actor_kind: ActorKind = ActorKind.UNKNOWN
    actor_key: str | None = None
    public: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    fidelity: str = Fidelity.NATIVE
    precision: str = Precision.SECOND

    @property
    def order(self) -> tuple[datetime, str, int]:
        """Events are told in this order, however they arrived."""
        return self.at, self.sequence, self.key


#: Sorts as `Event.order` does, without calling Python for each event.
ORDER = attrgetter("at", "sequence", "key")
