"""Repeat contact: did the same person need us again for the same capability (METRICS.md M17)?"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tickets.timeline import REOPEN_WINDOW


@dataclass(frozen=True, slots=True)
class Contact:
    """A work item as repeat contact sees it. Item, requester and capability are any identities."""

    item: Hashable
    requester: Any
    capability: Any
    opened_at: datetime
    first_resolution_at: datetime | None


def repeat_contacts(
    contacts: Iterable[Contact], window: timedelta = REOPEN_WINDOW
) -> Mapping[Hashable, datetime]:
    """By item: when its requester next came again for the same capability within (0, 14 d].

    Items without a known requester or capability, or without a resolution, have no entry.
    """
    rows = [c for c in contacts if c.requester is not None and c.capability is not None]
    openings: dict[tuple[Hashable, Hashable], list[datetime]] = defaultdict(list)
    for contact in rows:
        openings[(contact.requester, contact.capability)].append(contact.opened_at)
    for instants in openings.values():
        instants.sort()
    found: dict[Hashable, datetime] = {}
    for contact in rows:
        if contact.first_resolution_at is None:
            continue
        instants = openings[(contact.requester, contact.capability)]
        # An item opens before it is resolved, so the next opening is never its own.
        position = bisect_right(instants, contact.first_resolution_at)
        if position < len(instants):
            again = instants[position]
            if again - contact.first_resolution_at <= window:
                found[contact.item] = again
    return found
