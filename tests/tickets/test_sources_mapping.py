"""Mapping a source's words: seen with counts, previewed without writing, saved as a version."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.told_desk import answer_surveys, connected, deliver, fold
from tickets import mapping_page, material, surveying
from tickets.canonical import Severity, State
from tickets.connectors import GENERIC
from tickets.inbound import receive
from tickets.lens import Words
from tickets.mapping_page import field_name
from tickets.models import (
    Connection,
    MappingSurvey,
    MappingVersion,
    Ticket,
    TicketEvent,
    TicketFlaw,
    WorkItem,
)
from tickets.surveying import guess_capability, roughly
from tickets.words import words_of

NOW = timezone.now()
START = (NOW - timedelta(days=5)).replace(microsecond=0)
PAGE = "/acme/sources/told/mapping/"

WORDS = {
    "states": {"New": "new", "Solved": "resolved", "Parked": "waiting_on_third_party"},
    "severities": {"P1": "high", "P4": "low"},
    "capabilities": {"group": {"Logins": "accounts", "Nets": "network"}},
    "order": ["group"],
}


def ticket(name: str, **said: Any) -> dict[str, Any]:
    usual = {"status": "New", "priority": "P4", "group": "Logins", "agent": "amy"}
    return {"id": name, "at": START.isoformat(), **usual, **said}


TICKETS = [
    ticket("1", then=[[1, "Solved"]]),
    ticket("2", then=[[1, "Solved"], [30, "Reopened by magic"]]),
    ticket("3", priority="P1", group="Nets", then=[[2, "Solved"], [80, "New"]]),
    ticket("4", priority="P0", group="Nets"),
    ticket("5", group="Canteen", then=[[3, "Parked"]]),
    ticket("6", reply=1),
]


@pytest.fixture
def told_desk(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Connection:
    return connected(cast, monkeypatch)


@pytest.fixture
def ada(cast: Cast, told_desk: Connection) -> Client:
    client = Client()
    client.force_login(cast.ada)
    return client


@pytest.fixture
def delivered(ada: Client, told_desk: Connection) -> Connection:
    deliver(told_desk, NOW, *TICKETS, accounts={"amy": "agent"})
    return told_desk


def looked(ada: Client) -> dict[str, Any]:
    """What a worker finds when it is asked on the page."""
    assert ada.post(PAGE, {"act": "look"}).status_code == 302
    assert "within seconds" in ada.get(PAGE).content.decode()
    assert answer_surveys(timezone.now()) == 1
    page = ada.get(PAGE).context["page"]
    found: dict[str, Any] = page.survey.found
    return found


def form(words: dict[str, Any], **more: str) -> dict[str, str]:
    """What the mapping form posts."""
    fields = {field_name("status", w): m for w, m in words["states"].items()}
    fields |= {field_name("priority", w): m for w, m in words["severities"].items()}
    for kind, slugs in words["capabilities"].items():
        fields |= {field_name(kind, w): slug or "-" for w, slug in slugs.items()}
    fields |= {f"order:{quote(k)}": str(n) for n, k in enumerate(words["order"], start=1)}
    return fields | more


def counts(cast: Cast) -> dict[str, Any]:
    """What the tickets are, from the facts."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        items = WorkItem.objects.filter(ticket__connection__name="told")
        slugs = {cast.accounts.pk: "accounts", cast.network.pk: "network", None: ""}
        return {
            "complete": Ticket.objects.filter(connection__name="told", left_out="").count(),
            "incomplete": Ticket.objects.filter(left_out="incomplete").count(),
            "states": Counter(items.values_list("state", flat=True)),
            "severities": Counter(items.values_list("severity", flat=True)),
            "capabilities": Counter(slugs[pk] for pk in items.values_list("capability", flat=True)),
            "first_replies": items.filter(first_response_at__isnull=False).count(),
            "resolutions": sum(item.resolutions.count() for item in items),
            "reopens": sum(
                item.resolutions.filter(reopen_kind="counted").count() for item in items
            ),
        }


def test_words_are_seen_with_their_tickets_before_anything_is_mapped(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    found = looked(ada)
    assert (found["tickets"], found["read_from"]) == (6, "deliveries")
    seen = {(w["kind"], w["word"]): (w["tickets"], w["examples"]) for w in found["words"]}
    assert seen == {
        ("status", "New"): (6, ["1", "2", "3"]),
        ("status", "Solved"): (3, ["1", "2", "3"]),
        ("status", "Parked"): (1, ["5"]),
        ("status", "Reopened by magic"): (1, ["2"]),
        ("priority", "P4"): (4, ["1", "2", "5"]),
        ("priority", "P1"): (1, ["3"]),
        ("priority", "P0"): (1, ["4"]),
        ("group", "Logins"): (3, ["1", "2", "6"]),
        ("group", "Nets"): (2, ["3", "4"]),
        ("group", "Canteen"): (1, ["5"]),
    }
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert not Ticket.objects.exists()
        assert not TicketEvent.objects.exists()


def test_an_unmapped_word_is_work_and_never_filled_in_silently(
    ada: Client, delivered: Connection
) -> None:
    looked(ada)
    page = ada.get(PAGE).context["page"]
    statuses = page.tables[0]
    assert all(row.waits for row in statuses.rows)
    assert page.waiting == 10
    assert {row.word: row.suggestion.sureness for row in statuses.rows if row.suggestion} == {
        "New": "sure",
        "Solved": "sure",
        "Reopened by magic": "likely",
    }
    filled = ada.post(PAGE, {**form(EMPTY), "act": "sure"}).context["page"].tables[0]
    assert {row.word: row.chosen for row in filled.rows} == {
        "New": "new",
        "Solved": "resolved",
        "Parked": "",
        "Reopened by magic": "",
    }
    every = ada.post(PAGE, {**form(EMPTY), "act": "all"}).context["page"].tables[0]
    assert {row.word for row in every.rows if row.waits} == {"Parked"}
    with acting(delivered.tenant_id):
        assert not MappingVersion.objects.exists()


EMPTY: dict[str, Any] = {"states": {}, "severities": {}, "capabilities": {}, "order": []}


def previewed(ada: Client, words: dict[str, Any]) -> dict[str, Any]:
    answer = ada.post(PAGE, form(words, act="preview"))
    assert answer.status_code == 302, answer.context["mistakes"]
    address = answer["Location"].partition("#")[0]
    assert "in memory only" in ada.get(address).content.decode()
    assert answer_surveys(timezone.now()) == 1
    shown = ada.get(address)
    found: dict[str, Any] = shown.context["page"].preview.found
    assert "Nothing is written until you save" in shown.content.decode()
    return found


def as_counts(told: dict[str, Any]) -> dict[str, Any]:
    return {
        name: Counter(value) if isinstance(value, dict) else value
        for name, value in told.items()
        if name not in ("unmapped", "unmapped_words", "left_out")
    }


def test_a_preview_says_what_saving_makes_of_the_tickets(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    found = previewed(ada, WORDS)
    assert found["now"] is None
    assert {(u["kind"], u["word"], u["tickets"]) for u in found["then"]["unmapped"]} == {
        ("status", "Reopened by magic", 1),
        ("priority", "P0", 1),
        ("names no service:", "group: Canteen", 1),
    }
    assert (found["then"]["incomplete"], found["then"]["reopens"]) == (1, 1)
    assert ada.post(PAGE, form(WORDS, act="save", number="0")).status_code == 302
    fold(timezone.now())
    assert as_counts(found["then"]) == counts(cast)


def test_a_preview_of_a_live_source_stands_beside_what_its_tickets_are(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    ada.post(PAGE, form(WORDS, act="save", number="0"))
    fold(timezone.now())
    before = counts(cast)
    better = WORDS | {
        "states": WORDS["states"] | {"Reopened by magic": "open"},
        "severities": WORDS["severities"] | {"P0": "critical"},
    }
    found = previewed(ada, better)
    assert found["read_from"] == "log"
    assert as_counts(found["now"]) == before == counts(cast)
    assert found["then"]["incomplete"] == 0
    assert found["then"]["reopens"] == before["reopens"] + 1
    ada.post(PAGE, form(better, act="save", number="1"))
    fold(timezone.now())
    assert as_counts(found["then"]) == counts(cast)
    with acting(cast.acme.pk):
        kinds = set(TicketFlaw.objects.values_list("kind", flat=True))
    assert "unmapped_state" not in kinds


def test_a_preview_writes_nothing_but_its_answer(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    ada.post(PAGE, form(WORDS, act="save", number="0"))
    fold(timezone.now())
    ada.post(PAGE, form(WORDS | {"states": {}}, act="preview"))
    written: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE", "COPY")):
            written.append(sql.split('"')[1] if '"' in sql else sql.split()[1:3][-1])
        return execute(sql, params, many, context)

    with database.execute_wrapper(watch):
        assert answer_surveys(timezone.now()) == 1
    assert set(written) == {"tickets_mappingsurvey", "tenancy_due"}


def test_saving_lets_the_source_live_and_what_waited_is_folded(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    fold(timezone.now())
    with acting(cast.acme.pk):
        assert not Ticket.objects.exists()
    ada.post(PAGE, form(WORDS, act="save", number="0"))
    fold(timezone.now())
    with acting(cast.acme.pk):
        assert Ticket.objects.count() == 6
        version = MappingVersion.objects.get()
    assert (version.number, version.saved_by) == (1, "Ada")


def test_a_page_that_is_out_of_date_saves_nothing(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    assert ada.post(PAGE, form(WORDS, act="save", number="0")).status_code == 302
    answer = ada.post(PAGE, form(EMPTY, act="save", number="0"))
    assert answer.status_code == 400
    assert "Version 1 was saved while this page was open" in answer.content.decode()
    with acting(cast.acme.pk):
        assert MappingVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ({"states": {"New": "frozen"}}, "which is not one of"),
        ({"severities": {"P1": "new"}}, "which is not one of"),
        ({"capabilities": {"group": {"Nets": "gardening"}}}, "There is no service"),
    ],
)
def test_a_word_of_ours_that_does_not_exist_is_refused(
    cast: Cast, ada: Client, delivered: Connection, words: dict[str, Any], mistake: str
) -> None:
    answer = ada.post(PAGE, form(WORDS | words, act="save", number="0"))
    assert answer.status_code == 400
    assert mistake in answer.content.decode()
    with acting(cast.acme.pk):
        assert not MappingVersion.objects.exists()


def test_words_that_the_form_does_not_show_are_kept(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    ada.post(PAGE, form(WORDS, act="save", number="0"))
    some = {"states": {"New": "open", "Parked": ""}, "severities": {}, "capabilities": {}}
    ada.post(PAGE, form({**some, "order": []}, act="save", number="1"))
    with acting(cast.acme.pk):
        words = words_of(delivered)
    assert words.states == {"New": State.OPEN, "Solved": State.RESOLVED}
    assert words.severities == {"P1": Severity.HIGH, "P4": Severity.LOW}
    assert words.order == ("group",)


@pytest.mark.parametrize("word", ["a:b/c?d=e&f", "100 % done", "", "wörter", '"quoted"', "order:x"])
def test_any_word_survives_the_form(
    cast: Cast, ada: Client, delivered: Connection, word: str
) -> None:
    words = WORDS | {"states": {word: "open"}, "capabilities": {"a:b/c": {word: "network"}}}
    ada.post(PAGE, form({**words, "order": ["a:b/c"]}, act="save", number="0"))
    with acting(cast.acme.pk):
        saved = words_of(delivered)
    assert saved.states == {word: State.OPEN}
    assert saved.capabilities == {"a:b/c": {word: "network"}}


def test_a_kind_that_is_not_asked_is_no_work(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    looked(ada)
    ada.post(PAGE, form(WORDS | {"order": []}, act="save", number="0", **{"order:group": "0"}))
    page = ada.get(PAGE).context["page"]
    group = next(table for table in page.tables if table.kind == "group")
    assert group.place == 0
    assert page.waiting == 2  # the status and the priority nobody mapped


def test_versions_say_who_and_what_differs(cast: Cast, ada: Client, delivered: Connection) -> None:
    ada.post(PAGE, form(WORDS, act="save", number="0"))
    better = WORDS | {"states": {"New": "open", "Solved": "resolved", "Parked": ""}}
    ada.post(PAGE, form(better, act="save", number="1"))
    page = ada.get("/acme/sources/told/mapping/versions/")
    second, first = page.context["versions"]
    assert [(d.word, d.before, d.after) for d in second.differences] == [
        ("New", "new", "open"),
        ("Parked", "waiting for a third party", "not mapped"),
    ]
    assert {d.before for d in first.differences} == {"not mapped", "nothing is asked"}
    assert "Saved by Ada" in page.content.decode()


def test_a_delivery_that_cannot_be_read_is_told_and_stops_nothing(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    with acting(cast.acme.pk):
        receive(
            tenant_id=cast.acme.pk,
            connection=delivered,
            delivery_id="odd",
            topic="tickets",
            raw=b'{"nothing": 1}',
            at=NOW,
        )
    found = looked(ada)
    assert found["tickets"] == 6
    assert found["refused"] == [{"reason": "tickets: there are none", "deliveries": 1}]


def test_what_nobody_signed_is_not_believed(cast: Cast, ada: Client, delivered: Connection) -> None:
    forged = json.dumps({"tickets": [ticket("666", status="Hacked")]}).encode()
    for signature in ("unsigned", "valid"):
        with acting(cast.acme.pk):
            receive(
                tenant_id=cast.acme.pk,
                connection=delivered,
                delivery_id=signature,
                topic="tickets",
                raw=forged,
                at=NOW,
                signature=signature,
            )
        believed = "Hacked" in {word["word"] for word in looked(ada)["words"]}
        assert believed == (signature == "valid")


def test_a_delivery_that_breaks_its_mapper_is_told_and_stops_nothing(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    with acting(cast.acme.pk):
        receive(
            tenant_id=cast.acme.pk,
            connection=delivered,
            delivery_id="poison",
            topic="tickets",
            raw=b'{"tickets": [{"id": 1}]}',
            at=NOW,
        )
    found = looked(ada)
    assert found["tickets"] == 6
    assert "KeyError in told_desk.py" in found["refused"][0]["reason"]


def test_a_survey_that_fails_says_so_and_the_next_is_answered(
    cast: Cast, ada: Client, delivered: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(material, "BATCH", 0)
        assert "ValueError" in looked(ada)["failed"]
        assert "could not be read" in ada.get(PAGE).content.decode()
    assert looked(ada)["tickets"] == 6


def test_the_latest_tickets_are_taken_where_there_are_too_many(
    cast: Cast, ada: Client, delivered: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.post(PAGE, form(WORDS, act="save", number="0"))
    fold(timezone.now())
    assert not looked(ada)["cut"]
    monkeypatch.setattr(material, "MOST_TICKETS", 2)
    found = looked(ada)
    assert (found["tickets"], found["cut"]) == (2, True)


def test_tickets_that_did_not_move_for_a_month_are_not_looked_at(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    old = (NOW - timedelta(days=60)).isoformat()
    deliver(delivered, NOW, ticket("old", at=old, status="Ancient"))
    ada.post(PAGE, form(WORDS, act="save", number="0"))
    fold(timezone.now())
    assert "Ancient" not in {word["word"] for word in looked(ada)["words"]}


def test_answered_surveys_are_forgotten_after_a_week(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    looked(ada)
    ada.post(PAGE, {"act": "look"})
    with roles.as_role(roles.WORKER):
        surveying.sweep(timezone.now() + timedelta(days=8))
    with acting(cast.acme.pk):
        assert MappingSurvey.objects.count() == 0


def test_another_sources_preview_is_not_found(
    cast: Cast, ada: Client, delivered: Connection
) -> None:
    with acting(cast.acme.pk):
        theirs = MappingSurvey.objects.create(
            tenant=cast.acme, connection=cast.desk, draft={"states": {}}, asked_at=NOW
        )
    assert ada.get(f"/acme/sources/desk/mapping/?draft={theirs.pk}").status_code == 200
    assert ada.get(f"{PAGE}?draft={theirs.pk}").status_code == 404
    assert ada.get(f"{PAGE}?draft=x").status_code == 404


@pytest.mark.parametrize(
    ("word", "meaning", "sureness"),
    [
        ("Network", "network", "sure"),
        ("net-work", "network", "likely"),
        ("Accounts & access", "accounts", "a guess"),
        ("Canteen", None, ""),
        ("", "", "sure"),
    ],
)
def test_a_service_is_suggested_by_its_name(word: str, meaning: str | None, sureness: str) -> None:
    guess = guess_capability(word, {"Network": "network", "Accounts": "accounts"})
    assert (guess.meaning if guess else None) == meaning
    assert (mapping_page.sureness(guess.confidence) if guess else "") == sureness


def test_how_much_somebody_did_is_told_roughly() -> None:
    assert [roughly(n) for n in (1, 9, 10, 99, 100, 5000)] == [
        *["fewer than 10"] * 2,
        *["10 to 99"] * 2,
        *["100 or more"] * 2,
    ]


def test_the_same_words_differ_in_nothing() -> None:
    words = Words.parse(WORDS)
    assert mapping_page.differences(words, words) == []
    assert GENERIC.facets == ()
    assert isinstance(START, datetime)
