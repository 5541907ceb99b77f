"""The fold: from the events of a ticket and its follow-ups to work items (METRICS.md 1.1-1.8).

Pure: no database, no clock, no calendar. The same events give the same timeline in whatever order,
split or repetition they arrived. Read `fold` first, then `_Walk`, which joins a ticket with what
continues it, then `_Telling`, which tells the joined events one by one.

Decisions where the handbook leaves room:

* courtesy, misclick and system reopens are recognised before the 14 days are asked about, so a
  "thank you" on day 15 starts no second work item;
* a resolution by automation or system (closed for inactivity, say) is nobody's work: it has no
  agent, although somebody is still assigned;
* a pause that was running when the first public human reply went out counts from that reply on;
* the message with which an agent opens a ticket answers nobody (M12), but is a reply in the claim
  of first contact (M16);
* an approved downgrade is told as if nothing had ever been worse: what it replaces falls away;
* a slip (misclick) leaves no resolution to be dated by, so it is counted with the resolution that
  follows it in its work item, as that is the one it was meant to be; before one follows, and of an
  item that is withdrawn instead, it is among the item's reopens only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from portal.catalogue.severity import SeverityPolicy
from tickets.canonical import (
    ORDER,
    ActorKind,
    Event,
    EventType,
    Flag,
    Meaning,
    ResolutionKind,
    Severity,
    State,
)

REOPEN_WINDOW = timedelta(days=14)
COURTESY_WINDOW = timedelta(hours=24)
MISCLICK_WINDOW = timedelta(minutes=10)
#: A question told this close to the start of a pause is the reason for it (METRICS.md G7).
QUESTION_WINDOW = timedelta(minutes=5)
#: More resolutions of one account than this within the window are a burst (METRICS.md G10).
BURST_WINDOW, BURST_MORE_THAN = timedelta(minutes=10), 20

_MACHINES = (ActorKind.AUTOMATION, ActorKind.SYSTEM, ActorKind.BOT)


class Outcome(StrEnum):
    """How a work item stands."""

    OPEN = "open"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


class HandledBy(StrEnum):
    """Who answered and resolved (METRICS.md D1)."""

    AUTOMATION = "automation"
    BOTH = "both"
    PERSON = "person"
    UNKNOWN = "unknown"


def handled_by(by_automation: Iterable[bool]) -> HandledBy:
    """Of the public replies and the resolution, in any order: was each one made by automation?"""
    kinds = set(by_automation)
    if not kinds:
        return HandledBy.UNKNOWN
    if len(kinds) == 2:
        return HandledBy.BOTH
    return HandledBy.AUTOMATION if True in kinds else HandledBy.PERSON


class ReopenKind(StrEnum):
    """What a move back to an open state was (METRICS.md 1.6)."""

    COUNTED = "counted"
    COURTESY = "courtesy"
    MISCLICK = "misclick"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class TicketLog:
    """The events of one ticket. `ticket` is any identity; `follows` that of its parent, if any."""

    ticket: Hashable
    events: Sequence[Event]
    follows: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Reopen:
    """A move back after a resolution."""

    at: datetime
    kind: ReopenKind
    by: ActorKind


@dataclass(frozen=True, slots=True)
class Response:
    """A public human reply."""

    at: datetime
    ticket: Hashable
    event_key: int
    agent: str | None
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Escalation:
    """A call for a higher tier (functional) or for management (hierarchical)."""

    at: datetime
    ticket: Hashable
    event_key: int
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Denial:
    """That it was called a policy denial or out of scope, first when, and by whose word."""

    at: datetime
    #: Whether whoever it was assigned to said so; None: nobody knows.
    by_assignee: bool | None


@dataclass(frozen=True, slots=True)
class Wait:
    """A move to waiting for the requester, and whether a question went out with it (G7)."""

    at: datetime
    asked: bool


@dataclass(frozen=True, slots=True)
class Downgrade:
    """A recorded severity made milder, and what it was before (G8)."""

    at: datetime
    before: Severity


@dataclass(frozen=True, slots=True)
class Resolution:
    """A resolution that was not void, with the values that held at its instant."""

    at: datetime
    ticket: Hashable
    event_key: int
    kind: ResolutionKind
    agent: str | None
    group: str
    capability: Any
    severity: Severity
    policy_denial: bool
    #: The counted reopen if there was one, else the first of another kind, else None.
    reopen: Reopen | None = None
    #: Whether a counted reopen followed within the reopen window (14 x 24 h), boundary included.
    reopened: bool = False
    handled_by: HandledBy = HandledBy.UNKNOWN
    #: The denial it was made under, or that was said of it afterwards.
    denial: Denial | None = None
    #: When a follow-up came that was too late to continue this item (G5).
    followed_at: datetime | None = None
    #: Void resolutions between the one before, or the opening, and this one: each was a slip.
    slips: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What promises of time rest on, from an instant to the next change (METRICS.md 1.5, 1.7)."""

    since: datetime
    severity: Severity
    capability: Any
    #: Whose promise runs from when, the first from the opening. Only upgrades under the governed
    #: policy add a step: the tighter target runs from the upgrade.
    steps: tuple[tuple[datetime, Severity], ...]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One problem of one requester, from its opening to where it stands."""

    number: int
    opened_at: datetime
    requester: Any
    channel: str
    outcome: Outcome
    state: State
    #: The resolution that holds, or the withdrawal; None while open.
    ended_at: datetime | None
    severity: Severity
    capability: Any
    group: str
    resolutions: tuple[Resolution, ...]
    first_response: Response | None
    first_meaningful: Response | None
    #: Stretches that stop the clock: accepted waiting for the requester, and gaps between a
    #: resolution and the counted reopen that followed. The last one may have no end yet.
    pauses: tuple[tuple[datetime, datetime | None], ...]
    #: Every move back, voided and uncounted ones too, in order (METRICS.md 1.6, G5).
    reopens: tuple[Reopen, ...]
    #: The first from the opening, a further one whenever severity or capability changed.
    terms: tuple[Terms, ...]
    reassignments: int
    escalations: tuple[Escalation, ...]
    requester_messages: int
    replies_to_first_resolution: int
    fcr_claimed: bool
    #: Should it be self-service? None: nobody said.
    routine: bool | None
    #: What it shares with other items (METRICS.md M26); None: linked to nothing.
    problem: Any
    response_owed: bool
    #: Of the replies and the resolution so far.
    handled_by: HandledBy
    #: Every move to waiting, accepted as a pause or not.
    waits: tuple[Wait, ...]
    downgrades: tuple[Downgrade, ...]
    #: By how many seconds at most a change of its state may have been earlier than its instant:
    #: it was read from snapshots.
    early_s: int = 0

    @property
    def holding(self) -> Resolution | None:
        """The resolution that stands now."""
        return self.resolutions[-1] if self.outcome is Outcome.RESOLVED else None

    @property
    def escalated(self) -> bool:
        """Whether it was escalated at all."""
        return bool(self.escalations)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the events of one ticket, and of the follow-ups that continue it, amount to."""

    ticket: Hashable
    #: Empty, or why it is in no figure: spam, test, migration, merged, deleted.
    left_out: str
    work_items: tuple[WorkItem, ...]
    #: The other tickets whose events were taken in (METRICS.md 1.1, rule 3).
    continued_by: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """How long after a resolution what happens still belongs to it (METRICS.md 1.6)."""

    #: A reopen or follow-up within it is of the same work item.
    reopen: timedelta = REOPEN_WINDOW
    courtesy: timedelta = COURTESY_WINDOW
    misclick: timedelta = MISCLICK_WINDOW


@dataclass(frozen=True, slots=True)
class FoldSettings:
    """What an organisation may decide about the fold."""

    severity_policy: SeverityPolicy = SeverityPolicy.RECORDED
    #: End of the triage grace for a ticket opened at an instant; needed for `governed`.
    triage_ends: Callable[[datetime], datetime] | None = None
    windows: Windows = Windows()

    def __post_init__(self) -> None:
        if self.severity_policy is SeverityPolicy.GOVERNED and self.triage_ends is None:
            raise ValueError("The governed policy needs triage_ends: when does the grace end?")


DEFAULTS = FoldSettings()


def until(events: Iterable[Event], as_of: datetime) -> list[Event]:
    """The events that exist at `as_of`: those at or before it (METRICS.md 1.2)."""
    return [event for event in events if event.at <= as_of]


def in_order(events: Iterable[Event]) -> list[Event]:
    """The events as they happened, each once."""
    return sorted({event.key: event for event in events}.values(), key=ORDER)


def fold(logs: Sequence[TicketLog], settings: FoldSettings = DEFAULTS) -> list[Timeline]:
    """Fold the tickets of one family: a ticket, its follow-ups, theirs, in any order.

    A ticket without a parent among `logs` starts a timeline. A follow-up opened within 14 x 24 h of
    the last resolution of what it follows continues that timeline; a later one starts its own.
    """
    ordered = [
        TicketLog(log.ticket, in_order(log.events), log.follows) for log in logs if log.events
    ]
    ordered.sort(key=lambda log: (log.events[0].order, str(log.ticket)))
    walks: dict[Hashable, _Walk] = {}
    started: list[_Walk] = []
    for log in ordered:
        parent = walks.get(log.follows) if log.follows is not None else None
        left_out = _left_out(log.events)
        if parent is not None and not left_out:
            if parent.continues(log.events[0].at, settings.windows.reopen):
                parent.take_in(log)
                walks[log.ticket] = parent
                continue
            parent.later.append(log.events[0].at)
        walks[log.ticket] = _Walk(log, left_out)
        started.append(walks[log.ticket])
    return [walk.timeline(settings) for walk in started]


def _left_out(events: Sequence[Event]) -> str:
    """Why a ticket is in no figure (METRICS.md 1.1, rule 2)."""
    types = {event.type for event in events}
    if EventType.FLAGGED in types:
        flags = _flags(events)
        for flag in (Flag.SPAM, Flag.TEST, Flag.MIGRATION):
            if flags.get(flag):
                return flag.value
    if EventType.MERGED in types:
        return "merged"
    states = (state for event in reversed(events) if (state := _state_after(event)) is not None)
    if EventType.DELETED in types or next(states, None) is State.DELETED:
        return "deleted"
    return ""


def _flags(events: Iterable[Event]) -> dict[str, bool]:
    flags: dict[str, bool] = {}
    for event in events:
        if event.type is EventType.FLAGGED:
            flags[event.data["flag"]] = bool(event.data.get("value", True))
    return flags


@dataclass
class _Walk:
    """One timeline in the making: the merged events of a ticket and of those that continue it."""

    root: TicketLog
    left_out: str
    logs: list[TicketLog] = field(default_factory=list)
    #: When follow-ups came that were too late to continue it.
    later: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.logs.append(self.root)

    def continues(self, at: datetime, window: timedelta) -> bool:
        """Whether a follow-up opened at `at` is within the window of the last resolution."""
        if self.left_out:
            return False
        before = [moment for moment in self._resolution_instants() if moment <= at]
        return bool(before) and at - max(before) <= window

    def take_in(self, log: TicketLog) -> None:
        """Append a follow-up's events."""
        self.logs.append(log)

    def _resolution_instants(self) -> list[datetime]:
        instants = []
        for log in self.logs:
            state: State | None = None
            for event in log.events:
                to = _state_after(event)
                if to is None:
                    continue
                if to.is_resolved and (state is None or state.is_open):
                    instants.append(event.at)
                state = to
        return instants

    def timeline(self, settings: FoldSettings) -> Timeline:
        """Tell the events and return what they amount to."""
        continued_by = tuple(log.ticket for log in self.logs[1:])
        if self.left_out:
            return Timeline(self.root.ticket, self.left_out, (), continued_by)
        merged = [(event, log.ticket) for log in self.logs for event in log.events]
        if continued_by:  # each log alone is in order
            merged.sort(key=lambda pair: (pair[0].order, str(pair[1])))
        items = _Telling(merged, self.root.ticket, settings).work_items()
        return Timeline(self.root.ticket, "", _followed(items, self.later), continued_by)


def _followed(items: tuple[WorkItem, ...], later: Iterable[datetime]) -> tuple[WorkItem, ...]:
    """Say of resolutions when the first follow-up came that was too late to continue them."""
    for at in sorted(later):
        before = [r for item in items for r in item.resolutions if r.at <= at]
        last = max(before, key=lambda resolution: resolution.at, default=None)
        if last is None or last.followed_at is not None:
            continue
        marked = replace(last, followed_at=at)
        items = tuple(
            replace(item, resolutions=tuple(marked if r is last else r for r in item.resolutions))
            for item in items
        )
    return items


def _state_after(event: Event) -> State | None:
    """The state an event puts its ticket in, if it does."""
    if event.type is EventType.CREATED:
        return State(event.data.get("state", State.NEW))
    if event.type is EventType.STATUS_CHANGED:
        return State(event.data["to"])
    return None


@dataclass
class _Now:
    """What holds at the instant being told."""

    #: By ticket: a follow-up has an assignee of its own.
    assignees: dict[Hashable, str | None] = field(default_factory=dict)
    group: str = ""
    capability: Any = None
    requester: Any = None
    channel: str = ""
    problem: Any = None
    flags: dict[str, bool] = field(default_factory=dict)
    denial: Denial | None = None


@dataclass
class _Attempt:
    """A resolution as told, before its reopens are known."""

    event: Event
    ticket: Hashable
    kind: ResolutionKind
    agent: str | None
    group: str
    capability: Any
    severity: Severity
    policy_denial: bool
    denial: Denial | None
    slips: int
    reopens: list[Reopen] = field(default_factory=list)


@dataclass
class _Item:
    """A work item in the making."""

    number: int
    opened_at: datetime
    #: A public agent message at the opening instant opens the ticket; it answers nobody.
    opened_by_agent: bool = False
    response_owed: bool = True
    attempts: list[_Attempt] = field(default_factory=list)
    #: Void resolutions since the last one that was none.
    slips: int = 0
    replies: list[Response] = field(default_factory=list)
    #: Of every public reply, when it came and whether automation wrote it.
    voices: list[tuple[datetime, bool]] = field(default_factory=list)
    waits: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    groups: list[tuple[datetime, str]] = field(default_factory=list)
    #: No hand has chosen a group yet, only rules.
    routing: bool = True
    reopens: list[Reopen] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    requester_messages: list[datetime] = field(default_factory=list)
    withdrawn_at: datetime | None = None
    problem: Any = None
    open: bool = True
    early_s: int = 0


class _Telling:
    """Tells merged events one by one and keeps the work item they belong to."""

    def __init__(
        self, events: list[tuple[Event, Hashable]], root: Hashable, settings: FoldSettings
    ) -> None:
        self.events = events
        self.root = root
        self.windows = settings.windows
        self.severities = SeverityHistory.of([event for event, _ in events], settings)
        self.downgrades = _downgrades([event for event, _ in events])
        #: (from, capability), ascending; the first one holds for all time before.
        self.capabilities: list[tuple[datetime, Any]] = []
        self.states: dict[Hashable, State] = {}
        self.now = _Now()
        self.items: list[_Item] = []
        self.state = State.NEW

    def work_items(self) -> tuple[WorkItem, ...]:
        """Tell everything; the first event opens the first work item."""
        for position, (event, ticket) in enumerate(self.events):
            self._tell(position, event, ticket)
        return tuple(self._finished(item) for item in self.items)

    # --- one event ------------------------------------------------------------------------------

    def _tell(self, position: int, event: Event, ticket: Hashable) -> None:
        data = event.data
        if not self.items:
            self._open_item(event.at)
        item = self.items[-1]
        match event.type:
            case EventType.CREATED:
                self._created(position, event, ticket)
            case EventType.STATUS_CHANGED:
                self._moved(position, event, ticket, State(data["to"]))
            case EventType.ASSIGNED:
                self.now.assignees[ticket] = data.get("to")
            case EventType.GROUP_CHANGED:
                self._regrouped(item, event.at, str(data["to"]), bool(data.get("automatic")))
            case EventType.CATEGORY_CHANGED:
                self._categorised(event.at, data["to"])
            case EventType.FLAGGED:
                self._flagged(item, event, ticket)
            case EventType.PROBLEM_LINKED:
                item.problem = self.now.problem = data["to"] or None
            case EventType.ESCALATED if not data.get("planned"):
                item.escalations.append(
                    Escalation(
                        event.at, ticket, event.key, str(data["kind"]), str(data.get("reason", ""))
                    )
                )
            case EventType.MESSAGE:
                self._said(item, event, ticket)

    def _flagged(self, item: _Item, event: Event, ticket: Hashable) -> None:
        flag, said = event.data["flag"], bool(event.data.get("value", True))
        self.now.flags[flag] = said
        if flag not in _DENIALS:
            return
        if not said:
            self.now.denial = None
            return
        assignee = self.now.assignees.get(ticket)
        if assignee is None and item.attempts:
            assignee = item.attempts[-1].agent
        by_assignee: bool | None = None
        if event.actor_kind in (ActorKind.REQUESTER, *_MACHINES):
            by_assignee = False
        elif event.actor_key is not None and assignee is not None:
            by_assignee = event.actor_key == assignee
        denial = Denial(event.at, by_assignee)
        self.now.denial = self.now.denial or denial
        if item.attempts and item.attempts[-1].denial is None:
            item.attempts[-1].denial = denial

    def _open_item(self, at: datetime) -> None:
        item = _Item(len(self.items) + 1, at, problem=self.now.problem)
        if self.now.group:
            item.groups.append((at, self.now.group))
        self.items.append(item)

    def _created(self, position: int, event: Event, ticket: Hashable) -> None:
        data = event.data
        if ticket == self.root:
            item = self.items[0]
            item.opened_by_agent = event.actor_kind is ActorKind.AGENT
            item.response_owed = not (item.opened_by_agent and data.get("no_contact"))
            self.now.requester = data.get("requester")
            self.now.channel = str(data.get("channel", ""))
            if data.get("group"):
                self._regrouped(item, event.at, str(data["group"]), automatic=True)
        if data.get("capability") is not None:
            self._categorised(event.at, data["capability"])
        if data.get("problem"):
            self.items[-1].problem = self.now.problem = data["problem"]
        if ticket not in self.states:  # else told after another event of the same instant
            self._moved(position, event, ticket, State(data.get("state", State.NEW)))

    def _moved(self, position: int, event: Event, ticket: Hashable, to: State) -> None:
        before = self.states.get(ticket)
        self.states[ticket] = to
        item = self.items[-1]
        early = 0 if to is before else event.data.get("early_s", 0)
        item.early_s = max(item.early_s, early)
        if to.is_open:
            # Only a move back is a reopen: a ticket that a courtesy left open moves on freely.
            if not item.open and (before is None or not before.is_open):
                self._reopened(position, event)
                item = self.items[-1]
                item.early_s = max(item.early_s, early)  # of the one it began, too
            waiting = item.open and to is State.WAITING_ON_REQUESTER
            self._wait(item, event.at, waiting=waiting)
            self.state = to
        elif to.is_resolved and (before is None or before.is_open):
            self._wait(item, event.at, waiting=False)
            if item.open:
                self._resolved(event, ticket)
            self.state = to
        elif to.is_resolved:
            self.state = to  # resolved -> closed is no event
        elif to is State.WITHDRAWN and item.open:
            self._wait(item, event.at, waiting=False)
            item.withdrawn_at, item.open = event.at, False
            self.state = to

    def _resolved(self, event: Event, ticket: Hashable) -> None:
        item = self.items[-1]
        agent = None
        if event.actor_kind not in _MACHINES:
            closed_by_requester = event.actor_kind is ActorKind.REQUESTER
            doer = None if closed_by_requester else event.actor_key
            agent = self.now.assignees.get(ticket) or doer
        attempt = _Attempt(
            event=event,
            ticket=ticket,
            kind=ResolutionKind(event.data.get("resolution", ResolutionKind.NORMAL)),
            agent=agent,
            group=self.now.group,
            capability=self.now.capability,
            severity=self.severities.at(event.at),
            policy_denial=bool(
                self.now.flags.get(Flag.POLICY_DENIAL) or self.now.flags.get(Flag.OUT_OF_SCOPE)
            ),
            denial=self.now.denial,
            slips=item.slips,
        )
        item.attempts.append(attempt)
        item.slips, item.open = 0, False

    def _reopened(self, position: int, event: Event) -> None:
        item = self.items[-1]
        if item.withdrawn_at is not None:
            item.gaps.append((item.withdrawn_at, event.at))
            item.withdrawn_at, item.open = None, True
            return
        attempt = item.attempts[-1]
        kind = self._kind_of_reopen(position, event, attempt)
        reopen = Reopen(event.at, kind, event.actor_kind)
        attempt.reopens.append(reopen)
        item.reopens.append(reopen)
        if kind in (ReopenKind.COURTESY, ReopenKind.SYSTEM):
            return  # the first resolution stands, and its time
        if kind is ReopenKind.MISCLICK:
            item.slips = item.attempts.pop().slips + 1  # void: the later one is the resolution
            item.open = True
        elif event.at - attempt.event.at <= self.windows.reopen:
            item.gaps.append((attempt.event.at, event.at))
            item.open = True
        else:
            self._open_item(event.at)

    def _kind_of_reopen(self, position: int, event: Event, attempt: _Attempt) -> ReopenKind:
        since = event.at - attempt.event.at
        if event.data.get("bulk") or event.data.get("migration"):
            return ReopenKind.SYSTEM
        if (
            event.actor_kind is ActorKind.AGENT
            and event.actor_key is not None
            and event.actor_key == (attempt.event.actor_key or attempt.agent)
            and since <= self.windows.misclick
        ):
            return ReopenKind.MISCLICK
        if event.actor_kind is ActorKind.REQUESTER and self._was_courtesy(position, event):
            return ReopenKind.COURTESY
        return ReopenKind.COUNTED

    def _was_courtesy(self, position: int, reopen: Event) -> bool:
        """Resolved again within 24 h, and nobody did anything in between but close it."""
        for event, _ in self.events[position + 1 :]:
            if event.at - reopen.at > self.windows.courtesy:
                return False
            if event.type is EventType.STATUS_CHANGED and State(event.data["to"]).is_resolved:
                return True
            if _is_human_reply(event) or event.type in _WORK:
                return False
        return False

    def _categorised(self, at: datetime, capability: Any) -> None:
        self.now.capability = capability
        if not self.capabilities or self.capabilities[-1][1] != capability:
            self.capabilities.append((at, capability))

    def _regrouped(self, item: _Item, at: datetime, group: str, automatic: bool) -> None:
        self.now.group = group
        if not item.groups or (automatic and item.routing):
            item.groups[:] = [(at, group)]  # first routing is no reassignment
        elif item.groups[-1][1] != group:
            item.groups.append((at, group))
        item.routing = item.routing and automatic

    def _said(self, item: _Item, event: Event, ticket: Hashable) -> None:
        if event.actor_kind is ActorKind.REQUESTER and event.at > item.opened_at:
            item.requester_messages.append(event.at)
        if event.public and event.actor_kind in (ActorKind.AGENT, *_MACHINES):
            item.voices.append((event.at, event.actor_kind is not ActorKind.AGENT))
        if _is_human_reply(event):
            meaning = Meaning(event.data.get("meaning", Meaning.UNKNOWN))
            item.replies.append(Response(event.at, ticket, event.key, event.actor_key, meaning))

    @staticmethod
    def _wait(item: _Item, at: datetime, *, waiting: bool) -> None:
        """Begin or end a stretch of waiting for the requester."""
        running = bool(item.waits) and item.waits[-1][1] is None
        if running and not waiting:
            item.waits[-1] = (item.waits[-1][0], at)
        elif waiting and not running:
            item.waits.append((at, None))

    # --- a work item when everything is told ------------------------------------------------------

    def _finished(self, item: _Item) -> WorkItem:
        last = item is self.items[-1]
        resolutions = tuple(_finished(attempt, item, self.windows) for attempt in item.attempts)
        responses = [reply for reply in item.replies if not _opens(item, reply)]
        first = responses[0] if responses else None
        helped = next((r for r in responses if r.meaning is Meaning.MEANINGFUL), None)
        if item.withdrawn_at is not None:
            outcome, ended_at = Outcome.WITHDRAWN, item.withdrawn_at
        elif item.open:
            outcome, ended_at = Outcome.OPEN, None
        else:
            outcome, ended_at = Outcome.RESOLVED, resolutions[-1].at
        replies = _replies_before(item, resolutions)
        end = resolutions[-1] if resolutions and outcome is Outcome.RESOLVED else None
        severity = end.severity if end else self.severities.at(ended_at)
        return WorkItem(
            number=item.number,
            opened_at=item.opened_at,
            requester=self.now.requester,
            channel=self.now.channel,
            outcome=outcome,
            state=self.state if last else State.RESOLVED,
            ended_at=ended_at,
            severity=severity,
            capability=end.capability if end else self.now.capability,
            group=end.group if end else self.now.group,
            resolutions=resolutions,
            first_response=first,
            first_meaningful=helped,
            pauses=_accepted(item, first),
            reopens=tuple(item.reopens),
            terms=self._terms(item.opened_at, ended_at),
            reassignments=max(0, len(item.groups) - 1),
            escalations=tuple(item.escalations),
            requester_messages=len(item.requester_messages),
            replies_to_first_resolution=replies,
            fcr_claimed=_claims_first_contact(item, resolutions, replies),
            routine=self.now.flags.get(Flag.ROUTINE),
            problem=item.problem,
            response_owed=item.response_owed,
            handled_by=end.handled_by if end else handled_by(by for _, by in item.voices),
            waits=tuple(Wait(start, _asked(item, start)) for start, _ in item.waits),
            downgrades=tuple(
                one
                for one in self.downgrades
                if item.opened_at <= one.at and (ended_at is None or one.at <= ended_at)
            ),
            early_s=item.early_s,
        )

    def _terms(self, opened_at: datetime, ended_at: datetime | None) -> tuple[Terms, ...]:
        """What promises of an item rested on, from change to change within its life.

        A capability that was not known at the opening holds from there once it is.
        """
        capabilities = [
            change for change in self.capabilities if ended_at is None or change[0] <= ended_at
        ]
        changes: set[datetime] = set()
        if len(capabilities) > 1 or len(self.severities.changes) > 1:
            changes = {
                since
                for since, _ in (*self.severities.changes, *capabilities)
                if since > opened_at and (ended_at is None or since <= ended_at)
            }
        terms: list[Terms] = []
        for since in (opened_at, *sorted(changes)):
            severity = self.severities.at(since)
            capability = _in_force(capabilities, since) if capabilities else None
            if terms and (severity, capability) == (terms[-1].severity, terms[-1].capability):
                continue
            steps = self.severities.steps(opened_at, since)
            terms.append(Terms(since, severity, capability, steps))
        return tuple(terms)


_DENIALS = (Flag.POLICY_DENIAL, Flag.OUT_OF_SCOPE)
_WORK = (EventType.ASSIGNED, EventType.GROUP_CHANGED, EventType.ESCALATED)


def _is_human_reply(event: Event) -> bool:
    """Visible to the requester and written by an agent (METRICS.md M12)."""
    return event.type is EventType.MESSAGE and event.public and event.actor_kind is ActorKind.AGENT


def _opens(item: _Item, reply: Response) -> bool:
    """Whether this is the message with which an agent opened the ticket for the requester."""
    return item.opened_by_agent and reply.at == item.opened_at


def _finished(attempt: _Attempt, item: _Item, windows: Windows) -> Resolution:
    """The resolution with what came of it: the counted reopen, else the first of another kind."""
    at, by = attempt.event.at, attempt.event.actor_kind
    counted = [reopen for reopen in attempt.reopens if reopen.kind is ReopenKind.COUNTED]
    chosen = next(iter(counted or attempt.reopens), None)
    voices = [machine for said_at, machine in item.voices if said_at <= at]
    if by is not ActorKind.REQUESTER:
        voices.append(by in _MACHINES)
    return Resolution(
        at=at,
        ticket=attempt.ticket,
        event_key=attempt.event.key,
        kind=attempt.kind,
        agent=attempt.agent,
        group=attempt.group,
        capability=attempt.capability,
        severity=attempt.severity,
        policy_denial=attempt.policy_denial,
        reopen=chosen,
        reopened=bool(counted) and counted[0].at - at <= windows.reopen,
        handled_by=handled_by(voices),
        denial=attempt.denial,
        slips=attempt.slips,
    )


def _asked(item: _Item, start: datetime) -> bool:
    """Whether a question went out about when a wait began; an empty phrase asks nothing."""
    return any(
        abs(reply.at - start) <= QUESTION_WINDOW and reply.meaning is not Meaning.NOT_MEANINGFUL
        for reply in item.replies
    )


def _in_force[T](changes: Sequence[tuple[datetime, T]], instant: datetime | None) -> T:
    """What held at an instant: the last change by then, else the first; None: after them all."""
    in_force = changes[0][1]
    for since, changed in changes:
        if instant is not None and since > instant:
            break
        in_force = changed
    return in_force


def _downgrades(events: Sequence[Event]) -> tuple[Downgrade, ...]:
    """Every time the recorded severity was made milder, in order."""
    found, before = [], None
    for event in events:
        if event.type is EventType.PRIORITY_CHANGED:
            now = Severity(event.data["to"])
        elif event.type is EventType.CREATED and event.data.get("severity"):
            now = before or Severity(event.data["severity"])
        else:
            continue
        if before is not None and _RANK[now] > _RANK[before]:
            found.append(Downgrade(event.at, before))
        before = now
    return tuple(found)


def _accepted(item: _Item, first: Response | None) -> tuple[tuple[datetime, datetime | None], ...]:
    """Waits from the first public human reply on, and gaps before counted reopens, in order.

    A pause nobody told the requester about is none (METRICS.md 1.4); one that was running when the
    first reply went out counts from that reply.
    """
    stretches = list(item.gaps)
    for start, end in item.waits:
        if first is None or (end is not None and end <= first.at):
            continue
        stretches.append((max(start, first.at), end))
    return tuple(sorted(stretches, key=lambda stretch: stretch[0]))


def _replies_before(item: _Item, resolutions: Sequence[Resolution]) -> int:
    if not resolutions:
        return len(item.replies)
    return sum(1 for reply in item.replies if reply.at <= resolutions[0].at)


def _claims_first_contact(item: _Item, resolutions: Sequence[Resolution], replies: int) -> bool:
    """Solved in one go, as the help desk would claim it (METRICS.md M16)."""
    if not resolutions or resolutions[0].kind is not ResolutionKind.NORMAL:
        return False
    by = resolutions[0].at
    return (
        replies <= 1
        and not any(at <= by for at in item.requester_messages)
        and not any(escalation.at <= by for escalation in item.escalations)
        and len({group for at, group in item.groups if at <= by}) <= 1
    )


@dataclass(frozen=True, slots=True)
class SeverityHistory:
    """The severity in force at each moment (METRICS.md 1.5)."""

    #: (from, severity), ascending; the first one holds for all time before.
    changes: tuple[tuple[datetime, Severity], ...]
    governed: bool

    @classmethod
    def of(cls, events: Sequence[Event], settings: FoldSettings) -> SeverityHistory:
        """Read the history off ordered events, under the organisation's policy.

        Raises ValueError if no event says how severe the ticket is.
        """
        recorded = [
            (event, Severity(event.data["severity" if event.type is EventType.CREATED else "to"]))
            for event in events
            if event.type is EventType.PRIORITY_CHANGED
            or (event.type is EventType.CREATED and event.data.get("severity"))
        ]
        if not recorded:
            raise ValueError("No event says how severe the ticket is.")
        if settings.triage_ends is None or settings.severity_policy is SeverityPolicy.RECORDED:
            return cls(tuple((event.at, severity) for event, severity in recorded), False)
        grace_ends = _grace_ends(events, settings.triage_ends)
        return cls(tuple(_governed(recorded, events, grace_ends)), True)

    def at(self, instant: datetime | None) -> Severity:
        """The severity in force at an instant; None means after the last change."""
        return _in_force(self.changes, instant)

    def steps(
        self, opened_at: datetime, ended_at: datetime | None
    ) -> tuple[tuple[datetime, Severity], ...]:
        """Whose promise runs from when, within one work item; see `Terms.steps`.

        As recorded, the severity at the end runs from the opening. Governed, an upgrade adds a step
        and an approved downgrade takes back what was worse.
        """
        if not self.governed:
            return ((opened_at, self.at(ended_at)),)
        steps = [(opened_at, self.at(opened_at))]
        for since, severity in self.changes:
            if since <= opened_at or (ended_at is not None and since > ended_at):
                continue
            while len(steps) > 1 and _RANK[steps[-2][1]] <= _RANK[severity]:
                steps.pop()
            if _RANK[severity] >= _RANK[steps[-1][1]]:
                steps[-1] = (steps[-1][0], severity)
            else:
                steps.append((since, severity))
        return tuple(steps)


#: Worst first: the lower, the worse.
_RANK: Mapping[Severity, int] = {severity: rank for rank, severity in enumerate(Severity)}


def _grace_ends(events: Sequence[Event], triage_ends: Callable[[datetime], datetime]) -> datetime:
    """End of the triage grace: 60 business minutes after opening, or the resolution if earlier."""
    resolved = (
        event.at for event in events if (to := _state_after(event)) is not None and to.is_resolved
    )
    ends = triage_ends(events[0].at)
    return min(ends, next(resolved, ends))


def _governed(
    recorded: Sequence[tuple[Event, Severity]], events: Sequence[Event], grace_ends: datetime
) -> list[tuple[datetime, Severity]]:
    """Triage sets the base; then upgrades at once, downgrades only with a reason and approval.

    The base is what is recorded when the grace ends, and holds from the opening.
    """
    triaged = [severity for event, severity in recorded if event.at <= grace_ends]
    history = [(events[0].at, triaged[-1] if triaged else recorded[0][1])]
    for event, severity in recorded:
        if event.at <= grace_ends:
            continue
        worse = _RANK[severity] < _RANK[history[-1][1]]
        if worse or _approved(event, events):
            history.append((event.at, severity))
    return history


def _approved(change: Event, events: Sequence[Event]) -> bool:
    """Whether a downgrade carries a reason and was approved by someone other than the assignee."""
    assignee = None
    for event in events:
        if event.order > change.order:
            break
        if event.type is EventType.ASSIGNED:
            assignee = event.data.get("to")
    approver = change.data.get("approved_by")
    return bool(change.data.get("reason")) and approver is not None and approver != assignee
