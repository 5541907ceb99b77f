"""Which calendar an item's clock runs on, and what was promised when it opened."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from portal.catalogue.business_time import ROUND_THE_CLOCK, BusinessTime, CalendarRules
from portal.catalogue.models import (
    CalendarVersion,
    Capability,
    Domain,
    SeverityCalendar,
    TimeTarget,
)
from portal.catalogue.severity import Severity
from tickets.canonical import Event, EventType

#: What is recorded during the first business hour is still triage (METRICS.md 1.5).
TRIAGE_GRACE_S = 3_600

_ALWAYS = BusinessTime.of(ROUND_THE_CLOCK)


@dataclass(frozen=True, slots=True)
class Calendars:
    """The calendars and promises of one organisation, as they are stored now."""

    #: Domain of each capability, by their ids.
    domains: dict[int, int]
    self_service: frozenset[int]
    _by_domain: dict[int, BusinessTime]
    _by_severity: dict[tuple[int, str], BusinessTime]
    #: (domain, severity, clock) -> (valid from, seconds), the oldest first.
    _targets: dict[tuple[int, str, str], list[tuple[datetime | None, int]]]

    @classmethod
    def of(cls, tenant_id: int) -> Calendars:
        """Read an organisation's; equal rules are compiled once a process."""
        rules: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for version in CalendarVersion.objects.for_tenant(tenant_id).values(
            "calendar_id",
            "time_zone",
            "hours",
            "shifts",
            "breaks",
            "holidays",
            "valid_from",
            "valid_until",
        ):
            rules[version["calendar_id"]].append(dict(version))
        compiled = {
            calendar: _compiled(_canonical(versions)) for calendar, versions in rules.items()
        }
        targets = defaultdict(list)
        for target in TimeTarget.objects.for_tenant(tenant_id):
            key = (target.domain_id, target.severity, target.clock)
            targets[key].append((target.valid_from, target.seconds))
        for versions in targets.values():
            versions.sort(key=lambda version: (version[0] is not None, version[0]))
        capabilities = list(
            Capability.objects.for_tenant(tenant_id).values_list("pk", "domain_id", "self_service")
        )
        return cls(
            domains={capability: domain for capability, domain, _ in capabilities},
            self_service=frozenset(pk for pk, _, by_oneself in capabilities if by_oneself),
            _by_domain={
                domain: compiled.get(calendar, _ALWAYS)
                for domain, calendar in Domain.objects.for_tenant(tenant_id).values_list(
                    "pk", "calendar_id"
                )
            },
            _by_severity={
                (domain, severity): compiled.get(calendar, _ALWAYS)
                for domain, severity, calendar in SeverityCalendar.objects.for_tenant(
                    tenant_id
                ).values_list("domain_id", "severity", "calendar_id")
            },
            _targets=dict(targets),
        )

    def calendar(self, capability_id: int | None, severity: str) -> BusinessTime:
        """The calendar of a severity: its own, else round the clock if critical, else the domain's.

        Without a capability no domain is known and the clock runs round the clock.
        """
        domain = self.domains.get(capability_id) if capability_id is not None else None
        if domain is None:
            return _ALWAYS
        own = self._by_severity.get((domain, str(severity)))
        if own is not None:
            return own
        return _ALWAYS if severity == Severity.CRITICAL else self._by_domain[domain]

    def target(
        self, capability_id: int | None, severity: str, clock: str, opened_at: datetime
    ) -> int | None:
        """Seconds promised when an item opened; None where nothing was (METRICS.md M15)."""
        domain = self.domains.get(capability_id) if capability_id is not None else None
        if domain is None:
            return None
        in_force = None
        for valid_from, seconds in self._targets.get((domain, str(severity), clock), ()):
            if valid_from is None or valid_from <= opened_at:
                in_force = seconds
        return in_force

    def triage_ends(self, story: Sequence[Event], seconds: int = TRIAGE_GRACE_S) -> Any:
        """The end of the triage grace as a function of the opening, for a ticket's events."""
        created = next((event for event in story if event.type is EventType.CREATED), None)
        data = created.data if created is not None else {}
        calendar = self.calendar(data.get("capability"), data.get("severity", Severity.MEDIUM))
        return lambda opened_at: calendar.deadline(opened_at, seconds)


def _canonical(versions: list[dict[str, Any]]) -> str:
    return json.dumps(sorted(versions, key=str), default=str, sort_keys=True)


@lru_cache(maxsize=256)
def _compiled(versions: str) -> BusinessTime:
    """Business time of a calendar's versions, given as canonical JSON."""
    return BusinessTime(
        [
            (
                _instant(version["valid_from"]),
                _instant(version["valid_until"]),
                CalendarRules.from_dict(version),
            )
            for version in json.loads(versions)
        ]
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
