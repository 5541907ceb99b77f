"""The golden month: a log with every tricky case, from events to the figures of its report.

The log is folded, packed and evaluated by the code that serves the pages; only the report's own
words are put together here. Figures are compared before the small-number rules for display.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from metrics import columns, evaluating
from metrics.evaluating import Ending, Facts, epoch
from metrics.folded import pack
from metrics.kinds import Estimate
from metrics.measure import CalendarClocks
from metrics.rows import Rows
from portal.catalogue.business_time import BusinessTime, CalendarRules
from portal.catalogue.models import TimeTarget
from portal.catalogue.severity import Severity
from tickets import golden_log
from tickets.calendars import Calendars
from tickets.golden_log import instant
from tickets.repeat_contact import Contact, repeat_contacts
from tickets.timeline import TicketLog, Timeline, WorkItem, fold, until

#: The file's number in the conformance runner.
NAME = "golden_month_A"
WINDOW = timedelta(days=14)
_DOMAIN = 1


def flattened(expected: Mapping[str, Any]) -> dict[str, Any]:
    """Expectations by path, `report.reopen.numerator`, so that each value is a case of its own."""
    return dict(_paths("", expected))


def _paths(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _paths(f"{prefix}{name}.", inner)
    else:
        yield prefix[:-1], value


def run(data: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the file expects, computed from its data, by path."""
    month = _Month(data)
    return flattened(
        {
            "ticket_status": month.ticket_status(),
            "work_items": month.work_items(),
            "report": month.report(),
        }
    )


class _Month:
    """The log with its calendar, folded once."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.as_of = instant(data["as_of"])
        self.start = instant(data["period"]["start"])
        self.end = instant(data["period"]["end"])
        self.ids = _Numbers()
        rules = {**data["calendar"], "time_zone": data["calendar"]["tz"]}
        self.business = BusinessTime.of(CalendarRules.from_dict(rules))
        self.timelines = self._fold()
        self.items = list(golden_log.names(self.timelines))

    def _fold(self) -> list[Timeline]:
        logs = [golden_log.ticket_log(ticket) for ticket in self.data["tickets"]]
        return fold(
            [TicketLog(log.ticket, until(log.events, self.as_of), log.follows) for log in logs]
        )

    # --- tickets and work items -------------------------------------------------------------------

    def ticket_status(self) -> dict[str, str]:
        """Tickets that are no work item of their own, and why."""
        status = {str(t.ticket): t.left_out for t in self.timelines if t.left_out}
        for timeline in self.timelines:
            for ticket in timeline.continued_by:
                status[str(ticket)] = f"continuation of {timeline.ticket}"
        return status

    def work_items(self) -> dict[str, dict[str, Any]]:
        """Every work item in the file's words."""
        again = repeat_contacts(
            Contact(name, item.requester, item.capability, item.opened_at, _first(item))
            for name, item in self.items
        )
        return {name: self._described(name, item, name in again) for name, item in self.items}

    def _described(self, name: str, item: WorkItem, again: bool) -> dict[str, Any]:
        target = self.data["targets_s"][item.severity.value]
        told = golden_log.described(item, self.business, target, self.as_of)
        held = bool(item.resolutions) and not item.resolutions[0].reopened
        return {
            **told,
            "repeat_contact_14d": again,
            "fcr_verified": item.fcr_claimed and held and not again,
        }

    # --- the report -------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """The month's figures."""
        facts = self._facts()
        resolutions = facts.rows(columns.RESOLUTIONS)
        reopen = evaluating.reopen_rate(facts)
        denied = evaluating.reopen_rate(facts, policy_denial=True)
        claimed = evaluating.first_contact(facts, claimed=True)
        kept = evaluating.attainment(facts, columns.RESOLUTION_PROMISES)
        assert claimed.numerator is not None
        assert kept.numerator is not None
        return {
            "work_items_opened": len(facts.rows(columns.ITEMS)),
            "reopen": {
                **_fraction(reopen),
                "reopened": self._reopened(resolutions),
                "immature_resolutions": reopen.still_open,
            },
            "reopen_policy_denial": _fraction(denied),
            "reopen_by_agent_private": self._reopened_by_agent(),
            "fcr": {
                "denominator": claimed.denominator,
                "claimed": claimed.numerator,
                "verified": evaluating.first_contact(facts).numerator,
            },
            "repeat_contact": _fraction(evaluating.repeat_contact(facts)),
            "resolved_in_period": len(evaluating.held(facts)),
            "escalation": _fraction(evaluating.escalated(facts, "functional", "hierarchical")),
            "reassigned_2plus": _fraction(evaluating.bounced(facts)),
            "resolution_resolved_only_hours": self._resolved_only(),
            "resolution_cohort_hours": self._cohort(),
            "backlog_at_period_end": self._backlog(facts),
            "sla_resolution": {
                "met": kept.numerator,
                "missed": kept.denominator - kept.numerator,
                "undecided_now": self._undecided(),
            },
            "survey": self._survey(facts),
        }

    def _facts(self, severity: str | None = None) -> Facts:
        calendars = self._calendars()
        packed = pack(self._numbered(), tenant_id=1, calendars=calendars)
        packed[columns.SURVEYED.name] = self._surveyed()
        code = columns.SEVERITIES.index(severity) + 1 if severity else None
        low, high = epoch(self.start), epoch(self.end)

        def rows(kind: columns.Kind) -> Rows:
            found = packed[kind.name]
            found = found[(found["at"] >= low) & (found["at"] < high)]
            return found[found["severity"] == code] if code else found

        def backlog() -> tuple[Rows, int]:
            items, resolved = packed["items"], packed["resolutions"]
            between = (resolved["at"] <= high) & (resolved["reopened"] == 1)
            paused = resolved["item"][between & (resolved["reopen_at"] > high)]
            there = (items["at"] <= high) & ((items["ended"] == 0) | (items["ended"] > high))
            return items[there & ~np.isin(items["item"], paused)], high

        ending = Ending(high, low, high)
        clocks = CalendarClocks(calendars)
        return Facts(rows, backlog, epoch(self.as_of), clocks, rows, lambda: ending)

    def _calendars(self) -> Calendars:
        capabilities = {self.ids[ticket["capability"]] for ticket in self.data["tickets"]}
        clock = TimeTarget.Clock.RESOLUTION.value
        return Calendars(
            domains=dict.fromkeys(capabilities, _DOMAIN),
            self_service=frozenset(),
            _by_domain={_DOMAIN: self.business},
            _by_severity={(_DOMAIN, severity.value): self.business for severity in Severity},
            _targets={
                (_DOMAIN, severity, clock): [(None, seconds)]
                for severity, seconds in self.data["targets_s"].items()
            },
        )

    def _numbered(self) -> list[Timeline]:
        """The timelines with numbers where the database would have ids."""
        logs = []
        for ticket in self.data["tickets"]:
            named = {
                **ticket,
                "id": self.ids[ticket["id"]],
                "capability": self.ids[ticket["capability"]],
                "requester": self.ids[ticket["requester"]],
                "follow_up_of": ticket.get("follow_up_of") and self.ids[ticket["follow_up_of"]],
            }
            log = golden_log.ticket_log(named)
            logs.append(TicketLog(log.ticket, until(log.events, self.as_of), log.follows))
        return fold(logs)

    def _surveyed(self) -> Rows:
        denied = {t["id"] for t in self.data["tickets"] if t.get("policy_denial")}
        capability = {t["id"]: self.ids[t["capability"]] for t in self.data["tickets"]}
        requester = {t["id"]: self.ids[t["requester"]] for t in self.data["tickets"]}
        return columns.SURVEYED.pack(
            {
                **dict.fromkeys(columns.SURVEYED.sources),  # what the month does not tell
                **_survey_row(survey, number),
                "e.capability_id": capability[survey["ticket"]],
                "e.requester_id": requester[survey["ticket"]],
                "e.policy_denial": survey["ticket"] in denied,
            }
            for number, survey in enumerate(self.data["surveys"], start=1)
        )

    def _reopened(self, resolutions: Rows) -> list[str]:
        numbers = resolutions["item"][
            (resolutions["reopened"] == 1)
            & (resolutions["policy_denial"] == 0)
            & (resolutions["at"] + int(WINDOW.total_seconds()) <= epoch(self.as_of))
        ]
        return [self.items[int(number) - 1][0] for number in np.unique(numbers)]

    def _reopened_by_agent(self) -> dict[str, list[int]]:
        """Distinct items an agent resolved (mature, in the period), of them reopened."""
        resolved: dict[str, set[str]] = {}
        reopened: dict[str, set[str]] = {}
        for name, item in self.items:
            for resolution in item.resolutions:
                inside = self.start <= resolution.at < self.end
                mature = resolution.at + WINDOW <= self.as_of
                if resolution.policy_denial or not inside or not mature:
                    continue  # a dispute about a policy is nobody's failed fix
                if resolution.agent is None:
                    continue
                resolved.setdefault(resolution.agent, set()).add(name)
                if resolution.reopened:
                    reopened.setdefault(resolution.agent, set()).add(name)
        return {
            agent: [len(reopened.get(agent, ())), len(items)]
            for agent, items in sorted(resolved.items())
        }

    def _resolved_only(self) -> dict[str, dict[str, Any]]:
        hours: dict[str, dict[str, Any]] = {}
        for severity in columns.SEVERITIES:
            facts = self._facts(severity)
            median = evaluating.resolved_quantile(facts, 0.5)
            if median.denominator:
                ninth = evaluating.resolved_quantile(facts, 0.9)
                hours[severity] = {
                    "n": median.denominator,
                    "median": _hours(median.value),
                    "p90": _hours(ninth.value),
                }
        return hours

    def _cohort(self) -> dict[str, dict[str, Any]]:
        hours = {}
        for severity in columns.SEVERITIES:
            curve = evaluating.resolution_curve(self._facts(severity))
            hours[severity] = {
                "n": curve.n,
                "resolved": curve.events,
                "km_median": _hours(curve.quantile(0.5)),
                "km_p90": _hours(curve.quantile(0.9)),
            }
        return hours

    def _backlog(self, facts: Facts) -> list[str]:
        rows, _ = facts.backlog()
        return sorted(self.items[int(number) - 1][0] for number in rows["item"])

    def _undecided(self) -> list[str]:
        told = self.work_items()
        return [name for name, item in told.items() if item["sla"] == "undecided"]

    def _survey(self, facts: Facts) -> dict[str, Any]:
        coverage, rate = evaluating.coverage(facts), evaluating.response_rate(facts)
        service = evaluating.answers(facts, policy_denial=False)
        policy = evaluating.satisfied_share(facts, policy_denial=True)
        shares = evaluating.satisfied_share(facts)
        mean = evaluating.mean_rating(facts)
        return {
            "eligible_events": coverage.denominator,
            "sent": coverage.numerator,
            "coverage": [coverage.numerator, coverage.denominator],
            "windows_still_open": rate.still_open,
            "mature_sent": rate.denominator,
            "mature_delivered": rate.beside["delivered"],
            "mature_answered": rate.numerator,
            "response_rate": [rate.numerator, rate.denominator],
            "service": {
                "n": len(service.rows),
                "satisfied": shares.numerator,
                "neutral": shares.beside["neutral"],
                "dissatisfied": shares.beside["dissatisfied"],
                "mean": mean.value,
            },
            "policy": {"n": policy.denominator, "satisfied": policy.numerator},
        }


class _Numbers(dict[str, int]):
    """A number for every name, given on first sight."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self) + 1
        return self[name]


def _survey_row(survey: Mapping[str, Any], number: int) -> dict[str, Any]:
    sent_at = instant(survey["sent_at"]) if survey["sent_at"] else None
    window = sent_at + WINDOW if sent_at else None
    given = survey["answers"][-1] if survey["answers"] else None
    answered = instant(given["at"]) if given else None
    reason = {"fatigue_limit": "asked_recently"}.get(survey.get("not_sent_reason", ""))
    return {
        "e.at": instant(survey["event_at"]),
        "e.id": number,
        "e.severity": Severity.MEDIUM.value,
        "e.decision": "invited" if sent_at else "not_sent",
        "e.scale": survey["scale"],
        "n.reason": reason,
        "i.sent_at": sent_at,
        "i.state": "sent" if survey.get("delivered", True) else "bounced",
        "i.window_until": window,
        "a.score": given["rating"] if given else None,
        "a.answered_at": answered,
        "a.late": bool(answered and window and answered > window) if given else None,
        "a.complete": False if given else None,
        "a.released_at": answered,
    }


def _first(item: WorkItem) -> datetime | None:
    return item.resolutions[0].at if item.resolutions else None


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _fraction(estimate: Estimate) -> dict[str, Any]:
    return {"numerator": estimate.numerator, "denominator": estimate.denominator}


__all__: Sequence[str] = ("NAME", "flattened", "run")
