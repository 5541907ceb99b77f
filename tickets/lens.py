"""The lens: a help desk's own words read as ours, when a ticket is folded. Pure.

The log keeps what was said. `Words` is one version of what an administrator says it means; `Lens`
adds who was what when, and which bursts no person made. A word that nobody has mapped is a flaw of
the ticket and changes nothing: it is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

from tickets.canonical import ORDER, ActorKind, Event, EventType, Severity, State
from tickets.flaws import Flaw, FlawKind

#: In a mapping: this word is known, and says nothing of a capability.
NOTHING = ""
#: In a word: stands between what it is called by machines and the name people gave it.
NAMED = " · "


def named(identity: object, name: str) -> str:
    """A word of a help desk that can be renamed there: `10234 · Waiting for customer`.

    The name is for reading, the identity decides (`look_up`): a mapping outlives the renaming.
    """
    return f"{identity}{NAMED}{name}"


def look_up[M](words: Mapping[str, M], word: str) -> M | None:
    """What a word means: what is mapped for it, else for all words of its identity alike.

    Where two names of one identity mean different things, a third is unknown: never guessed. An
    identity that was said without a name is one of its words.
    """
    if word in words:
        return words[word]
    identity = word.partition(NAMED)[0]
    meanings = {
        meaning for known, meaning in words.items() if known.partition(NAMED)[0] == identity
    }
    return meanings.pop() if len(meanings) == 1 else None


class WordsError(ValueError):
    """A mapping of words cannot be used. `mistakes` holds one sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__("The mapping cannot be used: " + " ".join(mistakes))


@dataclass(frozen=True, slots=True)
class Words:
    """What a source's words mean: its document is `MappingVersion.words`."""

    states: Mapping[str, State] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    #: By kind of word (group, type, brand …) the capability's slug, or NOTHING.
    capabilities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: Kinds of words in the order in which they are asked; the first that names one decides.
    order: tuple[str, ...] = ()

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Words:
        """Read the stored document. Raises WordsError naming every mistake."""
        mistakes: list[str] = []
        known = {"states", "severities", "capabilities", "order"}
        mistakes += [f"There is no {name!r} in a mapping." for name in document.keys() - known]
        states = _meanings(State, "status", document.get("states", {}), mistakes)
        severities = _meanings(Severity, "priority", document.get("severities", {}), mistakes)
        capabilities = {
            str(kind): {str(word): str(slug or NOTHING) for word, slug in words.items()}
            for kind, words in document.get("capabilities", {}).items()
        }
        order = tuple(str(kind) for kind in document.get("order", capabilities))
        mistakes += [
            f"{kind} is asked for capabilities and maps none."
            for kind in order
            if kind not in capabilities
        ]
        if mistakes:
            raise WordsError(mistakes)
        return cls(
            {word: State(state) for word, state in states.items()},
            {word: Severity(severity) for word, severity in severities.items()},
            capabilities,
            order,
        )

    def document(self) -> dict[str, Any]:
        """The document `parse` reads."""
        return {
            "states": {word: state.value for word, state in self.states.items()},
            "severities": {word: severity.value for word, severity in self.severities.items()},
            "capabilities": {kind: dict(words) for kind, words in self.capabilities.items()},
            "order": list(self.order),
        }


def _meanings(
    ours: type[State] | type[Severity], what: str, words: Mapping[str, Any], mistakes: list[str]
) -> dict[str, str]:
    known = {str(word) for word in ours}
    mistakes += [
        f"The {what} {said!r} is mapped to {word!r}, which is not one of {', '.join(known)}."
        for said, word in words.items()
        if word not in known
    ]
    return {str(said): str(word) for said, word in words.items() if word in known}


@dataclass(frozen=True, slots=True)
class RoleSpan:
    """What an account was from `since` on; the earliest holds before as well."""

    since: datetime
    role: ActorKind
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Lens:
    """One connection's words, roles and bursts, as they are known now."""

    words: Words = Words()
    #: Ids of capabilities by slug.
    capabilities: Mapping[str, int] = field(default_factory=dict)
    #: By actor key.
    roles: Mapping[str, Sequence[RoleSpan]] = field(default_factory=dict)
    #: From and to, both included.
    bursts: Sequence[tuple[datetime, datetime]] = ()

    def story(
        self, events: Iterable[Event], *, requester: str | None = None
    ) -> tuple[list[Event], set[Flaw]]:
        """A ticket's events in order and in our words, and the flaws of its words.

        `requester` is the actor key of the ticket's requester, where their account is known.
        """
        reading = _Reading(self, requester)
        return reading.read(events), reading.flaws

    def role_at(self, actor_key: str, at: datetime) -> ActorKind | None:
        """What an account was at an instant; what a person here said outweighs the rest."""
        spans = self.roles.get(actor_key)
        if not spans:
            return None
        in_force = max(
            (span for span in spans if span.since <= at),
            key=lambda span: (span.by_hand, span.since),
            default=None,
        )
        earliest = min(spans, key=lambda span: (not span.by_hand, span.since))
        return (in_force or earliest).role


@dataclass
class _Reading:
    """One ticket under the lens."""

    lens: Lens
    requester: str | None
    flaws: set[Flaw] = field(default_factory=set)
    facets: dict[str, str] = field(default_factory=dict)
    capability: int | None = None

    def read(self, events: Iterable[Event]) -> list[Event]:
        told: list[Event] = []
        for event in sorted(_standing_ones(events), key=ORDER):
            told += self._event(self._acted(event))
        return told

    def _acted(self, event: Event) -> Event:
        """The event with what its actor was at that moment."""
        if event.actor_kind is not ActorKind.UNKNOWN or event.actor_key is None:
            return event
        if event.actor_key == self.requester:
            return replace(event, actor_kind=ActorKind.REQUESTER)
        role = self.lens.role_at(event.actor_key, event.at)
        if role is None:
            if event.type is EventType.MESSAGE:
                self.flaws.add(Flaw(FlawKind.UNKNOWN_ACTOR))
            return event
        return replace(event, actor_kind=role)

    def _event(self, event: Event) -> list[Event]:
        data = event.data
        match event.type:
            case EventType.CREATED | EventType.SNAPSHOT:
                return [self._standing(event)]
            case EventType.STATUS_CHANGED:
                return self._moved(event)
            case EventType.PRIORITY_CHANGED if "said" in data:
                severity = self._severity(str(data["said"]))
                return [_with(event, {"to": severity}, "said")] if severity else []
            case EventType.CATEGORY_CHANGED if "facets" in data:
                return self._recategorised(event)
            case EventType.GROUP_CHANGED if "facets" in data:
                return [*self._recategorised(event), _with(event, {}, "facets")]
        return [event]

    def _standing(self, event: Event) -> Event:
        """A snapshot or an opening with its words read."""
        data = event.data
        if "state_said" not in data and "severity_said" not in data and "facets" not in data:
            return event
        read: dict[str, Any] = {}
        if "state_said" in data and (state := self._state(str(data["state_said"]))):
            read["state"] = state
        if "severity_said" in data and (severity := self._severity(str(data["severity_said"]))):
            read["severity"] = severity
        if "facets" in data:
            capability = self._categorise(data["facets"])
            if capability is not None:
                read["capability"] = capability
        return _with(event, read, "state_said", "severity_said", "facets")

    def _moved(self, event: Event) -> list[Event]:
        if "said" in event.data:
            state = self._state(str(event.data["said"]))
            if state is None:
                return []
            event = _with(event, {"to": state}, "said")
        in_burst = any(start <= event.at <= end for start, end in self.lens.bursts)
        if in_burst and State(event.data["to"]).is_open:
            event = _with(event, {"bulk": True})
        return [event]

    def _recategorised(self, event: Event) -> list[Event]:
        before = self.capability
        capability = self._categorise(event.data["facets"])
        if capability is None or capability == before:
            return []
        return [
            Event(
                _derived_key(event.key),
                EventType.CATEGORY_CHANGED,
                event.at,
                event.sequence,
                event.actor_kind,
                event.actor_key,
                event.public,
                {"to": capability},
            )
        ]

    def _state(self, word: str) -> State | None:
        state = look_up(self.lens.words.states, word)
        if state is None:
            self.flaws.add(Flaw(FlawKind.UNMAPPED_STATE, word[:200]))
        return state

    def _severity(self, word: str) -> Severity | None:
        severity = look_up(self.lens.words.severities, word)
        if severity is None:
            self.flaws.add(Flaw(FlawKind.UNMAPPED_SEVERITY, word[:200]))
        return severity

    def _categorise(self, facets: Mapping[str, Any]) -> int | None:
        """Take in what is said and return the capability it means now; None if none is named."""
        self.facets.update({kind: str(word or "") for kind, word in facets.items()})
        words = self.lens.words
        unmapped: list[Flaw] = []
        for kind in words.order:
            word = self.facets.get(kind)
            if word is None:
                continue
            slug = look_up(words.capabilities[kind], word)
            if slug is None:
                unmapped.append(Flaw(FlawKind.UNMAPPED_CAPABILITY, f"{kind}: {word}"[:200]))
            elif slug != NOTHING and slug in self.lens.capabilities:
                self.capability = self.lens.capabilities[slug]
                return self.capability
        self.flaws.update(unmapped)  # only where no other word says what it is about
        return self.capability


def _standing_ones(events: Iterable[Event]) -> list[Event]:
    """The events without those whose place another one took."""
    told = list(events)
    revised = {event.data["revises"] for event in told if "revises" in event.data}
    return [event for event in told if event.key not in revised] if revised else told


def _with(event: Event, read: Mapping[str, Any], *dropped: str) -> Event:
    """The event with what was read, and without what was said."""
    kept = {name: value for name, value in event.data.items() if name not in dropped}
    return replace(event, data={**kept, **read})


def _derived_key(key: int) -> int:
    digest = blake2b(key.to_bytes(8, signed=True) + b"capability", digest_size=8)
    return int.from_bytes(digest.digest(), signed=True)
