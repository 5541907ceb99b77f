"""Small export files, written by hand: an audit log of an imaginary desk and a survey export."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tickets import importing
from tickets.importing import Report
from tickets.mapping import Mapping
from tickets.news import Rating

AT = datetime(2026, 6, 1, tzinfo=UTC)

LOG_HEADER = (
    "number", "incident_state", "sys_mod_count", "caller_id", "opened_at", "sys_updated_by",
    "sys_updated_at", "contact_type", "category", "priority", "assignment_group", "assigned_to",
    "problem_id",
)  # fmt: skip


def version(
    number: str,
    at: str,
    state: str,
    *,
    count: int = 0,
    opened: str = "2/3/2026 09:00",
    by: str = "desk 1",
    priority: str = "3 - Moderate",
    category: str = "Printing",
    group: str = "Desk",
    agent: str = "Kim",
    caller: str = "caller 7",
    problem: str = "?",
) -> tuple[str, ...]:
    """One row of an audit log; dates as d/m/yyyy HH:MM."""
    return (
        number, state, str(count), caller, opened, by, at, "Phone", category, priority, group,
        agent, problem,
    )  # fmt: skip


#: T1 resolved twice in a row, closed; T2 reopened after two hours; T3 reopened after 15 days;
#: T4 reopened by the same account in three minutes; T5 closed without a Resolved row, and lowered
#: afterwards; T6 open with a state nobody knows.
LOG = [
    version("T1", "2/3/2026 09:00", "New"),
    version("T1", "2/3/2026 11:00", "Resolved", count=1),
    version("T1", "2/3/2026 12:00", "Resolved", count=2),
    version("T1", "9/3/2026 12:00", "Closed", count=3, by="job", problem="Problem ID 4"),
    version("T2", "2/3/2026 09:10", "New", caller="caller 8"),
    version("T2", "2/3/2026 10:00", "Resolved", count=1, caller="caller 8"),
    version("T2", "2/3/2026 12:00", "Active", count=2, caller="caller 8", by="desk 2"),
    version("T2", "2/3/2026 13:00", "Resolved", count=3, caller="caller 8",
            problem="Problem ID 4"),
    version("T3", "2/3/2026 09:20", "New", caller="caller 9"),
    version("T3", "2/3/2026 10:20", "Resolved", count=1, caller="caller 9"),
    version("T3", "17/3/2026 10:21", "Active", count=2, caller="caller 9", by="desk 2"),
    version("T3", "17/3/2026 12:00", "Resolved", count=3, caller="caller 9"),
    version("T4", "2/3/2026 09:30", "New", caller="caller 10"),
    version("T4", "2/3/2026 10:30", "Resolved", count=1, caller="caller 10"),
    version("T4", "2/3/2026 10:33", "Active", count=2, caller="caller 10"),
    version("T4", "2/3/2026 11:30", "Resolved", count=3, caller="caller 10"),
    version("T5", "3/3/2026 09:00", "New", opened="3/3/2026 09:00", priority="2 - High"),
    version("T5", "3/3/2026 10:00", "Closed", count=1, opened="3/3/2026 09:00",
            priority="2 - High"),
    version("T5", "3/3/2026 11:00", "Closed", count=2, opened="3/3/2026 09:00",
            priority="4 - Low"),
    version("T6", "3/3/2026 09:00", "New", caller="caller 11", category="Network"),
    version("T6", "3/3/2026 09:05", "-100", count=1, caller="caller 11", category="Network"),
]  # fmt: skip

SURVEY_HEADER = (
    "Unique id", "Issue_reported at", "issue_responded", "Survey_response_Date", "category",
    "Sub-category", "channel_name", "Agent_name", "CSAT Score", "Customer Remarks",
)  # fmt: skip


def survey_row(
    name: str,
    score: str,
    *,
    responded: str = "02/03/2026 09:30",
    category: str = "Returns",
    agent: str = "Ann",
    remark: str = "",
) -> tuple[str, ...]:
    """One answered survey, reported on 2 March 2026 at 09:00."""
    return (
        name, "02/03/2026 09:00", responded, "04-Mar-26", category, "A return", "Inbound", agent,
        score, remark,
    )  # fmt: skip


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    """Write a CSV file, gzipped if its name says so."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def quiet(rows: int, share: float) -> None:
    """No progress bar."""


def ignore_ratings(*, ratings: list[Rating], **_: object) -> int:
    """Take ratings and keep none."""
    return 0


def import_log(
    tenant_id: int, path: Path, *, source: str = "log", progress: importing.Progress = quiet
) -> Report:
    """Import an audit log with the shipped mapping."""
    return importing.run(
        tenant_id=tenant_id,
        source=source,
        path=path,
        mapping=Mapping.load("servicenow_incident_log"),
        at=AT,
        progress=progress,
        record_ratings=ignore_ratings,
    )
