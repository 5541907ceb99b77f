"""A small ServiceNow instance, by hand: records with what they hide, and a fake Table API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.tickets.connectors.desk import Asked, Desk, Reply

BETH, EMILY, BOT, FRED = "b" * 32, "e" * 32, "0" * 31 + "9", "f" * 32
DESK, NETWORK = "1" * 32, "2" * 32
HOLDING = "We are looking into it. Thank you for your patience."
HELP = "Please restart the access point on floor 3; I watched it for ten minutes and it holds."
NOTE = "Looks like the uplink again: the switch drops packets since the firmware of last week."
GROUP_NAMES = {DESK: "Service Desk", NETWORK: "Network"}

#: Minutes by which the asking account's wall clock differs from UTC.
OFFSET = timedelta(hours=-7)


def number(of: int) -> str:
    return f"{of:032x}"


def cell(value: str, shown: str | None = None) -> dict[str, str]:
    """A cell as `sysparm_display_value=all` gives it; instants are shown on the account's clock."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value):
        there = datetime.fromisoformat(value) + OFFSET
        shown = there.strftime("%m/%d/%Y %I:%M:%S %p")
    return {"value": value, "display_value": value if shown is None else shown}


def row(**values: str | tuple[str, str]) -> dict[str, Any]:
    return {
        name: cell(*value) if isinstance(value, tuple) else cell(value)
        for name, value in values.items()
    }


def day(at: str) -> str:
    """`02 08:00:00` of March 2026."""
    return f"2026-03-{at}"


def record(of: int, updated: str, state: tuple[str, str], **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "sys_id": number(of), "number": f"INC{of:07}", "sys_class_name": ("incident", "Incident"),
        "short_description": "No Wi-Fi", "opened_at": day("02 08:00:00"),
        "sys_created_on": day("02 08:00:00"), "sys_updated_on": day(updated),
        "sys_created_by": "emily", "sys_updated_by": "beth", "sys_mod_count": "9",
        "opened_by": (EMILY, "Emily"), "caller_id": (EMILY, "Emily"), "state": state,
        "incident_state": state, "hold_reason": "", "priority": ("2", "2 - High"),
        "assignment_group": (NETWORK, "Network"), "assigned_to": (BETH, "Beth"),
        "contact_type": ("self-service", "Self-service"), "category": ("network", "Network"),
        "subcategory": ("", ""), "made_sla": "true", "reopen_count": "0", "reopened_time": "",
        "resolved_at": "", "closed_at": "",
    }  # fmt: skip
    return row(**(values | more))


_numbers = iter(range(10_000, 99_999))


def journal(of: int, at: str, by: str, text: str, element: str = "comments") -> dict[str, Any]:
    return row(
        sys_id=number(next(_numbers)), element=element, element_id=number(of), value=text,
        sys_created_on=day(at), sys_created_by=by,
    )  # fmt: skip


def audit(of: int, at: str, by: str, step: int, **changes: tuple[str, str]) -> list[Any]:
    return [
        row(
            sys_id=number(next(_numbers)), documentkey=number(of), fieldname=name, user=by,
            oldvalue=before, newvalue=after, sys_created_on=day(at), record_checkpoint=str(step),
        )
        for name, (before, after) in changes.items()
    ]  # fmt: skip


def state(before: str, after: str) -> dict[str, tuple[str, str]]:
    """An incident's state is held and audited twice."""
    return {"state": (before, after), "incident_state": (before, after)}


USERS = [
    row(sys_id=BETH, user_name="beth", name="Beth Anglin", email="beth@acme.example"),
    row(sys_id=EMILY, user_name="emily", name="Emily", email="emily@example.com"),
    row(sys_id=FRED, user_name="fred", name="Fred", email="fred@example.com"),
    row(sys_id=BOT, user_name="chatbot", name="Virtual agent", internal_integration_user="true"),
]
ROLES = [
    row(sys_id=number(1), user=BETH, role=("r1", "itil"), sys_created_on="2025-01-01 00:00:00"),
    row(sys_id=number(2), user=BOT, role=("r1", "itil"), sys_created_on="2025-01-01 00:00:00"),
]
GROUPS = [row(sys_id=one, name=name) for one, name in GROUP_NAMES.items()]


def labels(table: str, element: str, **of: str) -> list[dict[str, str]]:
    return [
        {"name": table, "element": element, "value": value.removeprefix("v"), "label": label}
        for value, label in of.items()
    ]


CHOICES = [
    *labels("incident", "state", v1="New", v2="In Progress", v3="On Hold", v6="Resolved",
            v7="Closed", v8="Canceled"),
    *labels("incident", "hold_reason", v1="Awaiting Caller", v5="Awaiting Vendor"),
    *labels("task", "priority", v1="1 - Critical", v2="2 - High", v3="3 - Moderate"),
    *labels("task", "state", v3="Closed Complete", v2="Work in Progress"),
    *labels("sn_hr_core_case", "state", v10="Ready", v18="Work in Progress", v3="Closed Complete",
            v20="Awaiting Acceptance"),
]  # fmt: skip


def page(
    one: Mapping[str, Any],
    entries: Sequence[Any] = (),
    history: Sequence[Any] = (),
    slas: Sequence[Any] = (),
    **more: Any,
) -> dict[str, Any]:
    """A page as the connector keeps it."""
    return {
        "table": "incident", "record": dict(one), "journal": list(entries),
        "history": list(history), "slas": list(slas), "groups": GROUPS, "users": USERS,
        "roles": ROLES, "choices": CHOICES,
    } | more  # fmt: skip


def raw(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, sort_keys=True).encode()


#: Everything that hides an answer, a wait or a reopen.
BUSY_JOURNAL = [
    journal(1, "02 13:40:00", "beth", HELP),
    journal(1, "02 08:00:02", "system", "We have received your request."),
    journal(1, "02 08:02:00", "beth", NOTE, "work_notes"),
    journal(1, "02 08:10:00", "beth", HOLDING),
    journal(1, "02 08:50:00", "emily", "Here is the log you asked for."),
    journal(1, "02 08:55:00", "chatbot", HELP),
    journal(1, "02 09:00:00", "beth", f"[code]<p>{HELP}</p>[/code]"),
    journal(1, "02 13:00:00", "emily", "It is gone again!"),
]
BUSY_HISTORY = [
    *audit(1, "02 08:05:00", "beth", 1, **state("1", "2"), priority=("3", "2"),
           assigned_to=("", BETH), assignment_group=(DESK, NETWORK)),
    *audit(1, "02 08:20:00", "beth", 2, **state("2", "3"), hold_reason=("", "1")),
    *audit(1, "02 08:50:03", "system", 3, **state("3", "2"), hold_reason=("1", "")),
    *audit(1, "02 09:05:00", "beth", 4, **state("2", "6"), close_code=("", "Solution provided")),
    *audit(1, "02 13:00:00", "emily", 5, **state("6", "2"), close_code=("Solution provided", "")),
    *audit(1, "02 14:00:00", "beth", 6, **state("2", "6"), close_code=("", "Solution provided")),
    *audit(1, "09 14:00:00", "system", 7, **state("6", "7")),
]  # fmt: skip
BUSY = page(
    record(
        1, "09 14:00:00", ("7", "Closed"), reopen_count="1", reopened_time=day("02 13:00:00"),
        resolved_at=day("02 14:00:00"), closed_at=day("09 14:00:00"),
        close_code="Solution provided",
    ),
    BUSY_JOURNAL,
    list(reversed(BUSY_HISTORY)),
)  # fmt: skip

#: Counted as reopened although it never came back; waited for a vendor.
PHANTOM = page(
    record(2, "03 10:00:00", ("7", "Closed"), reopen_count="1"),
    [journal(2, "02 08:10:00", "beth", HELP)],
    [
        *audit(2, "02 08:05:00", "beth", 1, **state("1", "2")),
        *audit(2, "02 08:20:00", "beth", 2, **state("2", "3"), hold_reason=("", "5")),
        *audit(2, "02 09:20:00", "beth", 3, **state("3", "6"), hold_reason=("5", "")),
        *audit(2, "02 10:00:00", "beth", 4, **state("6", "7")),
        *audit(2, "02 10:05:00", "beth", 5, **state("7", "6")),
        *audit(2, "03 10:00:00", "system", 6, **state("6", "7")),
    ],
    [
        row(sys_id=number(71), task=number(2), stage="completed", has_breached="false",
            start_time=day("02 08:00:00"), end_time=day("02 09:20:00"),
            planned_end_time=day("02 16:00:00")),
        row(sys_id=number(72), task=number(2), stage="cancelled", has_breached="true",
            start_time=day("02 08:00:00"), end_time=day("02 08:20:00"),
            planned_end_time=day("02 08:10:00")),
    ],
)  # fmt: skip

#: Closed by the platform because the caller did not answer.
FORGOTTEN = page(
    record(3, "05 08:20:00", ("6", "Resolved")),
    [journal(3, "02 08:10:00", "beth", "Which of the two printers do you mean?")],
    [
        *audit(3, "02 08:20:00", "beth", 1, **state("1", "3"), hold_reason=("", "1")),
        *audit(3, "05 08:20:00", "system", 2, **state("3", "6"), hold_reason=("1", "")),
    ],
)

WORDS: dict[str, Any] = {
    "states": {
        "incident 1 · New": "new",
        "incident 2 · In Progress": "open",
        "incident 3:1 · On Hold: Awaiting Caller": "waiting_on_requester",
        "incident 3:5 · On Hold: Awaiting Vendor": "waiting_on_third_party",
        "incident 6 · Resolved": "resolved",
        "incident 7 · Closed": "closed",
        "sn_hr_core_case 10 · Ready": "new",
        "sn_hr_core_case 3 · Closed Complete": "closed",
    },
    "severities": {"2 · High": "high", "3 · Moderate": "medium"},
    "capabilities": {"assignment_group": {"Network": "network", "Service Desk": ""}},
}

ASSESSMENTS: dict[str, Any] = {
    "instances": [
        row(sys_id=number(501), task_id=number(1), state="complete", taken_on=day("02 15:00:00"),
            sys_created_on=day("02 14:00:10"), sys_updated_on=day("02 15:00:00")),
    ],
    "results": [
        row(sys_id=number(511), instance=number(501), metric=number(601), actual_value="4",
            string_value="Satisfied"),
        row(sys_id=number(512), instance=number(501), metric=number(602), actual_value="",
            string_value="Quick in the end"),
    ],
    "metrics": [
        row(sys_id=number(601), name="How satisfied were you?", datatype="scale", min="1", max="5",
            scale_definition="high"),
        row(sys_id=number(602), name="Anything else?", datatype="string", min="", max=""),
    ],
}  # fmt: skip

HOOK = {"table": "incident", "sys_id": number(1), "updated": day("02 09:05:00"), "count": "5"}

DELIVERIES: list[tuple[str, bytes, dict[str, str]]] = [
    ("record", raw(BUSY), {}),
    ("record", raw(PHANTOM), {}),
    ("record", raw(FORGOTTEN), {}),
    ("assessments", raw(ASSESSMENTS), {}),
    ("hook", raw(HOOK), {}),
    (
        "record",
        # The same incident as an earlier pull saw it.
        raw(
            page(
                record(1, "02 09:05:00", ("6", "Resolved"), close_code="Solution provided"),
                BUSY_JOURNAL[1:7], BUSY_HISTORY[:-8],
            )
        ),
        {},
    ),
]  # fmt: skip


class Instance:
    """A fake of the Table API over rows by table."""

    def __init__(self, *pages: Any, assessments: Any = None) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {
            "incident": [one["record"] for one in pages],
            "task": [one["record"] for one in pages],
            "sys_journal_field": [entry for one in pages for entry in one["journal"]],
            "sys_audit": [entry for one in pages for entry in one["history"]],
            "metric_instance": [],
            "task_sla": [entry for one in pages for entry in one["slas"]],
            "sys_user": USERS,
            "sys_user_has_role": ROLES,
            "sys_user_group": GROUPS,
            "sys_choice": [row(language="en", inactive="false", **one) for one in CHOICES],
            "asmt_assessment_instance": (assessments or {}).get("instances", []),
            "asmt_metric_result": (assessments or {}).get("results", []),
            "asmt_metric": (assessments or {}).get("metrics", []),
        }
        #: Rows that the account may not read: they are left out after the limit was applied.
        self.hidden: set[str] = set()
        #: Tables it may not read at all.
        self.closed: set[str] = set()
        self.largest = 2
        self.meanwhile: list[Any] = []
        self.desk = Desk().on(r"/api/now/table/\w+", self._table)

    def _table(self, asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        if name in self.closed:
            return Reply({"error": {"message": "Insufficient rights"}}, 403)
        assert asked.query["sysparm_display_value"] == "all"
        assert asked.query["sysparm_exclude_reference_link"] == "true"
        found = self._matching(self.tables[name], asked.query["sysparm_query"])
        offset = int(asked.query["sysparm_offset"])
        size = min(int(asked.query["sysparm_limit"]), self.largest)
        # The fake's limit is smaller than what is asked for: offsets go by what was asked for.
        step = int(asked.query["sysparm_limit"])
        start = offset // step * size
        part = json.loads(json.dumps(found[start : start + size]))
        if self.meanwhile and name == "incident":
            self.meanwhile.pop(0)()
        more = start + size < len(found)
        seen = [one for one in part if one.get("sys_id", {}).get("value") not in self.hidden]
        return Reply(
            {"result": seen},
            headers={"Link": f'<https://desk/{name}?sysparm_offset={offset + step}>;rel="next"'}
            if more
            else {},
        )

    def _matching(self, rows: list[Any], query: str) -> list[Any]:
        orders = re.findall(r"ORDERBY(?!DESC)(\w+)", query)
        groups = [
            one.split("^OR")
            for one in re.split(r"\^(?!OR(?!DER))", query)
            if one and not one.startswith("ORDERBY")
        ]
        found = [one for one in rows if all(any(_holds(one, c) for c in g) for g in groups)]
        return sorted(found, key=lambda one: [_of(one, name) for name in orders])


def _of(one: Any, name: str) -> str:
    return str(one.get(name, {}).get("value", ""))


def _holds(one: Any, condition: str) -> bool:
    match = re.fullmatch(r"([\w.]+?)(IN|>=|=)(.*)", condition)
    assert match, condition
    name, operator, wanted = match.groups()
    if name in ("role.name", "state") and "role" in one:
        return name == "state" or one["role"]["display_value"] in wanted.split(",")
    has = _of(one, name)
    return {"IN": has in wanted.split(","), ">=": has >= wanted, "=": has == wanted}[operator]


SECRETS = {"user": "reader", "password": "p4ssw0rd"}
OPTIONS: dict[str, Any] = {}


def desk() -> Desk:
    """An instance with three incidents, two on a page, and one answered survey."""
    return Instance(BUSY, PHANTOM, FORGOTTEN, assessments=ASSESSMENTS).desk


#: The same incidents as an extractor of tables holds them.
DUMP: dict[str, list[dict[str, Any]]] = {
    "incident": [one["record"] for one in (BUSY, PHANTOM, FORGOTTEN)],
    "sn_hr_core_case": [
        record(9, "02 09:00:00", ("10", "Ready"), sys_class_name="sn_hr_core_case")
    ],
    "sc_request": [record(10, "02 09:00:00", ("1", "Open"), sys_class_name="sc_request")],
    "sc_req_item": [record(11, "02 09:00:00", ("1", "Open"), sys_class_name="sc_req_item")],
    "sys_journal_field": [
        entry for one in (BUSY, PHANTOM, FORGOTTEN) for entry in one["journal"]
    ],
    "sys_audit": [
        entry | row(tablename="incident")
        for one in (BUSY, PHANTOM, FORGOTTEN) for entry in one["history"]
    ],
    "sys_user": USERS,
}  # fmt: skip
