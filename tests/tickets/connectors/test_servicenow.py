"""ServiceNow: what it hides of replies, waits and reopens, told rightly."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.tickets.connectors import servicenow as desk
from tests.tickets.connectors.desk import open_http, pulled
from tests.tickets.connectors.entering import NOW, connected, entered
from tests.tickets.connectors.servicenow import BETH, BOT, DESK, EMILY, FRED, NETWORK, number
from tests.tickets.connectors.test_jira import standing
from tickets.canonical import ActorKind, Event, EventType
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Context, Unusable
from tickets.connectors.http import HttpTrouble
from tickets.lens import Words
from tickets.models import (
    Attribution,
    Connection,
    Resolution,
    TicketEvent,
    TicketFlaw,
    ToldRating,
    WorkItem,
)
from tickets.news import RatingTold, TicketNews, Told
from tickets.ratings import is_satisfaction
from tickets.words import save_version

SERVICENOW = CONNECTORS["servicenow"]
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
PAYLOADS = Path(__file__).resolve().parents[4] / "shared" / "payloads" / "servicenow"


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 2) -> datetime:
    return MONDAY + timedelta(days=day - 2, hours=hour, minutes=minute, seconds=second)


def told(page: Any, **options: Any) -> Told:
    return SERVICENOW.tell("record", desk.raw(page), Context(options=options))


def news(page: Any, **options: Any) -> TicketNews:
    [one] = told(page, **options).tickets
    return one


def of_type(one: TicketNews, type_: EventType) -> list[Event]:
    return sorted((e for e in one.events if e.type is type_), key=lambda e: e.order)


def said(one: TicketNews) -> list[str]:
    return [e.data["said"] for e in of_type(one, EventType.STATUS_CHANGED)]


def observed(one: TicketNews) -> dict[str, Any]:
    return {e.data["name"]: e.data["value"] for e in of_type(one, EventType.OBSERVED)}


def a_record(**more: Any) -> dict[str, Any]:
    return desk.record(9, "02 20:00:00", ("2", "In Progress"), **more)


@pytest.fixture
def connection(cast: Cast) -> Connection:
    return connected(cast, "servicenow", desk.WORDS)


def facts(of: int) -> WorkItem:
    return WorkItem.objects.select_related("ticket").get(ticket__external_id=number(of))


@pytest.fixture
def as_worker(connection: Connection) -> Iterator[None]:
    with roles.as_role(roles.WORKER), acting(connection.tenant_id):
        yield


class TestFacts:
    """Deliveries stored, folded by a worker, read as facts."""

    @pytest.fixture(autouse=True)
    def _entered(self, connection: Connection, as_worker: None) -> None:
        entered(connection, desk.DELIVERIES)
        self.item = facts(1)

    def test_neither_a_rules_comment_nor_a_work_note_nor_a_bot_replies(self) -> None:
        assert self.item.opened_at == at(8)
        assert self.item.first_response_at == at(8, 10)

    def test_a_holding_text_is_a_reply_that_does_not_help(self) -> None:
        assert self.item.first_reply_meaning == "not_meaningful"
        assert self.item.first_meaningful_at == at(9)  # neither the note nor the bot before it

    def test_on_hold_pauses_only_while_the_caller_is_awaited(self) -> None:
        waited = at(8, 50, 3) - at(8, 20)
        reopened = at(13) - at(9, 5)
        assert self.item.paused_s == (waited + reopened).total_seconds()
        assert facts(2).paused_s == 0  # an hour for a vendor

    def test_resolved_to_closed_is_no_event_and_the_callers_reopening_counts(self) -> None:
        first, last = Resolution.objects.filter(work_item=self.item).order_by("at")
        assert (first.at, first.reopened, first.reopen_at) == (at(9, 5), True, at(13))
        assert (last.at, last.holds, last.kind) == (at(14), True, "normal")
        assert self.item.ended_at == at(14)  # not when it was closed a week later

    def test_a_phantom_reopen_is_a_difference_of_counters_and_no_reopen(self) -> None:
        [resolution] = Resolution.objects.filter(work_item=facts(2))
        assert (resolution.at, resolution.reopened) == (at(9, 20), False)
        flaws = TicketFlaw.objects.filter(kind="reopens_differ")
        assert set(flaws.values_list("ticket__external_id", "detail")) == {
            (number(2), "theirs 1, ours 0")
        }

    def test_what_the_platform_closed_while_the_caller_was_awaited_is_inactivity(self) -> None:
        forgotten = facts(3)
        [resolution] = Resolution.objects.filter(work_item=forgotten)
        assert (resolution.kind, resolution.at) == ("inactivity", at(8, 20, day=5))
        assert not Attribution.objects.filter(work_item=forgotten, act="resolved").exists()

    def test_without_an_sla_made_sla_is_not_kept(self) -> None:
        without = TicketFlaw.objects.filter(kind="no_promise")
        assert set(without.values_list("ticket__external_id", flat=True)) == {
            number(1), number(3),
        }  # fmt: skip

    def test_who_asks_is_the_caller_and_who_works_is_kept_apart(self, cast: Cast) -> None:
        assert self.item.requester is not None
        assert (self.item.requester.external_id, self.item.requester.email) == (
            EMILY, "emily@example.com",
        )  # fmt: skip
        by = Attribution.objects.filter(work_item=self.item)
        assert set(by.values_list("agent__external_id", flat=True)) == {BETH}
        assert (self.item.capability_id, self.item.severity) == (cast.network.pk, "high")
        assert self.item.reassignments == 1

    def test_nobody_who_acted_is_unknown_and_every_word_is_mapped(self) -> None:
        found = set(TicketFlaw.objects.values_list("kind", flat=True))
        assert found == {"reopens_differ", "no_promise"}

    def test_a_survey_answer_is_told_with_its_scale_and_words(self) -> None:
        rating = ToldRating.objects.get(outcome="responded")
        assert (rating.score, rating.scale, rating.said_at) == (4, "csat_1_5", at(15))
        assert (rating.remark, rating.ticket_external_id) == ("Quick in the end", number(1))
        assert rating.offered_at == at(14, 0, 10)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_repetition_of_deliveries_tells_the_same(cast: Cast, seed: int) -> None:
    straight = connected(cast, "servicenow", desk.WORDS)
    entered(straight, desk.DELIVERIES)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        shuffled = ConnectionFactory(tenant=cast.acme, name="again", kind="servicenow")
        words = Words.parse(desk.WORDS)
        save_version(connection=shuffled, words=words, by=SYSTEM, at=NOW)
    deliveries = [*desk.DELIVERIES, *desk.DELIVERIES[:2]]
    random.Random(seed).shuffle(deliveries)
    for delivery in deliveries:
        entered(shuffled, [delivery])
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert standing(shuffled) == standing(straight)
        assert len(standing(straight)[0]) == 3


class TestWords:
    def test_the_same_number_of_another_class_is_another_state(self) -> None:
        case = desk.record(
            4, "02 09:00:00", ("3", "Closed Complete"),
            sys_class_name=("sn_hr_core_case", "HR Case"), opened_for=(FRED, "Fred"),
        )  # fmt: skip
        history = desk.audit(4, "02 09:00:00", "beth", 1, state=("10", "3"))
        one = news(desk.page(case, [], history, table="sn_hr_core_case"))
        assert said(one) == ["sn_hr_core_case 3 · Closed Complete"]
        assert of_type(one, EventType.CREATED)[0].data["state_said"] == (
            "sn_hr_core_case 10 · Ready"
        )
        assert one.requester == FRED  # opened for, not opened by nor a caller

    def test_closed_complete_ends_an_hr_case_and_on_hold_is_still_an_incidents(
        self, connection: Connection, as_worker: None
    ) -> None:
        case = desk.record(
            4, "02 09:00:00", ("3", "Closed Complete"),
            sys_class_name=("sn_hr_core_case", "HR Case"), opened_for=(FRED, "Fred"),
        )  # fmt: skip
        history = desk.audit(4, "02 09:00:00", "beth", 1, state=("10", "3"))
        waiting = desk.audit(5, "02 09:00:00", "beth", 1, state=("2", "3"), hold_reason=("", "5"))
        incident = desk.record(5, "02 09:00:00", ("3", "On Hold"), hold_reason="5")
        pages = [
            desk.page(case, [], history, table="sn_hr_core_case"),
            desk.page(incident, [], waiting),
        ]
        entered(connection, [("record", desk.raw(page), {}) for page in pages])
        assert (facts(4).outcome, facts(4).ended_at) == ("resolved", at(9))
        assert (facts(5).outcome, facts(5).state) == ("open", "waiting_on_third_party")

    @pytest.mark.parametrize("table", ["sc_request", "sc_req_item"])
    def test_requests_are_asked_for_by_whom_they_are_for(self, table: str) -> None:
        kind = (table, "Request")
        page = desk.page(a_record(sys_class_name=kind, requested_for=(FRED, "Fred")), table=table)
        assert news(page).requester == FRED

    def test_why_it_is_on_hold_is_part_of_the_word_and_a_new_reason_is_a_move(self) -> None:
        history = [
            *desk.audit(9, "02 09:00:00", "beth", 1, state=("2", "3"), hold_reason=("", "5")),
            *desk.audit(9, "02 10:00:00", "beth", 2, hold_reason=("5", "1")),
            *desk.audit(9, "02 11:00:00", "beth", 3, state=("3", "2")),
        ]
        assert said(news(desk.page(a_record(), [], history))) == [
            "incident 3:5 · On Hold: Awaiting Vendor",
            "incident 3:1 · On Hold: Awaiting Caller",
            "incident 2 · In Progress",
        ]

    def test_an_incident_whose_state_is_audited_twice_moves_once(self) -> None:
        assert len(said(news(desk.BUSY))) == 7
        older = [r for r in desk.BUSY_HISTORY if r["fieldname"]["value"] != "state"]
        assert len(said(news({**desk.BUSY, "history": older}))) == 7  # only incident_state audited

    @pytest.mark.parametrize(
        ("fields", "shared"),
        [
            ({"problem_id": ("ab" * 16, "PRB0040012")}, "PRB0040012"),
            ({"parent_incident": ("cd" * 16, "INC0000003")}, "INC0000003"),
            (
                {
                    "problem_id": ("ab" * 16, "PRB0040012"),
                    "parent_incident": ("cd" * 16, "INC0000003"),
                },
                "PRB0040012",
            ),
        ],
    )
    def test_the_problem_it_is_linked_to_is_told_else_its_parent(
        self, fields: dict[str, tuple[str, str]], shared: str
    ) -> None:
        empty = {"problem_id": "", "parent_incident": ""}
        page = desk.page(a_record(**(empty | fields)))
        [event] = of_type(news(page), EventType.PROBLEM_LINKED)
        assert (event.data, event.at) == ({"to": shared}, at(20))
        assert not of_type(news(desk.page(a_record(**empty))), EventType.PROBLEM_LINKED)
        [snapshot] = of_type(news(page, history="snapshots"), EventType.SNAPSHOT)
        assert snapshot.data["problem"] == shared

    def test_a_problem_that_was_taken_away_is_told_as_none(self) -> None:
        history = desk.audit(9, "02 19:00:00", "beth", 3, problem_id=("ab" * 16, ""))
        page = desk.page(a_record(problem_id=""), history=history)
        [event] = of_type(news(page), EventType.PROBLEM_LINKED)
        assert event.data == {"to": ""}

    def test_severity_is_the_priority_and_not_the_field_of_that_name(self) -> None:
        one = news(desk.page(a_record(severity=("3", "3 - Low"))))
        assert of_type(one, EventType.CREATED)[0].data["severity_said"] == "2 · High"

    @pytest.mark.parametrize(
        ("word", "meaning"),
        [
            ("incident 3:1 · Zurückgestellt: Wartet auf Anrufer", "waiting_on_requester"),
            ("incident 3:5 · On Hold: Awaiting Vendor", "waiting_on_third_party"),
            ("incident 8 · Canceled", "withdrawn"),
            ("sn_hr_core_case 3 · Closed Complete", "closed"),
            ("sc_req_item 2 · Work in Progress", "open"),
        ],
    )
    def test_states_are_guessed_by_class_and_number(self, word: str, meaning: str) -> None:
        guess = SERVICENOW.guess_state(word)
        assert guess is not None
        assert guess.meaning == meaning

    def test_priorities_are_guessed_by_name_else_by_rank(self) -> None:
        named, ranked = (
            SERVICENOW.guess_severity("1 · Critical"),
            SERVICENOW.guess_severity("2 · Dringlich!"),
        )
        assert named is not None
        assert ranked is not None
        assert (named.meaning, ranked.meaning) == ("critical", "high")
        assert named.confidence > ranked.confidence

    def test_a_group_known_by_its_id_in_the_audit_is_told_by_its_name(self) -> None:
        [event] = of_type(news(desk.BUSY), EventType.GROUP_CHANGED)
        assert event.data == {"to": "Network", "facets": {"assignment_group": "Network"}}
        [created] = of_type(news(desk.BUSY), EventType.CREATED)
        assert created.data["group"] == "Service Desk"


class TestInstants:
    def test_display_values_on_the_accounts_clock_are_never_read_for_instants(self) -> None:
        shown = desk.BUSY["record"]["opened_at"]["display_value"]
        assert shown == "03/02/2026 01:00:00 AM"  # the same instant in California
        [created] = of_type(news(desk.BUSY), EventType.CREATED)
        assert created.at == at(8)

    def test_an_instant_that_can_be_read_in_two_ways_is_left_out_and_said(self) -> None:
        page = desk.page(a_record(reopen_count="1", reopened_time="03/04/2026 09:00:00"))
        what = told(page)
        assert [one.field for one in what.remarks] == ["reopened_time"]
        assert observed(what.tickets[0])["flaw"] == "ambiguous_date"
        declared = told(page, date_format="dd/MM/yyyy HH:mm:ss")
        assert declared.remarks == []
        counted = [e for e in of_type(declared.tickets[0], EventType.OBSERVED)
                   if e.data["name"] == "reopen_count"]  # fmt: skip
        assert counted[0].at == datetime(2026, 4, 3, 9, tzinfo=UTC)

    def test_a_record_without_any_instant_is_refused_and_not_dated_today(self) -> None:
        odd = {"opened_at": "?", "sys_created_on": "", "sys_updated_on": "03/04/2026 09:00:00"}
        with pytest.raises(Unusable, match="no instant"):
            told(desk.page(a_record(**odd)))

    def test_an_opening_set_later_than_the_records_creation_gains_nothing(self) -> None:
        moved = desk.page(a_record(opened_at=desk.day("02 11:00:00")))
        assert of_type(news(moved), EventType.CREATED)[0].at == at(8)
        earlier = desk.page(a_record(opened_at=desk.day("02 07:30:00")))
        assert of_type(news(earlier), EventType.CREATED)[0].at == at(7, 30)


class TestJournal:
    def test_comments_are_public_and_work_notes_are_not(self) -> None:
        messages = of_type(news(desk.BUSY), EventType.MESSAGE)
        assert [m.at for m in messages if not m.public] == [at(8, 2)]

    def test_the_words_with_which_an_agent_opens_for_a_caller_answer_nobody(
        self, connection: Connection, as_worker: None
    ) -> None:
        one = desk.record(
            9, "02 20:00:00", ("2", "In Progress"), opened_by=(BETH, "Beth"),
            opened_at=desk.day("02 07:55:00"),
        )  # fmt: skip
        entries = [
            desk.journal(9, "02 08:00:00", "beth", desk.HELP),
            desk.journal(9, "02 09:00:00", "beth", desk.HELP),
        ]
        entered(connection, [("record", desk.raw(desk.page(one, entries)), {})])
        item = facts(9)
        assert (item.opened_at, item.first_response_at) == (at(7, 55), at(9))
        requester = item.requester
        assert requester is not None
        assert requester.external_id == EMILY  # not who typed it

    def test_a_colleague_who_holds_no_role_of_agents_does_not_reply(
        self, connection: Connection, as_worker: None
    ) -> None:
        entries = [
            desk.journal(9, "02 08:30:00", "fred", desk.HELP),
            desk.journal(9, "02 09:00:00", "beth", desk.HELP),
        ]
        entered(connection, [("record", desk.raw(desk.page(a_record(), entries)), {})])
        assert facts(9).first_response_at == at(9)

    def test_an_agent_who_calls_for_help_replies_to_nobody(
        self, connection: Connection, as_worker: None
    ) -> None:
        one = a_record(caller_id=(BETH, "Beth"), opened_by=(BETH, "Beth"))
        entries = [desk.journal(9, "02 08:30:00", "beth", desk.HELP)]
        entered(connection, [("record", desk.raw(desk.page(one, entries)), {})])
        assert facts(9).first_response_at is None

    def test_roles_are_told_since_they_are_held_and_bots_stay_bots_with_any_role(self) -> None:
        by_id = {one.external_id: one for one in told(desk.BUSY).accounts}
        assert by_id[BETH].role is ActorKind.AGENT
        assert by_id[BETH].since == datetime(2025, 1, 1, tzinfo=UTC)
        assert by_id[BOT].role is ActorKind.BOT
        assert by_id[FRED].role is ActorKind.REQUESTER
        assert by_id[FRED].since < by_id[BETH].since  # a role that comes later outweighs it

    def test_mail_of_an_unknown_sender_is_nobodys_reply(
        self, connection: Connection, as_worker: None
    ) -> None:
        entries = [desk.journal(9, "02 08:30:00", "guest", desk.HELP)]
        entered(connection, [("record", desk.raw(desk.page(a_record(), entries)), {})])
        assert facts(9).first_response_at is None


class TestReopens:
    def test_the_platform_that_moves_on_the_callers_mail_moves_for_them(
        self, connection: Connection, as_worker: None
    ) -> None:
        history = [
            *desk.audit(9, "02 09:00:00", "beth", 1, state=("2", "6"), close_code=("", "Done")),
            *desk.audit(9, "02 10:00:04", "system", 2, state=("6", "2")),
            *desk.audit(9, "02 10:30:00", "beth", 3, state=("2", "6"), close_code=("", "Done")),
        ]
        thanks = [desk.journal(9, "02 10:00:00", "emily", "Thank you!")]
        page = desk.page(desk.record(9, "02 20:00:00", ("6", "Resolved")), thanks, history)
        entered(connection, [("record", desk.raw(page), {})])
        [resolution] = Resolution.objects.all()
        assert (resolution.at, resolution.reopen_kind) == (at(9), "courtesy")

    def test_the_agent_who_takes_it_back_within_ten_minutes_misclicked(
        self, connection: Connection, as_worker: None
    ) -> None:
        history = [
            *desk.audit(9, "02 09:00:00", "beth", 1, state=("2", "6")),
            *desk.audit(9, "02 09:04:00", "beth", 2, state=("6", "2")),
            *desk.audit(9, "02 10:30:00", "beth", 3, state=("2", "6")),
        ]
        page = desk.page(
            desk.record(9, "02 20:00:00", ("6", "Resolved"), reopen_count="1"), [], history
        )
        entered(connection, [("record", desk.raw(page), {})])
        [resolution] = Resolution.objects.all()
        assert (resolution.at, resolution.reopened) == (at(10, 30), False)

    def test_a_reopen_that_the_counter_missed_is_a_reopen_and_a_difference(
        self, connection: Connection, as_worker: None
    ) -> None:
        page = {**desk.BUSY, "record": {**desk.BUSY["record"], "reopen_count": desk.cell("0")}}
        entered(connection, [("record", desk.raw(page), {})])
        assert Resolution.objects.filter(reopened=True).count() == 1
        assert TicketFlaw.objects.get(kind="reopens_differ").detail == "theirs 0, ours 1"

    def test_close_codes_that_mean_a_duplicate_or_no_answer_are_of_that_kind(self) -> None:
        def kind(code: str, **options: Any) -> str | None:
            history = desk.audit(9, "02 09:00:00", "beth", 1, state=("2", "6"),
                                 close_code=("", code))  # fmt: skip
            [event] = of_type(
                news(desk.page(a_record(), [], history), **options), EventType.STATUS_CHANGED
            )
            return event.data.get("resolution")

        assert kind("Duplicate") == "duplicate"
        assert kind("No response", inactivity_codes="No response") == "inactivity"
        assert kind("No response") is None

    def test_a_clone_of_a_closed_incident_follows_it_where_a_field_says_so(self) -> None:
        page = desk.page(a_record(u_reopened_from=(number(1), "INC0000001")))
        [event] = of_type(news(page, followup_field="u_reopened_from"), EventType.FOLLOWUP_OF)
        assert event.data == {"parent": number(1)}
        assert not of_type(news(page), EventType.FOLLOWUP_OF)


class TestPromises:
    @pytest.mark.parametrize(
        ("slas", "value"),
        [
            ([], None),
            ([{"stage": "cancelled", "has_breached": "true"}], None),
            ([{"stage": "in_progress", "has_breached": "false"}], "running"),
            (
                [{"stage": "completed", "has_breached": "false",
                  "end_time": desk.day("02 09:00:00")}],
                "kept",
            ),
            ([{"stage": "in_progress", "has_breached": "true"}], "missed"),
        ],
    )  # fmt: skip
    def test_a_promise_is_read_from_slas_and_never_from_made_sla(
        self, slas: list[dict[str, str]], value: str | None
    ) -> None:
        rows = [desk.row(sys_id=number(70 + i), task=number(9), **s) for i, s in enumerate(slas)]
        for made in ("true", "false"):
            page = desk.page(a_record(made_sla=made), [], [], rows)
            assert observed(news(page))["promise"] == value


class TestSnapshots:
    """Rows without a history: exports, extractors, instances that open no audit."""

    @staticmethod
    def rows(**more: Any) -> list[dict[str, str]]:
        """Four versions; two of them hold the same sys_mod_count, all repeat the final values."""
        final = {
            "number": "INC0000046", "sys_class_name": "incident",
            "opened_at": "2026-03-02 08:00:00",
            "resolved_at": "2026-03-02 12:00:00", "closed_at": "2026-03-07 12:00:00",
            "caller_id": EMILY, "priority": "2", "assignment_group": "Network",
            "reopen_count": "0", "sys_updated_by": "beth",
        }  # fmt: skip
        told = [("08:00:00", "0", "1"), ("09:00:00", "1", "2"), ("10:00:00", "1", "3"),
                ("12:00:00", "2", "6")]  # fmt: skip
        return [
            {**final, "sys_updated_on": f"2026-03-02 {clock}", "sys_mod_count": count,
             "state": state, "hold_reason": "1" if state == "3" else "", **more}
            for clock, count, state in told
        ]  # fmt: skip

    WORDS = {
        **desk.WORDS,
        "states": {
            "incident 1 · 1": "new", "incident 2 · 2": "open",
            "incident 3:1 · 3: 1": "waiting_on_requester", "incident 6 · 6": "resolved",
        },
        "severities": {"2 · 2": "high"},
    }  # fmt: skip

    def test_number_and_sys_mod_count_are_not_unique_so_content_is_the_key(self) -> None:
        [*all_news] = SERVICENOW.tell("rows", desk.raw(self.rows()), Context()).tickets
        keys = {e.key for one in all_news for e in one.events if e.type is EventType.SNAPSHOT}
        assert len(keys) == 4
        again = SERVICENOW.tell("rows", desk.raw(self.rows()[::-1]), Context()).tickets
        assert {e.key for one in again for e in one.events if e.type is EventType.SNAPSHOT} == keys

    @pytest.mark.parametrize("seed", range(3))
    def test_final_values_that_every_row_repeats_resolve_nothing_early(
        self, cast: Cast, seed: int
    ) -> None:
        connection = connected(cast, "servicenow", self.WORDS)
        rows = self.rows()
        random.Random(seed).shuffle(rows)
        entered(connection, [("rows", desk.raw(rows[:3]), {}), ("rows", desk.raw(rows), {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            [resolution] = Resolution.objects.all()
            item = WorkItem.objects.get()
            assert (item.opened_at, item.ended_at, resolution.at) == (at(8), at(12), at(12))

    def test_a_poll_that_reads_no_history_keeps_what_it_saw(self, cast: Cast) -> None:
        options = {"history": "snapshots"}
        connection = connected(cast, "servicenow", desk.WORDS, options=options)
        early = desk.record(1, "02 08:05:00", ("2", "In Progress"))
        late = desk.record(1, "02 09:05:00", ("6", "Resolved"))
        entered(
            connection,
            [("record", desk.raw(desk.page(one, desk.BUSY_JOURNAL)), {}) for one in (late, early)],
        )
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert WorkItem.objects.get().ended_at == at(9, 5)
            told = set(
                TicketEvent.objects.filter(type="ticket.snapshot").values_list(
                    "fidelity", flat=True
                )
            )
            assert told == {"derived_from_snapshot_diff"}

    def test_question_marks_and_nulls_are_unknown_and_no_words(self) -> None:
        [one] = SERVICENOW.tell(
            "rows", desk.raw(self.rows(caller_id="?", priority="NULL")[:1]), Context()
        ).tickets
        [snapshot] = of_type(one, EventType.SNAPSHOT)
        assert snapshot.data["severity_said"] == "none"
        assert "requester" not in snapshot.data

    def test_a_row_that_cannot_be_read_is_remarked_and_spoils_no_other(self) -> None:
        rows = [{"number": "", "state": "1"}, *self.rows()]
        what = SERVICENOW.tell("rows", desk.raw(rows), Context())
        assert len(what.tickets) == 4
        assert [one.field for one in what.remarks] == ["row no. 1: sys_id"]

    def test_metric_instances_tell_states_where_the_audit_may_not_be_read(self, cast: Cast) -> None:
        history = [
            desk.row(sys_id=number(900 + i), id=number(1), field=name, field_value=value,
                     value=label, start=desk.day(f"02 {clock}"))
            for i, (clock, name, value, label) in enumerate(
                [
                    ("08:00:00", "incident_state", "1", "New"),
                    ("08:05:00", "incident_state", "2", "In Progress"),
                    ("09:05:00", "incident_state", "6", "Resolved"),
                    ("08:00:00", "assignment_group", DESK, "Service Desk"),
                    ("08:05:00", "assignment_group", NETWORK, "Network"),
                ]
            )
        ]  # fmt: skip
        page = desk.page(desk.record(1, "02 09:05:00", ("6", "Resolved")), [], history[::-1])
        one = news(page, history="metric_instance")
        assert said(one) == ["incident 2 · In Progress", "incident 6 · Resolved"]
        assert [e.data["to"] for e in of_type(one, EventType.GROUP_CHANGED)] == ["Network"]
        assert of_type(one, EventType.CREATED)[0].data["state_said"] == "incident 1 · New"
        options = {"history": "metric_instance"}
        connection = connected(cast, "servicenow", desk.WORDS, options=options)
        entered(connection, [("record", desk.raw(page), {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert WorkItem.objects.get().ended_at == at(9, 5)


def source(**options: Any) -> Connection:
    return Connection(kind="servicenow", options=options)


def kept(rating: RatingTold) -> ToldRating:
    return ToldRating(question=rating.question, alone=rating.alone)


class TestAssessments:
    @staticmethod
    def told(**options: Any) -> Told:
        changed = {name: options.pop(name) for name in ("instances", "results", "metrics")
                   if name in options}  # fmt: skip
        body = {**desk.ASSESSMENTS, **changed}
        return SERVICENOW.tell("assessments", desk.raw(body), Context(options=options))

    def test_where_low_is_better_the_score_is_turned(self) -> None:
        metric = desk.row(
            sys_id=number(601), name="Effort", datatype="scale", min="1", max="5",
            scale_definition="low",
        )  # fmt: skip
        [rating] = self.told(metrics=[metric]).ratings
        assert (rating.score, rating.raw) == (2, "4")

    def test_not_applicable_is_an_answer_without_a_score(self) -> None:
        answer = desk.row(
            sys_id=number(511), instance=number(501), metric=number(601), actual_value="-1",
            string_value="Not applicable",
        )  # fmt: skip
        [rating] = self.told(results=[answer]).ratings
        assert (rating.score, rating.outcome, rating.raw) == (None, "declined", "Not applicable")

    def test_several_scales_are_no_rating_until_somebody_says_which(self) -> None:
        metrics = [
            *desk.ASSESSMENTS["metrics"],
            desk.row(sys_id=number(603), name="Speed", datatype="scale", min="1", max="5"),
        ]
        results = [
            *desk.ASSESSMENTS["results"],
            desk.row(sys_id=number(513), instance=number(501), metric=number(603),
                     actual_value="1"),
        ]  # fmt: skip
        unclear = self.told(metrics=metrics, results=results)
        asked = [
            (one.question.partition(" · ")[2], one.alone, one.score) for one in unclear.ratings
        ]
        assert asked == [("How satisfied were you?", False, 4), ("Speed", False, 1)]
        assert not any(is_satisfaction(kept(one), source()) for one in unclear.ratings)
        assert len(unclear.remarks) == 1
        clear = self.told(metrics=metrics, results=results, csat_metric="Speed")
        chosen = [is_satisfaction(kept(one), source(csat_metric="Speed")) for one in clear.ratings]
        assert (chosen, clear.remarks) == ([False, True], [])

    def test_the_only_scale_of_a_survey_is_satisfaction_unless_another_was_chosen(self) -> None:
        [rating] = self.told().ratings
        assert is_satisfaction(kept(rating), source())
        assert not is_satisfaction(kept(rating), source(csat_metric="Speed"))
        assert len(self.told(csat_metric="Speed").remarks) == 1

    def test_a_scale_that_is_none_of_ours_is_remarked_and_not_squeezed(self) -> None:
        metric = desk.row(sys_id=number(601), name="Of ten", datatype="scale", min="0", max="10")
        what = self.told(metrics=[metric])
        assert (what.ratings, len(what.remarks)) == ([], 1)

    def test_offered_and_expired_surveys_are_told_without_a_score(self) -> None:
        def outcome(state: str, **more: str) -> tuple[str, int | None]:
            instance = desk.row(
                sys_id=number(501), task_id=number(1), state=state, taken_on="",
                sys_created_on=desk.day("02 14:00:10"), **more,
            )  # fmt: skip
            [rating] = self.told(instances=[instance]).ratings
            return rating.outcome, rating.score

        assert outcome("ready") == ("offered", None)
        assert outcome("wip") == ("offered", None)
        assert outcome("canceled", expiration_date=desk.day("09 14:00:10")) == ("expired", None)


class TestHooks:
    def test_an_unsigned_webhook_is_only_a_hint(self) -> None:
        assert SERVICENOW.scheme is None
        what = SERVICENOW.tell("hook", desk.raw(desk.HOOK), Context())
        assert (what.fetch, what.tickets) == ([number(1)], [])

    def test_a_webhook_of_no_record_and_one_that_is_no_json_are_said(self) -> None:
        assert SERVICENOW.tell("hook", b'{"number": "INC1"}', Context()).remarks
        for body in (b"<xml/>", b"[]"):
            with pytest.raises(Unusable, match=r"no JSON|no object"):
                SERVICENOW.tell("hook", body, Context())


@pytest.fixture
def instance() -> desk.Instance:
    return desk.Instance(desk.BUSY, desk.PHANTOM, desk.FORGOTTEN, assessments=desk.ASSESSMENTS)


def asking(instance: desk.Instance, **options: Any) -> Any:
    secrets = {"user": "reader", "password": "p"}
    return open_http(SERVICENOW, instance.desk, secrets=secrets, options=options), options


class TestPulling:
    def test_a_pull_reads_records_with_all_that_belongs_to_them(
        self, instance: desk.Instance
    ) -> None:
        http, options = asking(instance, since=60)
        pages, cursor = pulled(SERVICENOW, http, NOW, options=options)
        by_id = {
            body["record"]["sys_id"]["value"]: body
            for page in pages
            if page.topic == "record" and (body := json.loads(page.raw))
        }
        assert sorted(by_id) == [number(1), number(2), number(3)]
        for of, page in ((1, desk.BUSY), (2, desk.PHANTOM), (3, desk.FORGOTTEN)):
            mine = sorted(news(by_id[number(of)]).events, key=lambda e: e.order)
            assert mine == sorted(news(page).events, key=lambda e: e.order)
        assert told(by_id[number(1)]).accounts
        [assessed] = [page for page in pages if page.topic == "assessments"]
        assert SERVICENOW.tell("assessments", assessed.raw, Context()).ratings[0].score == 4
        assert cursor == {
            "records:incident": {"updated": at(14, day=9).isoformat()},
            "assessments": {"updated": at(15).isoformat()},
        }

    def test_rows_hidden_behind_the_limit_do_not_end_a_pull(self, instance: desk.Instance) -> None:
        instance.largest = 1
        instance.hidden = {number(2)}
        http, options = asking(instance, since=60)
        pages, _ = pulled(SERVICENOW, http, NOW, options=options)
        seen = [json.loads(page.raw)["record"] for page in pages if page.topic == "record"]
        assert {one["sys_id"]["value"] for one in seen} == {number(1), number(3)}

    def test_many_rows_of_one_second_are_all_read(self) -> None:
        pages = [
            desk.page(desk.record(of, "02 09:00:00", ("2", "In Progress"))) for of in range(1, 8)
        ]
        instance = desk.Instance(*pages)
        http, options = asking(instance, since=60)
        found, _ = pulled(SERVICENOW, http, NOW, options=options)
        assert len({page.raw for page in found}) == 7

    def test_what_changes_while_pages_are_read_pulls_nothing_across_their_edge(self) -> None:
        pages = [
            desk.page(desk.record(of, f"02 09:0{of}:00", ("2", "In Progress")))
            for of in range(1, 8)
        ]
        instance = desk.Instance(*pages)

        def touched() -> None:
            instance.tables["incident"][0]["sys_updated_on"] = desk.cell(desk.day("04 09:00:00"))

        instance.meanwhile = [touched]
        http, options = asking(instance, since=60)
        found, _ = pulled(SERVICENOW, http, NOW, options=options)
        seen = {json.loads(page.raw)["record"]["sys_id"]["value"] for page in found}
        assert seen == {number(of) for of in range(1, 8)}

    def test_the_next_pull_goes_back_behind_the_last_and_a_stopped_one_goes_on(
        self, instance: desk.Instance
    ) -> None:
        http, options = asking(instance, since=60)
        everything, cursor = pulled(SERVICENOW, http, NOW, options=options)
        again, _ = pulled(SERVICENOW, http, NOW, cursor=cursor, options={})
        assert {page.raw for page in again} <= {page.raw for page in everything}
        assert len([page for page in again if page.topic == "record"]) == 1
        for stop in (1, 2):
            some, stands = pulled(SERVICENOW, http, NOW, options=options, stop_after=stop)
            rest, _ = pulled(SERVICENOW, http, NOW, cursor=stands, options=options)
            assert {page.raw for page in some + rest} == {page.raw for page in everything}

    def test_a_hint_fetches_the_record_from_its_own_table(self, instance: desk.Instance) -> None:
        http, options = asking(instance, since=60)
        everything, _ = pulled(SERVICENOW, http, NOW, options=options)
        [page] = SERVICENOW.fetch(http, number(1), options={})
        assert page.raw in {one.raw for one in everything}

    def test_a_record_that_is_gone_is_remarked_and_an_id_that_is_none_is_not_asked_for(
        self, instance: desk.Instance
    ) -> None:
        http, options = asking(instance)
        [page] = SERVICENOW.fetch(http, number(77), options=options)
        what = SERVICENOW.tell(page.topic, page.raw, Context())
        assert (what.tickets, [one.field for one in what.remarks]) == ([], ["record"])
        before = len(instance.desk.asked)
        assert list(SERVICENOW.fetch(http, "1^ORactive=true", options=options)) == []
        assert len(instance.desk.asked) == before

    def test_a_check_reads_every_table_that_is_needed_and_advises_on_the_clock(
        self, instance: desk.Instance
    ) -> None:
        http, options = asking(instance)
        assert "time zone to GMT" in SERVICENOW.check(http, options=options)
        instance.closed = {"sys_audit"}
        with pytest.raises(HttpTrouble, match="does not let us read"):
            SERVICENOW.check(http, options=options)
        assert SERVICENOW.check(http, options={"history": "snapshots"})
        instance.tables["incident"].clear()
        with pytest.raises(HttpTrouble, match="shows this account nothing in incident"):
            SERVICENOW.check(http, options={"history": "snapshots"})

    def test_names_of_tables_and_users_cannot_widen_a_query(self, instance: desk.Instance) -> None:
        instance.tables["sys_journal_field"].append(
            desk.journal(1, "02 08:59:00", "x^ORactive=true", "hello")
        )
        http, options = asking(instance, since=60, tables="incident, sys_user?x=1")
        pulled(SERVICENOW, http, NOW, options=options)
        asked = [one for one in instance.desk.asked if one.path.endswith("sys_user")]
        assert asked
        assert not any("active" in one.query["sysparm_query"] for one in asked)


UCI = PAYLOADS.parents[1] / "data" / "uci_incident_events_dev.csv.gz"


@pytest.mark.skipif(not UCI.exists(), reason="the real incident log is not here")
def test_rows_of_a_real_log_with_one_number_and_sys_mod_count_are_told_apart() -> None:
    with gzip.open(UCI, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    by_count: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_count[row["number"], row["sys_mod_count"]].append(row)
    twice = [some for some in by_count.values() if len(some) > 1]
    assert twice  # what is looked for is there
    options = {"date_format": "d/M/yyyy HH:mm"}
    for some in twice:
        versions = [
            {
                **row,
                "sys_updated_on": row["sys_updated_at"],
                "sys_updated_by": row["sys_updated_by"],
            }
            for row in some
        ]
        what = SERVICENOW.tell("rows", desk.raw(versions), Context(options=options))
        assert what.remarks == []
        told = {e.key: e for one in what.tickets for e in of_type(one, EventType.SNAPSHOT)}
        differ = {
            tuple(row[n] for n in ("sys_updated_at", "sys_updated_by", "incident_state",
                                   "priority", "assignment_group", "assigned_to", "caller_id",
                                   "category", "subcategory"))
            for row in some
        }  # fmt: skip
        assert len(told) == len(differ)
        # resolved_at and closed_at stand on every row: none of them is an event.
        assert {e.type for one in what.tickets for e in one.events} <= {
            EventType.CREATED, EventType.SNAPSHOT, EventType.OBSERVED,
        }  # fmt: skip


@pytest.mark.skipif(not PAYLOADS.exists(), reason="the shared payloads are not here")
class TestPayloads:
    @pytest.mark.parametrize("name", ["table_api_2", "table_api_3", "table_api_4", "table_api_5"])
    def test_incidents_of_the_documentation_are_read(self, name: str) -> None:
        row = json.loads((PAYLOADS / "docs_examples" / f"{name}.json").read_bytes())["result"]
        [one] = SERVICENOW.tell("rows", desk.raw([row]), Context()).tickets
        assert one.external_id == row["sys_id"]
        [snapshot] = of_type(one, EventType.SNAPSHOT)
        assert snapshot.data["state_said"].startswith(f"incident {row['state']} ")
        assert snapshot.at.strftime("%Y-%m-%d %H:%M:%S") == row["sys_updated_on"]
        created = datetime.fromisoformat(row["sys_created_on"]).replace(tzinfo=UTC)
        assert of_type(one, EventType.CREATED)[0].at == created  # opened_at is a day later

    def test_an_sla_of_the_seeds_that_was_cancelled_is_no_promise(self) -> None:
        with (PAYLOADS / "dbt_seeds" / "task_sla_data.csv").open() as file:
            [seed] = list(csv.DictReader(file))
        sla = desk.row(**{name: str(value or "") for name, value in seed.items() if name})
        assert observed(news(desk.page(a_record(), [], [], [sla])))["promise"] is None
