"""What a draft of a mapping would make of a source's last tickets, beside what they are now.

The tickets are folded in memory with the same lens and the same fold as for good; nothing is
written. Follow-ups are joined where both tickets are among those looked at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from portal.tenancy.models import Organisation
from tickets.calendars import Calendars
from tickets.canonical import Event, EventType
from tickets.flaws import Flaw, FlawKind
from tickets.fold_rules import fold_rules
from tickets.lens import Lens, Words
from tickets.material import Material, Story
from tickets.timeline import ReopenKind, TicketLog, Timeline, fold
from tickets.versions import changes

#: Unmapped words named in a preview, the most frequent first.
MOST_UNMAPPED = 50

_UNMAPPED = {
    FlawKind.UNMAPPED_STATE: "status",
    FlawKind.UNMAPPED_SEVERITY: "priority",
    FlawKind.UNMAPPED_CAPABILITY: "names no service:",
}


def preview(material: Material, draft: Mapping[str, Any]) -> dict[str, Any]:
    """What the tickets would become under a draft, and what they are. Raises WordsError."""
    wanted = Words.parse(draft)
    live = material.connection.live_since is not None
    return {
        "tickets": len(material.stories),
        "read_from": material.read_from,
        "since": material.since.isoformat(),
        "cut": material.cut,
        "then": _told(material, replace(material.lens, words=wanted)),
        "now": _told(material, material.lens) if live else None,
    }


def _told(material: Material, lens: Lens) -> dict[str, Any]:
    """The tickets under a lens, counted."""
    read: dict[str, list[Event]] = {}
    unmapped: Counter[tuple[str, str]] = Counter()
    for story in material.stories:
        events, flaws = lens.story(story.events, requester=story.requester)
        read[story.name] = changes(events)
        unmapped.update(_unmapped(flaws))
    whole = {name for name, events in read.items() if is_complete(events)}
    timelines = _fold(material, {name: read[name] for name in whole})
    items = [told.work_items[-1] for told in timelines if told.work_items and not told.left_out]
    every = [item for told in timelines if not told.left_out for item in told.work_items]
    return {
        "complete": len(whole),
        "incomplete": len(read) - len(whole),
        "states": _counted(item.state.value for item in items),
        "severities": _counted(item.severity.value for item in items),
        "capabilities": _counted(material.slugs.get(item.capability, "") for item in items),
        "left_out": _counted(told.left_out for told in timelines if told.left_out),
        "resolutions": sum(len(item.resolutions) for item in every),
        "reopens": sum(
            reopen.kind is ReopenKind.COUNTED for item in every for reopen in item.reopens
        ),
        "first_replies": sum(item.first_response is not None for item in every),
        "unmapped": [
            {"kind": kind, "word": word, "tickets": number}
            for (kind, word), number in unmapped.most_common(MOST_UNMAPPED)
        ],
        "unmapped_words": len(unmapped),
    }


def _unmapped(flaws: set[Flaw]) -> set[tuple[str, str]]:
    return {(_UNMAPPED[flaw.kind], flaw.detail) for flaw in flaws if flaw.kind in _UNMAPPED}


def _counted(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda entry: (-entry[1], entry[0])))


def is_complete(events: list[Event]) -> bool:
    """Whether it is known how the ticket was opened: without that there is nothing to count."""
    return any(e.type is EventType.CREATED and e.data.get("severity") for e in events)


def _fold(material: Material, read: Mapping[str, list[Event]]) -> list[Timeline]:
    """Fold the tickets, each with what follows it."""
    tenant = Organisation.objects.get(pk=material.connection.tenant_id)
    calendars, rules = Calendars.of(tenant.pk), fold_rules(tenant.pk)
    stories = {story.name: story for story in material.stories if story.name in read}
    families: dict[str, list[Story]] = defaultdict(list)
    for story in stories.values():
        families[_eldest(story.name, stories)].append(story)
    timelines: list[Timeline] = []
    for family in families.values():
        logs = [
            TicketLog(s.name, read[s.name], s.follows if s.follows in stories else None)
            for s in family
        ]
        timelines += fold(logs, rules.settings(calendars, logs[0].events))
    return timelines


def _eldest(name: str, stories: Mapping[str, Story]) -> str:
    """The ticket at the top of those that follow one another; a circle ends where it began."""
    seen = {name}
    while (parent := stories[name].follows) in stories and parent not in seen:
        seen.add(parent)
        name = parent
    return name
