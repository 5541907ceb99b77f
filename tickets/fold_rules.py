"""What an organisation decided about the fold: its windows, severity policy and further lines.

A change is a new version, and every stored ticket is folded again: figures of the past are then
told by the new rules, and say so by the version of the settings they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.catalogue.severity import SeverityPolicy
from tickets.calendars import TRIAGE_GRACE_S, Calendars
from tickets.canonical import Event
from tickets.models import Connection, FoldVersion
from tickets.refolding import refold_connection
from tickets.timeline import DEFAULTS, FoldSettings, Windows


@dataclass(frozen=True, slots=True)
class FoldRules:
    """The rules in force, at the handbook's defaults (METRICS.md Part 7)."""

    windows: Windows = DEFAULTS.windows
    #: Business time after opening in which what is recorded is still triage.
    triage: timedelta = timedelta(seconds=TRIAGE_GRACE_S)
    severity_policy: SeverityPolicy = SeverityPolicy.RECORDED
    #: Whether HDI's rule for written channels is told of first resolutions (METRICS.md M16).
    written_line: bool = False

    def settings(self, calendars: Calendars, story: Sequence[Event]) -> FoldSettings:
        """What the fold of one family needs, from the events of its first ticket."""
        if self.severity_policy is SeverityPolicy.RECORDED:
            return FoldSettings(windows=self.windows)
        ends = calendars.triage_ends(story, int(self.triage.total_seconds()))
        return FoldSettings(self.severity_policy, ends, self.windows)


def fold_rules(tenant_id: int) -> FoldRules:
    """The rules in force of an organisation; the defaults where nothing was decided."""
    newest = FoldVersion.objects.for_tenant(tenant_id).order_by("-pk").first()
    if newest is None:
        return FoldRules()
    windows = Windows(newest.reopen, newest.courtesy, newest.misclick)
    policy = SeverityPolicy(newest.severity_policy)
    return FoldRules(windows, newest.triage, policy, newest.written_line)


def change_fold_rules(
    tenant_id: int,
    *,
    windows: Windows,
    triage: timedelta,
    severity_policy: SeverityPolicy,
    written_line: bool,
    at: datetime,
) -> FoldVersion:
    """Keep new rules and let every stored ticket be folded again by them."""
    version = FoldVersion.objects.create(
        tenant_id=tenant_id,
        reopen=windows.reopen,
        courtesy=windows.courtesy,
        misclick=windows.misclick,
        triage=triage,
        severity_policy=severity_policy,
        written_line=written_line,
        at=at,
    )
    for connection in Connection.objects.for_tenant(tenant_id):
        refold_connection(connection, at=at)
    return version
