"""Whom and what a batch concerns beyond its own tickets: what else is to be computed again.

An item that stands as it stood concerns nobody: the work is proportional to what changed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tickets.repeat_contact import Contact


class StoredItem(NamedTuple):
    """What is stored of a work item that the figures of others follow from."""

    id: int
    contact: Contact
    repeat_contact_at: datetime | None


@dataclass(slots=True)
class Touched:
    """What a batch has touched so far."""

    #: Whether what stands as it stood counts as touched: the rules of the fold have changed.
    everything: bool = False
    #: Requesters of whom an item is another than it was.
    people: set[int] = field(default_factory=set)
    #: Requesters whose first sign may be another than it was (METRICS.md D1).
    began: set[int] = field(default_factory=set)
    #: Since when the items of a requester for a capability are others than they were (M17).
    asked: dict[tuple[int, int], datetime] = field(default_factory=dict)
    #: Account and instant of every resolution that was, or is, theirs (METRICS.md G10).
    closed: set[tuple[int, datetime]] = field(default_factory=set)

    def compare[K: Hashable](
        self, stored: Mapping[K, StoredItem], wanted: Mapping[K, Contact]
    ) -> None:
        """Note what differs between the items that are stored and those that are wanted."""
        for key, contact in wanted.items():
            if key not in stored:
                self._note(contact.requester, contact.capability, contact.opened_at)
        for key, item in stored.items():
            now = wanted.get(key)
            if now == item.contact and not self.everything:
                continue
            for one in (item.contact, now):
                if one is not None and one.requester is not None:
                    self.began.add(one.requester)
                    self._note(one.requester, one.capability, one.opened_at)

    def _note(self, requester: int | None, capability: int | None, opened_at: datetime) -> None:
        if requester is None:
            return
        self.people.add(requester)
        if capability is not None:
            asking = (requester, capability)
            self.asked[asking] = min(opened_at, self.asked.get(asking, opened_at))
