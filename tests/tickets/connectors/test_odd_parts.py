"""One odd part of a record is left out and named; the rest of its ticket is told.

Each connector's own recorded deliveries are taken, and one value of them is made odd: by hand for
each help desk, then at random. What a ticket cannot exist without still refuses the delivery.
"""

from __future__ import annotations

import copy
import importlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.factories import Cast
from tests.faults import tries
from tests.tickets.connectors.recorded import (
    NOW,
    Recorded,
    connect,
    reading,
    receive,
    stored_state,
    sweep,
)
from tickets.canonical import Event, EventType
from tickets.connectors import CONNECTORS, GENERIC
from tickets.connectors.base import Context, Unusable
from tickets.connectors.odd_parts import MOST, WHOLE, without_odd_parts
from tickets.connectors.records import instant
from tickets.connectors.zammad import _Ticket
from tickets.models import (
    Connection,
    InboundOutcome,
    Ticket,
    TicketEvent,
    TicketFlaw,
    WorkItem,
)
from tickets.news import LeftOut, TicketNews, Told
from tickets.quality import issues
from tickets.reading import Reading, Unread, read_one

type Path = tuple[str | int, ...]

#: Of the generic source every event is a record of its own.
DESKS = [key for key, one in CONNECTORS.items() if one is not GENERIC]


def deliveries(key: str) -> list[Recorded]:
    """The pages of a connector's recording, as values that can be changed."""
    found = importlib.import_module(f"tests.tickets.connectors.{key}").DELIVERIES
    pages = [one if isinstance(one, Recorded) else Recorded(*one[:2]) for one in found]
    return [Recorded(one.topic, json.loads(one.raw)) for one in pages if one.topic != "hook"]


def read(key: str, one: Recorded) -> Reading:
    """What is read of a delivery, as a worker reads it."""
    options = getattr(importlib.import_module(f"tests.tickets.connectors.{key}"), "OPTIONS", {})
    context = Context(
        options=options,
        headers=one.headers,
        received_at=NOW,
        base_url="https://desk.example.org",
        capabilities=frozenset({"network", "accounts"}),
    )
    return read_one(Unread(key, one.topic, one.raw, context))


def events(told: Told) -> set[tuple[str, int]]:
    return {(news.external_id, event.key) for news in told.tickets for event in news.events}


def tickets(told: Told) -> set[str]:
    return {news.external_id for news in told.tickets if news.events}


def left_out(told: Told) -> list[tuple[str, str]]:
    return [(one.field, one.reason) for news in told.tickets for one in news.left_out]


def changed(one: Recorded, path: Path, value: Any) -> Recorded:
    """The delivery with another value at a path."""
    body = copy.deepcopy(one.body)
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return Recorded(one.topic, body)


def first(key: str, topic: str, path: Path) -> Recorded:
    """The first delivery of a kind that has something at a path, or at what holds it."""

    def has(one: Recorded) -> bool:
        value = one.body
        for step in path[:-1]:
            if isinstance(step, int) and step >= len(value):
                return False
            value = value[step]
        return True

    return next(one for one in deliveries(key) if one.topic == topic and has(one))


# --- by hand, for each help desk ------------------------------------------------------------------

#: The kind of delivery, the path of a value in it, the odd value, what is said to be left out,
#: and how many events that costs at most.
ODD: dict[str, tuple[str, Path, Any, str, int]] = {
    "zammad": ("ticket", ("articles", 4, "created_at"), "yesterday", "articles[15]", 1),
    "zammad, history": ("ticket", ("history", "history", 4), 7, "history.history[no. 5]", 1),
    "zammad, attribute": (
        *("ticket", ("history", "history", 4, "attribute"), 7, "history.history[94]", 1),
    ),
    "zammad, user": (
        *("ticket", ("history", "assets", "User", "8", "role_ids"), 3),
        *("history.assets.User.8", 0),
    ),
    "zammad, change": ("ticket", ("ticket", "updated_at"), "then", "ticket.updated_at", 0),
    "github": ("issue", ("timeline", 1, "created_at"), "yesterday", "timeline[2]", 1),
    "github, label": ("issue", ("timeline", 1, "label"), 5, "timeline[2]", 1),
    "github, author": ("issue", ("issue", "user"), "rui", "issue.user", 9),
    "gitlab": ("issue", ("notes", 0, "created_at"), "yesterday", "notes[1]", 1),
    "gitlab, visibility": ("issue", ("notes", 0, "internal"), "perhaps", "notes[1]", 1),
    "gitlab, member": ("issue", ("members", 0, "access_level"), "high", "members[no. 1]", 0),
    "jira": ("issue", ("comments", 0, "created"), "yesterday", "comments[", 1),
    "jira, history": ("issue", ("histories", 0, "items"), 5, "histories[", 2),
    "jira, labels": ("issue", ("issue", "fields", "labels"), 5, "issue.fields.labels", 1),
    "jira, link": (
        *(
            "issue",
            ("issue", "fields", "issuelinks"),
            [{"type": 5, "outwardIssue": {"key": "IT-1"}}],
        ),
        *("issue.fields.issuelinks[no. 1]", 1),
    ),
    "servicenow": (*("record", ("journal", 0, "sys_created_on"), "yesterday", "journal[", 2),),
    "servicenow, history": ("record", ("history", 2, "fieldname"), ["state"], "history[", 1),
    "servicenow, cell": ("record", ("record", "category"), [3], "record.category", 3),
    "zendesk": ("audits", ("audits", 0, "events", 0, "type"), 5, "events[", 2),
    "zendesk, via": ("audits", ("audits", 0, "via"), "mail", "via", 9),
    "freshdesk": ("tickets", (0, "stats"), "none", "stats", 9),
    "freshdesk, fields": ("tickets", (0, "custom_fields"), [5], "custom_fields", 9),
    "chatwoot": (
        *("conversation", ("messages", 0, "content_attributes"), "none", "content_attributes", 1),
    ),
    "chatwoot, status": ("conversation", ("conversation", "status"), [5], "status", 1),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_part_costs_itself_and_is_named(name: str) -> None:
    key = name.partition(",")[0]
    topic, path, value, part, most = ODD[name]
    one = first(key, topic, path)
    whole, spoilt = read(key, one).told, read(key, changed(one, path, value)).told
    assert whole is not None
    assert not left_out(whole)
    assert spoilt is not None
    [(field, reason)] = left_out(spoilt)
    assert part in field
    assert reason
    assert any(part in remark.field and "left out" in remark.reason for remark in spoilt.remarks)
    assert len(events(whole) - events(spoilt)) <= most
    assert tickets(whole) == tickets(spoilt)


# --- at random ------------------------------------------------------------------------------------

#: Values that say nothing: what holds one is not told apart from what is not there.
NOTHING: tuple[Any, ...] = (None, "", [], {}, False, 0)
ODDITIES: tuple[Any, ...] = (
    *(*NOTHING, True, -1, 1e300, 7, "yesterday", "0000-00-00", "¿?", [1], ["x"], [[]]),
    *({"id": {}}, [{"id": None}], {"x": 1}, "9" * 400),
)
#: What a ticket cannot exist without: which it is, when it was opened, and what holds the two. Of a
#: row that tells no opening also its instant. All of it as the path of a value, less its numbers.
ESSENTIAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "zammad": (("ticket",), ("ticket", "id"), ("ticket", "created_at")),
    "github": (*((), ("repository",), ("issue",), ("issue", "number"), ("issue", "created_at")),),
    "gitlab": (*((), ("project",), ("issue",), ("issue", "iid"), ("issue", "created_at")),),
    "jira": (*(("issue",), ("issue", "id"), ("issue", "fields"), ("issue", "fields", "created")),),
    "servicenow": (("record",), ("record", "sys_id"), ("record", "sys_id", "value")),
    "zendesk": (
        *(("tickets",), ("tickets", "id"), ("tickets", "updated_at"), ("audits",)),
        ("tickets", "requester_id"),  # some rows say nothing else
        *(("audits", "id"), ("audits", "ticket_id"), ("audits", "created_at")),
        *(("tickets", "created_at"), ("ticket_metric_events",), ("ticket_metric_events", "time")),
        ("ticket_metric_events", "ticket_id"),
    ),
    "freshdesk": (
        *((), ("id",), ("created_at",), ("ticket_id",), ("tickets",), ("tickets", "id")),
        ("tickets", "created_at"),
    ),
    "chatwoot": (
        *(("conversation",), ("conversation", "id"), ("conversation", "created_at")),
        ("messages",),
    ),
}
#: Pages that tell no ticket are not lost as one: they are refused with their reason.
LISTS = (
    *("instances", "results", "metrics"),
    "satisfaction_ratings",
    "survey_responses",
    "payload",
    "users",
    "agents",
    "contacts",
)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for step, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(one, (*path, step))


def words_of(path: Path) -> tuple[str, ...]:
    return tuple(step for step in path if isinstance(step, str))


def is_essential(key: str, path: Path) -> bool:
    words = words_of(path)
    return words in ESSENTIAL[key] or words[:1] in [(name,) for name in LISTS]


def names(field: str, path: Path) -> bool:
    """Whether a field that is said to be left out is the one at a path, holds it or is in it.

    What could be read and not be kept is named as the event's.
    """
    if re.match(r"ticket\.\w+ |label_at|requester", field):
        return True
    said = [step for step in re.split(r"[.\[\]:]+ ?", field) if step]
    words = words_of(path)
    return any(step in words for step in said) or any(step in said for step in words)


@pytest.mark.faults
@pytest.mark.parametrize("key", DESKS)
def test_one_odd_value_anywhere_is_named_and_loses_no_ticket(key: str) -> None:
    """Never a traceback, never a lost ticket unless it is nothing without, always a reason."""
    dice, fates = random.Random(f"odd {key}"), Counter[str]()
    recording = deliveries(key)
    sound = [read(key, one).told for one in recording]
    for _ in range(tries(3000)):
        number = dice.randrange(len(recording))
        path, value = dice.choice(list(paths(recording[number].body))), dice.choice(ODDITIES)
        reading = read(key, changed(recording[number], path, value))
        where = f"{path} = {value!r}: {reading.errors}"
        assert not reading.again, where
        if reading.told is None:
            assert is_essential(key, path), where
            assert all(error["field"] and error["reason"] for error in reading.errors), where
            fates["refused"] += 1
            continue
        whole, told = sound[number], reading.told
        assert whole is not None
        remarks = [one for one in told.remarks if one not in whole.remarks]
        assert all(one.field and one.reason for one in remarks), where
        lost = tickets(whole) - tickets(told)
        assert not lost or is_essential(key, path), f"{where} {told.remarks}"
        parts = left_out(told)
        assert not parts or is_essential(key, path) or names(parts[0][0], path), f"{where} {parts}"
        assert len([one for one, _ in parts if not one.startswith("ticket.")]) < 2, (
            f"{where} {parts}"
        )
        fates["left out" if parts else "remarked" if remarks else "told"] += 1
        silent = not parts and not remarks and not is_essential(key, path)
        if silent and len(events(told)) < len(events(whole)):
            # Another word is another word, another number another name, and a record without any
            # of its fields is one where they are missing: they may tell less.
            less = value in (*NOTHING, ["x"]) or isinstance(value, str | int | float | dict)
            assert less, where
    assert fates["left out"] > fates["refused"], fates


#: A webhook of each help desk, and its headers.
HOOKS: dict[str, list[tuple[Any, dict[str, str]]]] = {
    "zammad": [({"ticket": {"id": 1}}, {})],
    "github": [
        (
            {
                "action": action,
                "issue": {"number": 12, "updated_at": "2026-03-02T08:00:00Z"},
                "repository": {"full_name": "acme/app"},
                "changes": {
                    "new_issue": {"number": 3},
                    "new_repository": {"full_name": "acme/other"},
                },
            },
            {"x-github-event": "issues"},
        )
        for action in ("edited", "transferred")
    ],
    "gitlab": [
        ({"object_kind": kind, name: {"iid": 23}, "project": {"path_with_namespace": "a/b"}}, {})
        for kind, name in (("issue", "object_attributes"), ("note", "issue"))
    ],
    "jira": [
        (
            {
                "webhookEvent": "jira:issue_deleted",
                "timestamp": 1772438400000,
                "issue": {"id": "1"},
            },
            {},
        )
    ],
    "servicenow": [({"sys_id": "0" * 32}, {})],
    "zendesk": [
        ({"ticket_id": 5}, {}),
        ({"subject": "zen:user:5", "detail": {"role": "agent", "updated_at": "2026-03-02"}}, {}),
    ],
    "freshdesk": [({"freshdesk_webhook": {"ticket_id": 5}}, {})],
    "chatwoot": [
        (
            {
                "event": "message_created",
                "id": 4,
                "message_type": "incoming",
                "created_at": 1772438401,
                "conversation": {"id": 11, "status": "open", "created_at": 1772438400},
            },
            {},
        )
    ],
}


@pytest.mark.parametrize("key", DESKS)
def test_an_odd_webhook_is_read_or_refused_with_a_reason(key: str) -> None:
    for body, headers in HOOKS[key]:
        whole = Recorded("hook", body, headers=headers)
        for path in paths(body):
            for value in ODDITIES:
                odd = Recorded("hook", changed(whole, path, value).body, headers=headers)
                reading = read(key, odd)
                assert not reading.again, f"{path} = {value!r}: {reading.errors}"
                assert reading.told is not None or all(one["reason"] for one in reading.errors)
        for value in ODDITIES:
            assert not read(key, Recorded("hook", value, headers=headers)).again, value


@pytest.mark.parametrize("name", ODD)
def test_a_mapper_that_gives_up_at_the_first_odd_value_would_lose_more(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what the connectors did before."""

    def gives_up(salvage: object, error: Exception) -> None:
        raise error

    key = name.partition(",")[0]
    topic, path, value, *_ = ODD[name]
    one = first(key, topic, path)
    odd = changed(one, path, value)
    kept = read(key, odd).told
    monkeypatch.setattr("tickets.connectors.odd_parts._Salvage.told", gives_up)
    without = read(key, odd)
    assert kept is not None
    assert without.told is None or len(events(without.told)) < len(events(kept))


def test_a_mapper_alone_names_the_first_odd_value_and_tells_nothing() -> None:
    _, path, value, *_ = ODD["zammad"]
    body = changed(deliveries("zammad")[0], path, value).body
    with pytest.raises(Unusable, match="created_at: 'yesterday' is no instant"):
        _Ticket(body, {}).told()


# --- the rule itself ------------------------------------------------------------------------------


def mapper(record: Any) -> Told:
    """A mapper as they are: needs an id, reads a list, and looks at one value only at the end."""
    news = TicketNews(record["id"])
    late = record.get("late")
    for entry in record.get("entries", ()):
        at = instant(entry["at"], "at")
        news.events.append(Event(int(entry["id"]), EventType.MESSAGE, at))
    news.subject = (late or {}).get("subject", "")
    return Told(tickets=[news])


AT = "2026-03-02T08:00:00Z"


def entry(number: int, at: Any = AT) -> dict[str, Any]:
    return {"id": number, "at": at}


def test_a_record_that_can_be_read_is_read_once() -> None:
    seen: list[Any] = []

    def reading_once(record: Any) -> Told:
        seen.append(record)
        return mapper(record)

    record = {"id": "T1", "entries": [entry(1)]}
    told = without_odd_parts(reading_once, record, "one")
    assert [one is record for one in seen] == [True]
    assert told.tickets[0].left_out == []
    assert told.tickets[0].record == "one"


def test_several_odd_entries_are_left_out_each_with_its_own_reason() -> None:
    entries = [entry(1), entry(2, "then"), 3, entry(4), {"at": AT}]
    [news] = without_odd_parts(mapper, {"id": "T1", "entries": entries}, WHOLE).tickets
    assert [event.key for event in news.events] == [1, 4]
    assert news.left_out == [
        LeftOut("entries[2]", "at: 'then' is no instant"),
        LeftOut("entries[no. 3]", "its shape is not the help desk's (TypeError)"),
        LeftOut("entries[no. 5]", "id: it is missing"),
    ]


def test_what_was_asked_for_early_and_fails_late_is_found_too() -> None:
    [news] = without_odd_parts(
        mapper, {"id": "T1", "late": 5, "entries": [entry(1)]}, WHOLE
    ).tickets
    assert [event.key for event in news.events] == [1]
    assert [one.field for one in news.left_out] == ["late"]


def test_what_the_ticket_cannot_exist_without_refuses_it_and_is_named() -> None:
    with pytest.raises(Unusable) as refused:
        without_odd_parts(mapper, {"entries": [entry(1, "then")]}, "one")
    assert refused.value.errors == [{"field": "id", "reason": "it is missing"}]


def test_a_record_most_of_which_is_odd_is_not_read_for_ever() -> None:
    entries = [entry(number, "then") for number in range(3 * MOST)]
    with pytest.raises(Unusable, match="more than"):
        without_odd_parts(mapper, {"id": "T1", "entries": entries}, "one")


def test_what_is_told_holds_nothing_of_the_watching() -> None:
    """It is sent between processes and kept as JSON."""

    def telling(record: Any) -> Told:
        at = instant(record["at"], "at") if "at" in record else NOW
        data = {"facets": record["facets"]}
        return Told(tickets=[TicketNews("T1", [Event(1, EventType.SNAPSHOT, at, data=data)])])

    told = without_odd_parts(telling, {"at": "then", "facets": {"a": ["b"]}}, "one")
    facets = told.tickets[0].events[0].data["facets"]
    assert (type(facets), type(facets["a"])) == (dict, list)


def test_that_a_promise_is_absent_is_not_said_of_a_record_that_is_not_whole() -> None:
    page = deliveries("servicenow")[0]
    bare = changed(page, ("slas",), [])
    absent = ("promise", None)
    assert absent in observed(read("servicenow", bare).told)
    odd = changed(page, ("slas",), ["x"])
    assert absent not in observed(read("servicenow", odd).told)


def observed(told: Told | None) -> set[tuple[Any, Any]]:
    assert told is not None
    found = (event for news in told.tickets for event in news.events)
    said = [event.data for event in found if event.type is EventType.OBSERVED]
    return {(data["name"], data.get("value")) for data in said}


# --- in the database ------------------------------------------------------------------------------


@pytest.fixture
def desk(cast: Cast) -> Connection:
    module = importlib.import_module("tests.tickets.connectors.zammad")
    return connect(cast, CONNECTORS["zammad"], module.WORDS, {}, "zammad")


def enter(cast: Cast, desk: Connection, one: Recorded, at: datetime = NOW) -> None:
    receive(cast, desk, [Recorded(one.topic, one.body, at)])
    sweep()


def flaws(cast: Cast) -> list[str]:
    with reading(cast):
        return sorted(
            TicketFlaw.objects.filter(kind="left_out_field").values_list("detail", flat=True)
        )


def replies(cast: Cast) -> int:
    with reading(cast):
        return TicketEvent.objects.filter(type=EventType.MESSAGE).count()


def test_an_odd_comment_is_a_flaw_of_its_ticket_until_it_comes_right(
    cast: Cast, desk: Connection
) -> None:
    page = deliveries("zammad")[0]
    odd = changed(page, ("articles", 4, "created_at"), "Emily said yesterday")
    enter(cast, desk, odd)
    with reading(cast):
        [outcome] = InboundOutcome.objects.values_list("status", "errors")
        assert WorkItem.objects.filter(ticket__external_id="1").exists()
    assert outcome[0] == "folded"
    assert outcome[1] == [
        {
            "field": "ticket 1: articles[15]",
            "reason": "created_at: 'Emily said yesterday' is no instant; it was left out",
        }
    ]
    # What stood there may be anybody's words: the log quotes none of it.
    assert flaws(cast) == ["articles[15]: created_at: … is no instant"]
    few = replies(cast)
    with reading(cast):
        [issue] = issues(cast.acme.pk, source="zammad")
        assert (issue.kind.value, issue.tickets) == ("left_out_field", 1)
        assert issue.details == (("articles[15]: created_at: … is no instant", 1),)
    enter(cast, desk, page)
    assert (flaws(cast), replies(cast)) == ([], few + 1)
    state = stored_state(cast, desk)
    for again in (odd, page, odd):  # sent again, late: nothing comes back, nothing is told twice
        enter(cast, desk, again)
        assert (flaws(cast), stored_state(cast, desk)) == ([], state)


def test_a_part_that_is_odd_still_or_again_stays_a_flaw(cast: Cast, desk: Connection) -> None:
    page = deliveries("zammad")[0]
    where = ("articles", 4, "created_at")
    enter(cast, desk, changed(page, where, "then"))
    later = changed(page, ("ticket", "updated_at"), "2026-03-04T10:00:00Z")
    enter(cast, desk, changed(later, where, "then"))
    assert len(flaws(cast)) == 1
    # An older version that was whole says nothing of the later one.
    enter(cast, desk, changed(page, ("ticket", "updated_at"), "2026-03-01T10:00:00Z"))
    assert len(flaws(cast)) == 1
    enter(cast, desk, later)
    assert flaws(cast) == []


def test_a_flaw_that_nothing_made_good_would_stay(
    cast: Cast, desk: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the two above."""
    monkeypatch.setattr("tickets.unread_parts._makes_good", lambda *_: False)
    page = deliveries("zammad")[0]
    enter(cast, desk, changed(page, ("articles", 4, "created_at"), "then"))
    enter(cast, desk, page)
    assert len(flaws(cast)) == 1


def test_a_record_that_cannot_be_told_at_all_is_a_flaw_of_the_ticket_it_names(cast: Cast) -> None:
    key = "zendesk"
    module = importlib.import_module(f"tests.tickets.connectors.{key}")
    desk = connect(cast, CONNECTORS[key], module.WORDS, getattr(module, "OPTIONS", {}), key)
    [number, *_] = [n for n, one in enumerate(deliveries(key)) if one.topic == "audits"]
    page = deliveries(key)[number]
    for one in deliveries(key)[:number]:
        enter(cast, desk, one)
    before = flaws(cast)
    last = len(page.body["audits"]) - 1
    enter(cast, desk, changed(page, ("audits", last, "created_at"), "then"))
    assert before == []
    name = f"audit {page.body['audits'][last]['id']}"
    assert flaws(cast) == [f"{name}: created_at: … is no instant"]
    enter(cast, desk, page)
    assert flaws(cast) == []


def test_a_date_that_can_be_read_in_two_ways_is_one_until_it_comes_right(cast: Cast) -> None:
    key = "servicenow"
    module = importlib.import_module(f"tests.tickets.connectors.{key}")
    desk = connect(cast, CONNECTORS[key], module.WORDS, getattr(module, "OPTIONS", {}), key)
    page = next(one for one in deliveries(key) if one.topic == "record")
    odd = changed(page, ("journal", 0, "sys_created_on"), "03/04/2026 08:00:00")
    for one, found in ((odd, 1), (odd, 1), (page, 0), (odd, 0)):
        enter(cast, desk, one)
        with reading(cast):
            assert TicketFlaw.objects.filter(kind="ambiguous_date").count() == found


def test_of_a_ticket_without_an_opening_nothing_is_stored_and_the_delivery_says_why(
    cast: Cast, desk: Connection
) -> None:
    enter(cast, desk, changed(deliveries("zammad")[0], ("ticket", "created_at"), "then"))
    with reading(cast):
        [(status, errors)] = InboundOutcome.objects.values_list("status", "errors")
        assert not Ticket.objects.exists()
    assert status == "quarantined"
    assert errors == [{"field": "ticket.created_at", "reason": "'then' is no instant"}]
