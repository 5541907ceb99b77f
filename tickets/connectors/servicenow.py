"""ServiceNow: a record with its journal, its history and its SLAs is one page, by the Table API.

Incidents, HR cases and requests are one kind of thing here, although each class numbers its states
its own way: a state is told as `incident 3:1 · On Hold: Awaiting Caller`, the class and the numbers
deciding what it means (tickets/lens.py). Why it is on hold is part of the word, because only one of
the reasons waits for the requester.

What happened is read from `sys_audit` (or `metric_instance`), never from what a record says of its
past: `resolved_at`, `closed_at` and `reopen_count` are final values that every row repeats, and a
row's `sys_mod_count` is not unique. Where neither history may be read, the rows themselves are told
as snapshots, known by their content. `value` is UTC; `display_value` is on the asking account's
wall clock and in its format, and is never read for an instant. Nothing is signed: webhooks are
hints to fetch.

Dumped rows are told one by one, and know less: a record is a snapshot, a row of the audit names no
reason for which it is on hold, and whoever wrote is known by their user name. Where a page tells
the same with more, it takes the place of what a row said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from tickets.canonical import ActorKind, Event, EventType, ResolutionKind
from tickets.connectors.base import (
    ACKNOWLEDGEMENTS,
    RECORDS,
    SINCE,
    Asked,
    Connector,
    Context,
    Delivery,
    Guess,
    Page,
    Unusable,
    no_zone,
    nothing_missing,
)
from tickets.connectors.http import Http, HttpTrouble
from tickets.connectors.odd_parts import WHOLE, without_odd_parts
from tickets.connectors.records import (
    DUMPED,
    Record,
    compact,
    document,
    each,
    each_dumped,
    entries,
    flat,
    helped,
    list_of,
    mapping_of,
    read_after,
)
from tickets.flaws import FLAW, PROMISE, REOPEN_COUNT, FlawKind
from tickets.lens import NAMED, named
from tickets.meaning import plain_text
from tickets.news import (
    AccountTold,
    RatingTold,
    Remark,
    TicketNews,
    Told,
    event_key,
    version_of,
)

AUDIT, METRICS, SNAPSHOTS = "sys_audit", "metric_instance", "snapshots"
INCIDENT = "incident"
AGENT_ROLES = "itil, sn_hr_core.basic, sn_hr_core.case_writer"

#: Who asks for help, by table; who typed it in is another field.
_REQUESTER = {
    INCIDENT: "caller_id",
    "sn_hr_core_case": "opened_for",
    "sc_request": "requested_for",
    "sc_req_item": "requested_for",
}
#: Facets by the field that holds them.
_FACETS = {
    "category": "category",
    "subcategory": "subcategory",
    "business_service": "service",
    "hr_service": "hr_service",
    "cat_item": "catalogue_item",
    "company": "company",
}
#: Facets that hold a reference: their history names records that are not read.
_REFERENCES = ("business_service", "hr_service", "cat_item", "company")
#: Fields whose changes a row of the audit does not tell by itself.
_UNTOLD_BY_ROWS = ("assignment_group", *_REFERENCES)
_STATES = ("state", "incident_state")
_AUDITED = (
    *_STATES,
    *("hold_reason", "priority", "assignment_group", "assigned_to", "close_code"),
    *sorted(set(_REQUESTER.values())),
    *_FACETS,
)
#: What several records are linked to, the first that is filled deciding.
_SHARED = ("problem_id", "parent_incident")
_FIELDS = (
    *("sys_id", "number", "sys_class_name", "short_description", "opened_at", "opened_by"),
    *("sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count"),
    *("state", "incident_state", "hold_reason", "priority", "assignment_group", "assigned_to"),
    *("contact_type", "close_code", "reopen_count", "reopened_time"),
    *_SHARED,
    *sorted(set(_REQUESTER.values())),
    *_FACETS,
)
#: What is read of the tables beside the records.
_READ: dict[str, tuple[str, ...]] = {
    "task": ("sys_id", "sys_class_name"),
    "sys_journal_field": (
        *("sys_id", "element", "element_id", "value", "sys_created_on", "sys_created_by"),
    ),
    AUDIT: (
        *("sys_id", "documentkey", "fieldname", "oldvalue", "newvalue", "user"),
        *("sys_created_on", "record_checkpoint"),
    ),
    METRICS: ("sys_id", "id", "field", "field_value", "value", "start"),
    "task_sla": (
        *("sys_id", "task", "sla", "stage", "has_breached", "start_time", "end_time"),
        "planned_end_time",
    ),
    "sys_choice": ("name", "element", "value", "label"),
    "sys_user_group": ("sys_id", "name"),
    "sys_user": (
        *("sys_id", "user_name", "name", "email", "internal_integration_user"),
        "web_service_access_only",
    ),
    "sys_user_has_role": ("sys_id", "user", "role", "sys_created_on"),
    "asmt_assessment_instance": (
        *("sys_id", "task_id", "trigger_id", "state", "taken_on", "sys_created_on"),
        *("expiration_date", "sys_updated_on"),
    ),
    "asmt_metric_result": ("sys_id", "instance", "metric", "actual_value", "string_value"),
    "asmt_metric": ("sys_id", "name", "datatype", "min", "max", "scale_definition"),
}
_PER_PAGE = 50
#: Accounts of the platform itself; nobody sits behind them.
_PLATFORM = frozenset({"system", "glide.maint"})
#: Nobody knows who: mail of unknown senders.
_GUEST = "guest"
#: What a user nobody sits behind is marked with.
_BOT_FLAGS = ("internal_integration_user", "web_service_access_only")
_UNKNOWN_VALUES = frozenset({"", "?", "NULL", "null"})
#: The reason of "On Hold" that waits for the requester, in a new instance.
_AWAITING_CALLER = "1"
_ON_HOLD = "3"

#: Whoever is no agent: the earliest that can be said, any later role outweighs it.
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_BOT_SINCE = _ALWAYS + timedelta(days=1)
#: The platform that moves a record this soon after its requester wrote was moved by them.
_TRIGGERED = timedelta(minutes=1)

#: Kinds of survey questions that are answered on a scale.
_SCALES = frozenset({"scale", "numericscale", "imagescale", "rating"})
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_CODE = re.compile(r"\[/?code\]", re.IGNORECASE)
_RANKED = re.compile(r"^\d+ - ")
#: States of new instances by class and number, where the names alone would mislead.
_KNOWN_STATES = {
    "incident 1": "new",
    "incident 2": "open",
    "incident 3:1": "waiting_on_requester",
    "incident 3:3": "waiting_on_third_party",
    "incident 3:4": "waiting_on_third_party",
    "incident 3:5": "waiting_on_third_party",
    "incident 6": "resolved",
    "incident 7": "closed",
    "incident 8": "withdrawn",
    "sc_req_item 3": "closed",
    "sc_req_item 4": "withdrawn",
    "sc_request 3": "closed",
    "sn_hr_core_case 3": "closed",
    "sn_hr_core_case 4": "withdrawn",
    "sn_hr_core_case 20": "resolved",
}


class ServiceNow(Connector):
    """Incidents, HR cases and requests of an instance."""

    key = "servicenow"
    name = "ServiceNow"
    asks = (
        Asked("user", "User name", "of an account for integration, in UTC", required=False),
        Asked("password", "Password", secret=True, required=False),
        Asked("token", "OAuth access token", "instead of a password", secret=True, required=False),
        Asked("tables", "Tables", f"by default: {INCIDENT}", required=False),
        Asked(
            "history",
            "Where history is read",
            f"{AUDIT} (by default), {METRICS}, or {SNAPSHOTS}: only what each poll sees",
            required=False,
        ),
        Asked("agent_roles", "Roles of agents", f"by default: {AGENT_ROLES}", required=False),
        Asked("language", "Language of labels", "by default: en", required=False),
        Asked("csat_metric", "Survey question that asks for satisfaction", required=False),
        Asked(
            "date_format",
            "Format of dates, where the instance changes it in values too",
            "such as MM/dd/yyyy HH:mm:ss",
            required=False,
        ),
        Asked("inactivity_codes", "Close codes that mean nobody answered", required=False),
        Asked(
            "duplicate_codes",
            "Close codes that mean a duplicate",
            "by default: Duplicate",
            required=False,
        ),
        Asked(
            "followup_field",
            "Field that names the closed record a new one follows",
            required=False,
        ),
        Asked(
            "time_zone", "Time zone of such dates", "empty: UTC", required=False, mistake=no_zone
        ),
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = (
        "read on the tables concerned, sys_journal_field, sys_audit (or metric_instance), task_sla,"
        " sys_user, sys_user_has_role, sys_user_group, sys_choice and asmt_*: roles snc_read_only"
        " and itil (HR: sn_hr_core.case_reader), and an ACL for sys_audit; no right to write."
    )
    scheme = None
    ticket_id = re.compile(r"[0-9a-f]{32}")
    question_option = "csat_metric"
    pulls = hooks = True
    #: Instants are whole seconds, and a record may be changed twice in one.
    overlap = timedelta(minutes=5)
    facets = (
        *("assignment_group", "service", "hr_service", "catalogue_item", "category"),
        *("subcategory", "company", "table"),
    )

    streams = {
        name: (f"{DUMPED}{name}", RECORDS)
        for name in (
            *_REQUESTER,
            *("sys_journal_field", AUDIT, "sys_user"),
        )
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        if token := secrets.get("token"):
            return Http(base_url, headers={"Authorization": f"Bearer {token}"})
        user = str(secrets.get("user") or options.get("user") or "")
        return Http(base_url, auth=(user, secrets.get("password", "")))

    # --- asking -----------------------------------------------------------------------------------

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:

        def since(stream: str) -> datetime:
            return self.begins(cursor.get(stream, {}).get("updated"), options, now)

        for table in _tables(options):
            yield from _changed(http, table, since(f"records:{table}"), options)
        yield from _assessed(http, since("assessments"), options)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for table in _tables(options):
            yield from _changed(http, table, since, options)
        yield from _assessed(http, since, options)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        if not self.ticket_id.fullmatch(ticket):
            return
        found = list(_rows(http, "task", f"sys_id={ticket}"))
        if not found:
            yield Page("fetched", "gone", compact({"record": ticket}), {})
            return
        table = _value(found[0], "sys_class_name") or _tables(options)[0]
        rows = list(_rows(http, table, f"sys_id={ticket}", _fields(options)))
        yield from _whole(http, table, rows, options)

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        table = _tables(options)[0]
        newest, fields = "ORDERBYDESCsys_updated_on", ("sys_id", "sys_updated_on")
        found, _ = _ask(http, table, newest, fields, limit=1)
        if not found:
            raise HttpTrouble(
                f"ServiceNow answers, but shows this account nothing in {table}: give it a role"
                " that reads it."
            )
        for needed in ("sys_journal_field", *_history_tables(options)):
            _ask(http, needed, "ORDERBYDESCsys_created_on", ("sys_id",), limit=1)
        said = f"ServiceNow answers, and {table} can be read."
        if _value(found[0], "sys_updated_on") != _shown(found[0], "sys_updated_on"):
            said += " Set the account's time zone to GMT and its date format to the system's."
        return said

    # --- hearing ----------------------------------------------------------------------------------

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        return Delivery("", "hook")

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        body = document(raw)
        if topic == "rows":
            return _rows_told(body, context.options)
        if topic.startswith(DUMPED):
            return _dumped(topic, body, context.options)
        body = mapping_of(body)
        with nothing_missing():
            return self._told(topic, body, context)

    @staticmethod
    def _told(topic: str, body: Mapping[str, Any], context: Context) -> Told:
        match topic:
            case "record":
                return without_odd_parts(
                    lambda whole: _Record(whole, context.options, context.read_before).told(),
                    body,
                    WHOLE,
                )
            case "assessments":
                return _Assessments(body, context.options).told()
            case "gone":
                reason = f"ServiceNow shows no record {body['record']}: deleted, or hidden from us"
                return Told(remarks=[Remark("record", reason)])
            case "hook" if number := str(body.get("sys_id") or ""):
                return Told(fetch=[number])
            case "hook":
                return Told(remarks=[Remark("sys_id", "the webhook names no record")])
        raise Unusable({"field": "topic", "reason": f"{topic!r} is none of ServiceNow's"})

    def guess_state(self, word: str) -> Guess | None:
        """By class and number, which the vendor sets; an instance may still have its own."""
        identity, _, name = word.partition(NAMED)
        if identity in _KNOWN_STATES:
            return Guess(_KNOWN_STATES[identity], 0.9, "the state of a new instance")
        return super().guess_state((name or word).rpartition(": ")[2])

    def guess_severity(self, word: str) -> Guess | None:
        identity, _, name = word.partition(NAMED)
        by_rank = {"1": "critical", "2": "high", "3": "medium", "4": "low", "5": "low"}
        found = super().guess_severity(name or word)
        if found is None and identity in by_rank:
            return Guess(by_rank[identity], 0.7, "the rank of the priority")
        return found


# --- pages ----------------------------------------------------------------------------------------


def _tables(options: Mapping[str, Any]) -> list[str]:
    return [
        name for name in entries(options.get("tables") or INCIDENT) if re.fullmatch(r"\w+", name)
    ]


def _history(options: Mapping[str, Any]) -> str:
    return str(options.get("history") or AUDIT)


def _history_tables(options: Mapping[str, Any]) -> list[str]:
    return [_history(options)] if _history(options) != SNAPSHOTS else []


def _fields(options: Mapping[str, Any]) -> tuple[str, ...]:
    own = str(options.get("followup_field") or "")
    return (*_FIELDS, own) if own and own not in _FIELDS else _FIELDS


def _ask(
    http: Http, table: str, query: str, fields: Sequence[str], *, limit: int, offset: int = 0
) -> tuple[list[Any], bool]:
    """Rows, and whether there are more: short pages are no end, rights are asked after the limit.

    Every cell holds both its value and its display.
    """
    answer = http.get(
        f"/api/now/table/{table}",
        {
            "sysparm_query": query,
            "sysparm_fields": ",".join(fields),
            "sysparm_display_value": "all",
            "sysparm_exclude_reference_link": "true",
            "sysparm_limit": limit,
            "sysparm_offset": offset,
        },
    )
    return list(answer.json().get("result", ())), 'rel="next"' in answer.headers.get("link", "")


def _rows(http: Http, table: str, query: str, fields: Sequence[str] | None = None) -> Iterator[Any]:
    fields = fields or _READ[table]
    offset, more = 0, True
    while more:
        rows, more = _ask(http, table, f"{query}^ORDERBYsys_id", fields, limit=500, offset=offset)
        yield from rows
        offset += 500


def _since(
    http: Http, table: str, since: datetime, fields: Sequence[str]
) -> Iterator[list[dict[str, Any]]]:
    """Pages of a table from the row changed longest ago.

    The next page begins at the last row's second, so nothing is pushed across its edge by a row
    that changes meanwhile; only within one second rows are counted.
    """
    start, offset, seen = _stamp(since), 0, set[tuple[str, str]]()
    while True:
        query = f"sys_updated_on>={start}^ORDERBYsys_updated_on^ORDERBYsys_id"
        rows, more = _ask(http, table, query, fields, limit=_PER_PAGE, offset=offset)
        fresh = []
        for row in rows:
            mark = (_value(row, "sys_id"), _value(row, "sys_updated_on"))
            if mark not in seen:
                seen.add(mark)
                fresh.append(row)
        if fresh:
            yield fresh
        if not more:
            return
        last = _value(rows[-1], "sys_updated_on") if rows else ""
        if last > start and _INSTANT.fullmatch(last):
            start, offset = last, 0
        else:
            offset += _PER_PAGE


def _changed(http: Http, table: str, since: datetime, options: Mapping[str, Any]) -> Iterator[Page]:
    for rows in _since(http, table, since, _fields(options)):
        yield from _whole(http, table, rows, options)


def _whole(
    http: Http, table: str, rows: Sequence[dict[str, Any]], options: Mapping[str, Any]
) -> Iterator[Page]:
    """A page a record, with everything that is told of it; asked for many records at once."""
    if not rows:
        return
    ids = [_value(row, "sys_id") for row in rows]
    those = ",".join(ids)
    written = f"element_idIN{those}^elementINcomments,work_notes"
    journal = _by("element_id", _rows(http, "sys_journal_field", written))
    history = _by(*_history_of(http, table, those, options))
    slas = _by("task", _rows(http, "task_sla", f"taskIN{those}"))
    choices = _choices(http, table, options)
    for row, number in zip(rows, ids, strict=True):
        mine: dict[str, Any] = {
            "table": table,
            "record": row,
            "journal": journal[number],
            "history": history[number],
            "slas": slas[number],
        }
        mine["groups"] = _groups(http, mine)
        mine["users"], mine["roles"] = _users(http, mine, options)
        mine["choices"] = _explaining(choices, mine)
        updated = _utc(_value(row, "sys_updated_on"), options)
        cursor = {"updated": updated.isoformat()} if updated else {}
        yield Page(f"records:{table}", "record", compact(mine), cursor)


def _by(name: str, rows: Iterable[Any]) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[_value(row, name)].append(row)
    return found


def _history_of(
    http: Http, table: str, those: str, options: Mapping[str, Any]
) -> tuple[str, Iterator[Any]]:
    """The rows of the chosen history, and which of their fields names the record."""
    source = _history(options)
    if source == AUDIT:
        query = f"documentkeyIN{those}^fieldnameIN{','.join(_AUDITED)}"
        return "documentkey", _rows(http, AUDIT, query)
    if source == METRICS:
        return "id", _rows(http, METRICS, f"table={table}^idIN{those}")
    return "documentkey", iter(())


def _choices(http: Http, table: str, options: Mapping[str, Any]) -> list[Any]:
    """Labels of numbers; what is not redefined for a class stands with task."""
    language = str(options.get("language") or "en")
    elements = "state,incident_state,hold_reason,priority,category,subcategory"
    query = f"nameIN{table},task^elementIN{elements}^language={language}^inactive=false"
    return list(_rows(http, "sys_choice", query))


def _explaining(choices: Sequence[Any], mine: Mapping[str, Any]) -> list[dict[str, str]]:
    """The labels of the values that a record ever had."""
    values = {_value(mine["record"], name) for name in _AUDITED}
    values |= {_value(row, n) for row in mine["history"] for n in ("oldvalue", "newvalue")}
    return [
        {name: _value(row, name) for name in ("name", "element", "value", "label")}
        for row in choices
        if _value(row, "value") in values
    ]


def _groups(http: Http, mine: Mapping[str, Any]) -> list[Any]:
    """Names of the groups that a history knows by their ids."""
    ids = sorted(
        {
            value
            for row in mine["history"]
            if _value(row, "fieldname") == "assignment_group"
            for name in ("oldvalue", "newvalue")
            if (value := _value(row, name))
        }
    )
    if not ids:
        return []
    return list(_rows(http, "sys_user_group", f"sys_idIN{','.join(ids)}"))


def _users(
    http: Http, mine: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[list[Any], list[Any]]:
    """Everybody who acted, and since when they hold a role of agents."""
    record = mine["record"]
    names = {_value(row, "sys_created_by") for row in mine["journal"]}
    names |= {_value(row, "user") for row in mine["history"]}
    names |= {_value(record, "sys_updated_by")}
    ids = {_value(record, name) for name in ("opened_by", "assigned_to", *_REQUESTER.values())}
    ids |= {
        _value(row, n)
        for row in mine["history"]
        if _value(row, "fieldname") in ("assigned_to", *_REQUESTER.values())
        for n in ("oldvalue", "newvalue")
    }
    query = f"user_nameIN{_together(names - _PLATFORM)}^ORsys_idIN{_together(ids)}"
    users = list(_rows(http, "sys_user", query))
    who = _together(_value(user, "sys_id") for user in users)
    if not who:
        return users, []
    roles = ",".join(entries(options.get("agent_roles") or AGENT_ROLES))
    held = f"userIN{who}^role.nameIN{roles}^state=active"
    return users, list(_rows(http, "sys_user_has_role", held))


def _together(words: Iterable[str]) -> str:
    """Words for an IN of a query, without those that would end it."""
    return ",".join(sorted(word for word in set(words) if re.fullmatch(r"[^,^]+", word)))


def _assessed(http: Http, since: datetime, options: Mapping[str, Any]) -> Iterator[Page]:
    """Survey answers: they change without the record they are about."""
    table = "asmt_assessment_instance"
    for instances in _since(http, table, since, _READ[table]):
        those = _together(_value(row, "sys_id") for row in instances)
        results = list(_rows(http, "asmt_metric_result", f"instanceIN{those}"))
        asked = _together(_value(row, "metric") for row in results)
        metrics = _rows(http, "asmt_metric", f"sys_idIN{asked}") if asked else ()
        body = {"instances": instances, "results": results, "metrics": list(metrics)}
        updated = _utc(_value(instances[-1], "sys_updated_on"), options)
        cursor = {"updated": updated.isoformat()} if updated else {}
        yield Page("assessments", "assessments", compact(body), cursor)


# --- telling --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """One update of a record: what it changed, by whom."""

    at: datetime
    number: int
    user: str
    #: By field: the value before, the value after, and the id of the row that says so.
    changes: Mapping[str, tuple[str, str, str]]


@dataclass
class _Record:
    """One record with what belongs to it, told."""

    body: Mapping[str, Any]
    options: Mapping[str, Any]
    #: Up to when everything that had changed was read before.
    read_before: datetime | None = None
    remarks: list[Remark] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, rows in self.body.items():
            for row in [rows] if name == "record" else rows if isinstance(rows, list) else ():
                _has_cells(row)
        self.record = self.body["record"]
        self.id = _value(self.record, "sys_id") or _value(self.record, "number")
        if not self.id:
            raise Unusable({"field": "sys_id", "reason": "the record has no id"})
        self.table = str(self.body.get("table") or INCIDENT)
        self.kind = _value(self.record, "sys_class_name") or self.table
        self.asks = _REQUESTER.get(self.table, "caller_id")
        updated = self._at(self.record, "sys_updated_on") or self._at(self.record, "sys_updated_at")
        created = self._at(self.record, "sys_created_on")
        opened = self._at(self.record, "opened_at")
        # An opening that was set later than the record's own creation gains nothing.
        self.opened = min((one for one in (opened, created) if one), default=updated)
        if self.opened is None:
            raise Unusable({"field": "opened_at", "reason": "no instant of it can be read"})
        if updated is None and _history(self.options) == SNAPSHOTS:
            reason = "without it nothing says when the record stood so"
            raise Unusable({"field": "sys_updated_on", "reason": reason})
        self.created, self.updated = created or self.opened, updated or self.opened
        self.requester = self._account(_value(self.record, self.asks))
        asker = self.by_id.get(self.requester or "", {})
        self.news = TicketNews(
            self.id,
            subject=_value(self.record, "short_description")[:500],
            channel=_value(self.record, "contact_type")[:40],
            requester=self.requester or "",
            requester_email=_value(asker, "email"),
            label_at=self.updated,
            fidelity="derived_from_changelog" if self.steps else "derived_from_snapshot_diff",
        )

    def told(self) -> Told:
        """Everything the page says."""
        if _history(self.options) == SNAPSHOTS:
            self._snapshot()
        else:
            self._created()
            self._moves()
            for step in self.steps:
                self._changed(step)
        for entry in self.body.get("journal", ()):
            self._written(entry)
        self._promised()
        self._counted()
        self._followed()
        self._linked()
        for name in self.ambiguous:
            data = {"name": FLAW, "value": FlawKind.AMBIGUOUS_DATE.value, "detail": name}
            data |= {"record": WHOLE, "version": version_of(self.updated)}
            key = event_key("servicenow", self.id, "ambiguous", name)
            self._tell(key, EventType.OBSERVED, self.opened, "9", data=data)
        return Told(tickets=[self.news], accounts=self._accounts(), remarks=self.remarks)

    def _tell(
        self, key: int, type_: EventType, at: datetime | None, sequence: str, **more: Any
    ) -> None:
        assert at is not None
        self.news.events.append(Event(key, type_, at, sequence, **more))

    def _at(self, row: Mapping[str, Any], name: str) -> datetime | None:
        value = _value(row, name)
        at = _utc(value, self.options)
        if at is None and value and not _DATED.search(value):
            raise Unusable({"field": name, "reason": f"{value!r} is no instant"})
        said = f"{name}: {value}"
        if at is None and value and said not in self.ambiguous:
            self.ambiguous.append(said)
            self.remarks.append(Remark(name, f"{value!r} can be read in more than one way"))
        return at

    # --- accounts ---------------------------------------------------------------------------------

    @cached_property
    def by_id(self) -> dict[str, Mapping[str, Any]]:
        return {_value(user, "sys_id"): user for user in self.body.get("users", ())}

    @cached_property
    def by_name(self) -> dict[str, str]:
        return {
            _value(user, "user_name"): _value(user, "sys_id") for user in self.body.get("users", ())
        }

    def _account(self, who: str) -> str | None:
        """An account's id; history and journal know it by its user name only."""
        if not who or who == _GUEST:
            return None
        return self.by_name.get(who, who)

    def _actor(self, who: str) -> dict[str, Any]:
        if who in _PLATFORM:
            return {"actor_kind": ActorKind.SYSTEM}
        return {"actor_kind": ActorKind.UNKNOWN, "actor_key": self._account(who)}

    def _accounts(self) -> list[AccountTold]:
        """Agents since they hold a role of agents; all others ask for help."""
        since: dict[str, datetime] = {}
        for row in self.body.get("roles", ()):
            user, at = _value(row, "user"), self._at(row, "sys_created_on") or _BOT_SINCE
            since[user] = min(at, since.get(user, at))
        told = []
        for number, one in self.by_id.items():
            name = _value(one, "name")
            if any(_value(one, flag) == "true" for flag in _BOT_FLAGS):
                told.append(AccountTold(number, ActorKind.BOT, _BOT_SINCE, name))
            elif number in since:
                told.append(AccountTold(number, ActorKind.AGENT, since[number], name))
            else:
                told.append(AccountTold(number, ActorKind.REQUESTER, _ALWAYS, name))
        return told

    # --- words ------------------------------------------------------------------------------------

    @cached_property
    def labels(self) -> dict[tuple[str, str], str]:
        """Labels by element and value; a class's own outweigh those of task."""
        own = (self.kind, self.table)
        choices = sorted(self.body.get("choices", ()), key=lambda row: row.get("name") in own)
        shown = {  # what the record shows of itself
            (name, value): _shown(self.record, name)
            for name in _AUDITED
            if (value := _value(self.record, name))
        }
        return shown | {
            (str(one["element"]), str(one["value"])): str(one["label"]) for one in choices
        }

    @cached_property
    def group_names(self) -> dict[str, str]:
        names = {_value(row, "sys_id"): _value(row, "name") for row in self.body.get("groups", ())}
        mine = _value(self.record, "assignment_group")
        return {mine: _shown(self.record, "assignment_group"), **names}

    def _state_word(self, state: str, hold: str) -> str:
        label = self.labels.get((self.state_field, state), state)
        if self.table == INCIDENT and state == _ON_HOLD and hold:
            why = self.labels.get(("hold_reason", hold), hold)
            return named(f"{self.kind} {state}:{hold}", f"{label}: {why}")
        return named(f"{self.kind} {state}", label)

    def _priority_word(self, value: str) -> str:
        if not value:
            return "none"
        return named(value, _RANKED.sub("", self.labels.get(("priority", value), value)))

    def _facet_word(self, name: str, value: str) -> str:
        if not value:
            return ""
        if name in _REFERENCES:
            return _shown(self.record, name)
        return named(value, self.labels.get((name, value), value))

    # --- history ----------------------------------------------------------------------------------

    @cached_property
    def state_field(self) -> str:
        """Incidents hold their state twice; where both are audited the two say the same."""
        audited = {_value(row, "fieldname") for row in self.body.get("history", ())}
        if "state" not in audited and "incident_state" in audited:
            return "incident_state"
        return "state" if _value(self.record, "state") else "incident_state"

    @cached_property
    def steps(self) -> list[_Step]:
        """The updates of the audit, in order; what was written when it was created is no change."""
        found: dict[tuple[datetime, int, str], dict[str, tuple[str, str, str]]] = defaultdict(dict)
        for row in self.body.get("history", ()):
            if _value(row, "field"):
                continue  # of metrics, which tell no changes
            _there(row, "fieldname", "sys_created_on")
            name, at = _value(row, "fieldname"), self._at(row, "sys_created_on")
            if at is None:
                continue
            number = _value(row, "record_checkpoint")
            update = (at, int(number) if number.isdecimal() else 0, _value(row, "user"))
            before, after = _value(row, "oldvalue"), _value(row, "newvalue")
            found[update][name] = (before, after, _value(row, "sys_id"))
        return [
            _Step(*update, changes)
            for update, changes in sorted(found.items(), key=lambda pair: pair[0])
        ]

    def _is_first(self, step: _Step) -> bool:
        return step.number == 0 and abs(step.at - self.created) <= timedelta(seconds=1)

    def _initial(self, name: str) -> str:
        """A field's value at the opening: what its first change replaced, else what it is."""
        for step in self.steps:
            if name in step.changes:
                before, after, _ = step.changes[name]
                return after if self._is_first(step) and not before else before
        return _value(self.record, name)

    def _created(self) -> None:
        state, hold = self._initial(self.state_field), self._initial("hold_reason")
        group = self._initial("assignment_group")
        facets = {
            facet: self._facet_word(name, self._initial(name)) for name, facet in _FACETS.items()
        }
        for name in _REFERENCES:
            if any(name in step.changes for step in self.steps):
                del facets[_FACETS[name]]  # the history knows records that nobody read
        name = self.group_names.get(group, group)
        data: dict[str, Any] = {
            "state_said": self._first_metric() or self._state_word(state, hold),
            "severity_said": self._priority_word(self._initial("priority")),
            "facets": {**facets, "assignment_group": name, "table": self.kind},
            "group": name,
            "channel": _value(self.record, "contact_type")[:40],
        }
        if asked := self._account(self._initial(self.asks)):
            data["requester"] = asked
        key = event_key("servicenow", self.id, "created", flat(data))
        data["revises"] = self._opening_key()
        by = self._actor(_value(self.record, "opened_by"))
        self._tell(key, EventType.CREATED, self.opened, "0a", data=data, **by)
        if assignee := self._account(self._initial("assigned_to")):
            key = event_key("servicenow", self.id, "first assignee", assignee)
            self._tell(key, EventType.ASSIGNED, self.opened, "0b", data={"to": assignee})

    def _changed(self, step: _Step) -> None:
        if self._is_first(step):
            return
        by, sequence = self._actor(step.user), f"2-{step.number:08}-a"

        def tell(name: str, type_: EventType, data: dict[str, Any]) -> None:
            row = step.changes[name][2]
            key = event_key("servicenow audit", row, flat(data))
            if name not in _UNTOLD_BY_ROWS:
                data["revises"] = _audit_key(row)
            self._tell(key, type_, step.at, sequence, data=data, **by)

        for name, (_, after, _row) in step.changes.items():
            if name == "priority":
                tell(name, EventType.PRIORITY_CHANGED, {"said": self._priority_word(after)})
            elif name == "assigned_to":
                tell(name, EventType.ASSIGNED, {"to": self._account(after)})
            elif name == "assignment_group":
                group = self.group_names.get(after, after)
                facets = {"assignment_group": group}
                tell(name, EventType.GROUP_CHANGED, {"to": group, "facets": facets})
            elif name == self.asks and (asks := self._account(after)):
                tell(name, EventType.SNAPSHOT, {"requester": asks})  # corrected: who it really is
            elif name in _FACETS and (name not in _REFERENCES or step is self._last(name)):
                word = self._facet_word(name, after)
                tell(name, EventType.CATEGORY_CHANGED, {"facets": {_FACETS[name]: word}})

    def _last(self, name: str) -> _Step | None:
        return next((step for step in reversed(self.steps) if name in step.changes), None)

    def _moves(self) -> None:
        """States, read with why a record is on hold: a new reason is a move too."""
        state, hold = self._initial(self.state_field), self._initial("hold_reason")
        word = self._state_word(state, hold)
        for step in self.steps:
            if self._is_first(step):
                continue
            changed = [n for n in (self.state_field, "hold_reason") if n in step.changes]
            if not changed:
                continue
            state = step.changes.get(self.state_field, ("", state))[1]
            waited = hold == _AWAITING_CALLER and word.startswith(f"{self.kind} {_ON_HOLD}:")
            hold = step.changes.get("hold_reason", ("", hold))[1]
            before, word = word, self._state_word(state, hold)
            if word == before:
                continue
            data: dict[str, Any] = {"said": word}
            by = self._actor(step.user)
            code = step.changes.get("close_code", ("", ""))[1]
            code = self.labels.get(("close_code", code), code)
            if code in entries(self.options.get("duplicate_codes") or "Duplicate"):
                data["resolution"] = ResolutionKind.DUPLICATE.value
            elif code in entries(self.options.get("inactivity_codes")) or (
                # The platform moved what waited for the caller: they did not answer.
                waited and step.user in _PLATFORM
            ):
                data["resolution"] = ResolutionKind.INACTIVITY.value
            if self._moved_by_requester(step) and not code:
                by = {"actor_kind": ActorKind.UNKNOWN, "actor_key": self.requester}
                data.pop("resolution", None)
            row = step.changes[changed[0]][2]
            key = event_key("servicenow audit", row, flat(data))
            data["revises"] = _audit_key(row)
            sequence = f"2-{step.number:08}-b"
            self._tell(key, EventType.STATUS_CHANGED, step.at, sequence, data=data, **by)
        self._metric_moves()

    def _moved_by_requester(self, step: _Step) -> bool:
        """Whether the platform only did what the requester's comment called for."""
        if step.user not in _PLATFORM or self.requester is None:
            return False
        before = [
            (at, _value(entry, "sys_id"), entry)
            for entry in self.body.get("journal", ())
            if _value(entry, "element") == "comments"
            and (at := self._at(entry, "sys_created_on")) is not None
            and step.at - _TRIGGERED <= at <= step.at
        ]
        if not before:
            return False
        *_, last = max(before, key=lambda one: one[:2])
        return self._account(_value(last, "sys_created_by")) == self.requester

    # --- metric instances -------------------------------------------------------------------------

    @cached_property
    def metrics(self) -> list[tuple[datetime, str, str, str, str]]:
        """Instant, id, field, value and label: when a field took a value."""
        found = [
            (
                at,
                _value(row, "sys_id"),
                _value(row, "field"),
                _value(row, "field_value"),
                _value(row, "value"),
            )
            for row in self.body.get("history", ())
            if _value(row, "field") and (at := self._at(row, "start")) is not None
        ]
        return sorted(found)

    def _first_metric(self) -> str:
        """The state of the first metric; why a record was on hold is not kept there."""
        for _, _, name, value, label in self.metrics:
            if name in _STATES:
                return named(f"{self.kind} {value}", label)
        return ""

    def _metric_moves(self) -> None:
        """Who did it is not kept there."""
        seen: set[str] = set()
        for at, number, name, value, label in self.metrics:
            kind = "state" if name in _STATES else name
            first, key = kind not in seen, event_key("servicenow metric", number, label)
            seen.add(kind)
            if first:
                continue
            if kind == "state":
                data: dict[str, Any] = {"said": named(f"{self.kind} {value}", label)}
                self._tell(key, EventType.STATUS_CHANGED, at, "2-b", data=data)
            elif name == "assignment_group":
                data = {"to": label, "facets": {"assignment_group": label}}
                self._tell(key, EventType.GROUP_CHANGED, at, "2-a", data=data)

    # --- rows without a history -------------------------------------------------------------------

    def _opening_key(self) -> int:
        """Of the opening as rows tell it."""
        return event_key("servicenow", self.id, "opened", self.opened)

    def _snapshot(self) -> None:
        """The record as it stood at its last update; final values of its past are not events.

        Known by its content: (number, sys_mod_count) is not unique.
        """
        created = self._opening_key()
        data: dict[str, Any] = {"channel": _value(self.record, "contact_type")[:40]}
        by = self._actor(_value(self.record, "opened_by"))
        self._tell(created, EventType.CREATED, self.opened, "", data=data, **by)
        state = _value(self.record, self.state_field)
        group = _shown(self.record, "assignment_group")
        data = {
            "state_said": self._state_word(state, _value(self.record, "hold_reason")),
            "severity_said": self._priority_word(_value(self.record, "priority")),
            "facets": {
                **{
                    facet: self._facet_word(name, _value(self.record, name))
                    for name, facet in _FACETS.items()
                },
                "assignment_group": group,
                "table": self.kind,
            },
            "group": group,
        }
        for name, who in (("agent", "assigned_to"), ("requester", self.asks)):
            if account := self._account(_value(self.record, who)):
                data[name] = account
        data = {name: value for name, value in data.items() if value != ""}
        if (shared := self._shared()) is not None:
            data["problem"] = shared
        number = _value(self.record, "sys_mod_count").zfill(8)
        user = _value(self.record, "sys_updated_by")
        key = event_key("servicenow row", self.id, self.updated, number, user, flat(data))
        by = self._actor(user)
        self._tell(key, EventType.SNAPSHOT, self.updated, f"2-{number}", data=data, **by)
        assert self.updated is not None
        self.news.events += read_after(self.id, self.updated, self.read_before)

    # --- journal ----------------------------------------------------------------------------------

    def _written(self, entry: Mapping[str, Any]) -> None:
        _there(entry, "sys_created_on", "sys_id", "element")
        at, number = self._at(entry, "sys_created_on"), _value(entry, "sys_id")
        if at is None:
            return
        public, said = _value(entry, "element") == "comments", at
        author = _value(entry, "sys_created_by")
        opener = _value(self.record, "opened_by")
        if abs(at - self.created) <= timedelta(seconds=1) and self._account(author) == (
            self._account(opener)
        ):
            at = self.opened or at  # the words with which it was opened
        text = _words(entry)
        data: dict[str, Any] = {"meaning": helped(text, self.options)} if public else {}
        key = event_key("servicenow journal", number)
        account = self._account(author)
        if at != said or account not in (author, None):
            data["revises"], key = key, event_key("servicenow journal", number, account)
        self._tell(
            key,
            EventType.MESSAGE,
            at,
            f"1-{number}"[:40],
            public=public,
            data=data,
            **self._actor(author),
        )
        if public and text:
            self.news.texts[key] = text

    # --- what ServiceNow says of its own figures --------------------------------------------------

    def _promised(self) -> None:
        """Kept, missed, running, or that there is no promise: without an SLA none is kept.

        `made_sla` is not read: it is true from the start, and where there is no SLA at all.
        """
        if "slas" not in self.body:
            return
        slas = [row for row in self.body["slas"] if _value(row, "stage") != "cancelled"]
        value, at = None, self.opened
        missed = [row for row in slas if _value(row, "has_breached") == "true"]
        running = [row for row in slas if not _value(row, "end_time")]

        def moment(rows: Sequence[Any], name: str) -> datetime | None:
            return max((at for row in rows if (at := self._at(row, name))), default=self.opened)

        if missed:
            value, at = "missed", moment(missed[:1], "planned_end_time")
        elif running:
            value, at = "running", moment(running, "start_time")
        elif slas:
            value, at = "kept", moment(slas, "end_time")
        key = event_key("servicenow", self.id, PROMISE, at, value)
        self._tell(key, EventType.OBSERVED, at, "9", data={"name": PROMISE, "value": value})

    def _counted(self) -> None:
        """What ServiceNow counts as reopens: compared with the history, never taken for it."""
        count = _value(self.record, "reopen_count")
        if not count.isdecimal():
            return
        at = self.opened if count == "0" else self._at(self.record, "reopened_time")
        at = at or self.updated
        key = event_key("servicenow", self.id, REOPEN_COUNT, at, count)
        data: dict[str, Any] = {"name": REOPEN_COUNT, "value": int(count)}
        self._tell(key, EventType.OBSERVED, at, "9", data=data)

    def _followed(self) -> None:
        parent = _value(self.record, str(self.options.get("followup_field") or ""))
        if parent and parent != self.id:
            key = event_key("servicenow", self.id, "follows", parent)
            data = {"parent": parent}
            self._tell(key, EventType.FOLLOWUP_OF, self.opened, "0c", data=data)

    def _shared(self) -> str | None:
        """The problem or parent it is linked to, empty for none; None where no row says so."""
        if not any(name in self.record for name in _SHARED):
            return None
        return next((shown for name in _SHARED if (shown := _shown(self.record, name))), "")

    def _linked(self) -> None:
        """What it is linked to now; the history knows problems by ids that nobody reads.

        That it is linked to none is only said where it once was.
        """
        shared = self._shared()
        once = any(name in step.changes for step in self.steps for name in _SHARED)
        if _history(self.options) == SNAPSHOTS or shared is None or not (shared or once):
            return
        if not _value(self.record, "sys_updated_on"):
            return  # nothing says since when
        key = event_key("servicenow", self.id, "problem", self.updated, shared)
        self._tell(key, EventType.PROBLEM_LINKED, self.updated, "9", data={"to": shared})


def _rows_told(body: Any, options: Mapping[str, Any]) -> Told:
    """Versions of records, one a row, as an export or an extractor holds them."""
    rows = body.get("result", body.get("rows")) if isinstance(body, Mapping) else body
    if not isinstance(rows, list):
        raise Unusable({"field": "rows", "reason": "no list of records"})

    def record(row: Record) -> Told:
        page = {"table": _value(row, "sys_class_name") or INCIDENT, "record": row}
        return _Record(page, {**options, "history": SNAPSHOTS}).told()

    told = Told()
    each(rows, record, told, "row")
    return told


# --- dumped rows ----------------------------------------------------------------------------------


def _dumped(topic: str, page: Any, options: Mapping[str, Any]) -> Told:
    """What dumped rows of a table say, each without the others."""
    table = topic.removeprefix(DUMPED)
    if table in _REQUESTER:
        seen = {**options, "history": SNAPSHOTS}

        def record(row: Record) -> Told:
            return _Record({"table": table, "record": row}, seen).told()

        return each_dumped(topic, page, record)
    match table:
        case "sys_journal_field":
            return each_dumped(topic, page, lambda row: _dumped_entry(row, options))
        case "sys_audit":
            return each_dumped(topic, page, lambda row: _dumped_change(row, options))
        case "sys_user":
            return each_dumped(topic, page, _dumped_user)
    raise Unusable({"field": "topic", "reason": f"{topic!r} is none of ServiceNow's"})


def _there(row: Record, *names: str) -> None:
    """Raises Unusable for a row without one of these."""
    for name in names:
        if not _value(row, name):
            raise Unusable({"field": name, "reason": "it is missing"})


def _dated(row: Record, name: str, options: Mapping[str, Any]) -> datetime:
    _there(row, name)
    at = _utc(_value(row, name), options)
    if at is None:
        raise Unusable({"field": name, "reason": "it can be read in more than one way"})
    return at


def _by_name(who: str) -> dict[str, Any]:
    """Who did it, by the user name that journal and audit know."""
    if who in _PLATFORM:
        return {"actor_kind": ActorKind.SYSTEM}
    return {"actor_key": None if who == _GUEST else who or None}


def _dumped_entry(row: Record, options: Mapping[str, Any]) -> Told:
    """A comment or a work note, by a user name."""
    element = _value(row, "element")
    if element not in ("comments", "work_notes"):
        return Told()
    _there(row, "sys_id", "element_id")
    at, number = _dated(row, "sys_created_on", options), _value(row, "sys_id")
    text, key = _words(row), event_key("servicenow journal", number)
    news = TicketNews(_value(row, "element_id"), fidelity="derived_from_changelog")
    public = element == "comments"
    data = {"meaning": helped(text, options)} if public else {}
    by = _by_name(_value(row, "sys_created_by"))
    message = EventType.MESSAGE
    news.events.append(Event(key, message, at, f"1-{number}"[:40], public=public, data=data, **by))
    if public and text:
        news.texts[key] = text
    told = Told(tickets=[news])
    if by.get("actor_key"):
        reason = "knows people by user name: say on the page of roles who is an agent"
        told.remarks.append(Remark("sys_created_by", reason))
    return told


def _dumped_change(row: Record, options: Mapping[str, Any]) -> Told:
    """A row of the audit. What names a record that is not in it, or needs another row, is said."""
    _there(row, "sys_id", "documentkey", "fieldname")
    name, at = _value(row, "fieldname"), _dated(row, "sys_created_on", options)
    number = _value(row, "record_checkpoint")
    step = int(number) if number.isdecimal() else 0
    if name not in _AUDITED or (step == 0 and not _value(row, "oldvalue")):
        return Told()  # nothing that is told, or what the record was created with
    said = _audited(_value(row, "tablename") or INCIDENT, name, _value(row, "newvalue"))
    if said is None:
        reason = "its changes are told by whole records only"
        return Told(remarks=[Remark(name, reason)])
    type_, data = said
    rank = "b" if type_ is EventType.STATUS_CHANGED else "a"
    sequence = f"2-{step:08}-{rank}"
    by = _by_name(_value(row, "user"))
    event = Event(_audit_key(_value(row, "sys_id")), type_, at, sequence, data=data, **by)
    ticket = _value(row, "documentkey")
    return Told(tickets=[TicketNews(ticket, [event], fidelity="derived_from_changelog")])


def _audited(table: str, name: str, after: str) -> tuple[EventType, dict[str, Any]] | None:
    """What a field became, as far as its row tells it."""
    match name:
        case "state":
            return EventType.STATUS_CHANGED, {"said": named(f"{table} {after}", after)}
        case "priority":
            return EventType.PRIORITY_CHANGED, {"said": named(after, after) if after else "none"}
        case "assigned_to":
            return EventType.ASSIGNED, {"to": after or None}
        case "category" | "subcategory":
            word = named(after, after) if after else ""
            return EventType.CATEGORY_CHANGED, {"facets": {name: word}}
    if name == _REQUESTER.get(table) and after:
        return EventType.SNAPSHOT, {"requester": after}
    return None


def _dumped_user(row: Record) -> Told:
    """Who is a bot. Who is an agent is not told: roles know nobody's user name."""
    _there(row, "sys_id")
    if not any(_value(row, flag) == "true" for flag in _BOT_FLAGS):
        return Told()
    names = filter(None, (_value(row, "sys_id"), _value(row, "user_name")))
    shown = _value(row, "name")
    return Told(accounts=[AccountTold(one, ActorKind.BOT, _BOT_SINCE, shown) for one in names])


# --- surveys --------------------------------------------------------------------------------------


@dataclass
class _Assessments:
    """Survey answers, told as ratings."""

    body: Mapping[str, Any]
    options: Mapping[str, Any]
    remarks: list[Remark] = field(default_factory=list)

    def told(self) -> Told:
        """The ratings of answered surveys, and that others were offered or ran out."""
        told = Told()
        metrics: dict[str, Record] = {}
        answers: defaultdict[str, list[Record]] = defaultdict(list)

        def metric(row: Record) -> Told:
            _has_cells(row)
            metrics[_value(row, "sys_id")] = row
            return Told()

        def answer(row: Record) -> Told:
            _has_cells(row)
            answers[_value(row, "instance")].append(row)
            return Told()

        def instance(row: Record) -> Told:
            _has_cells(row)
            mine = answers[_value(row, "sys_id")]
            return Told(ratings=list(self._ratings(row, mine, metrics)))

        each(_rows_in(self.body, "metrics"), metric, told, "question")
        each(_rows_in(self.body, "results"), answer, told, "answer")
        each(_rows_in(self.body, "instances"), instance, told, "survey")
        told.remarks += self.remarks
        return told

    def _ratings(
        self,
        instance: Mapping[str, Any],
        answers: Sequence[Mapping[str, Any]],
        metrics: Mapping[str, Mapping[str, Any]],
    ) -> Iterator[RatingTold]:
        ticket = _value(instance, "task_id") or _value(instance, "trigger_id")
        number, state = _value(instance, "sys_id"), _value(instance, "state")
        offered = _utc(_value(instance, "sys_created_on"), self.options)
        taken = _utc(_value(instance, "taken_on"), self.options)
        if not ticket or offered is None:
            return  # a survey about no record
        if state != "complete" or taken is None:
            outcome = "expired" if state in ("canceled", "cancelled", "expired") else "offered"
            ended = _utc(_value(instance, "expiration_date"), self.options)
            said_at = (ended or offered) if outcome == "expired" else offered
            yield RatingTold(ticket, number, said_at, offered_at=offered, outcome=outcome)
            return
        asked = self._scales(number, answers, metrics)
        remark = " ".join(
            text
            for one in answers
            if _value(metrics.get(_value(one, "metric"), {}), "datatype") == "string"
            and (text := _value(one, "string_value"))
        )
        for answer, metric in asked:
            said = RatingTold(
                ticket,
                number,
                taken,
                raw=_value(answer, "actual_value"),
                remark=remark,
                offered_at=offered,
                question=named(_value(metric, "sys_id"), " ".join(_value(metric, "name").split())),
                alone=len(asked) == 1,
            )
            if (scored := self._scored(said, answer, metric)) is not None:
                yield scored

    def _scales(
        self,
        number: str,
        answers: Sequence[Mapping[str, Any]],
        metrics: Mapping[str, Mapping[str, Any]],
    ) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The answers on scales: the chosen one, or the only one, says how satisfied they are."""
        wanted = str(self.options.get(ServiceNow.question_option) or "")
        chosen, scales = False, []
        for one in answers:
            metric = metrics.get(_value(one, "metric"), {})
            is_wanted = bool(wanted) and wanted in (
                _value(metric, "sys_id"),
                _value(metric, "name"),
            )
            if is_wanted or _value(metric, "datatype") in _SCALES:
                scales.append((one, metric))
            chosen = chosen or is_wanted
        if not scales or (wanted and not chosen):
            reason = f"does not ask {wanted!r}" if scales else "asks no scale"
            self.remarks.append(Remark(ServiceNow.question_option, f"survey {number} {reason}"))
        elif len(scales) > 1 and not wanted:
            reason = "asks several scales: say in the options which one is satisfaction"
            self.remarks.append(Remark(ServiceNow.question_option, f"survey {number} {reason}"))
        return scales

    def _scored(
        self, said: RatingTold, answer: Mapping[str, Any], metric: Mapping[str, Any]
    ) -> RatingTold | None:
        """With its score; "not applicable" is an answer without one, "low is better" is turned."""
        try:
            low, high = (round(float(_value(metric, name))) for name in ("min", "max"))
            score = round(float(_value(answer, "actual_value")))
        except ValueError:
            low, high, score = 0, 0, -1
        if (low, high) not in ((1, 5), (1, 7), (1, 3)):
            name = _value(metric, "name")
            self.remarks.append(Remark("csat_metric", f"{name!r} has no scale of 1 to 3, 5 or 7"))
            return None
        if not low <= score <= high:
            shown = _shown(answer, "string_value") or said.raw
            return replace(said, raw=shown, outcome="declined")
        if _value(metric, "scale_definition") == "low":
            score = low + high - score
        return replace(said, scale=f"csat_{low}_{high}", score=score)


def _rows_in(body: Record, name: str) -> list[Any]:
    return list_of(body, name) if name in body else []


# --- values ---------------------------------------------------------------------------------------


def _cell(row: Mapping[str, Any], name: str, kind: str) -> str:
    cell = row.get(name)
    if isinstance(cell, Mapping):
        cell = cell.get(kind)
    text = "" if cell is None else str(cell)
    return "" if text in _UNKNOWN_VALUES else text


def _has_cells(row: Mapping[str, Any]) -> None:
    """Raises Unusable for a cell without a value, as no table has: it would read as its writing."""
    for name, cell in row.items():
        kinds = ("value", "display_value")
        inner = [cell.get(kind) for kind in kinds] if isinstance(cell, Mapping) else [cell]
        if any(isinstance(one, Mapping | list) for one in inner):
            raise Unusable({"field": name, "reason": "it is no cell with a value"})


def _value(row: Mapping[str, Any], name: str) -> str:
    """A cell's value: everything is a string, and unknown is empty, `?` or null."""
    return _cell(row, name, "value")


def _shown(row: Mapping[str, Any], name: str) -> str:
    """What a cell displays, never for instants; the value where it has no other."""
    return _cell(row, name, "display_value") or _value(row, name)


def _words(entry: Mapping[str, Any]) -> str:
    """What somebody wrote; marked as HTML, without it."""
    text = _CODE.sub("", _value(entry, "value"))
    return plain_text(text) if _CODE.search(_value(entry, "value")) else text


def _audit_key(row: str) -> int:
    """Of a change as its dumped row tells it."""
    return event_key("servicenow audit", row)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


#: Java's letters of a date's format, the longest first, and Python's.
_LETTERS = (
    *(("yyyy", "%Y"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("mm", "%M"), ("ss", "%S")),
    *(("M", "%m"), ("d", "%d")),
)


#: What a date looks like in any order of its day, month and year.
_DATED = re.compile(r"\d+\D+\d+\D+\d+")


def _utc(text: str, options: Mapping[str, Any]) -> datetime | None:
    """An instant of a value. None for nothing, and for a format that nobody declared.

    Months and days cannot be told apart by looking: 03/04/2026 is read only as the connection says.
    """
    if not text:
        return None
    zone = ZoneInfo(str(options.get("time_zone") or "UTC"))
    if _INSTANT.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    declared = str(options.get("date_format") or "")
    if not declared:
        return None
    for letters, code in _LETTERS:
        declared = re.sub(rf"(?<![%\w]){letters}(?!\w)", code, declared)
    try:
        return datetime.strptime(text, declared).replace(tzinfo=zone).astimezone(UTC)
    except ValueError:
        return None
