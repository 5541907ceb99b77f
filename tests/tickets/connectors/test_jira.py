"""Jira Service Management: what it hides of replies, waits and reopens, told rightly."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.tickets.connectors import jira
from tests.tickets.connectors.desk import open_http, pulled
from tests.tickets.connectors.entering import NOW, connected, entered
from tickets import ingest
from tickets.canonical import ActorKind, Event, EventType
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Context, Unusable
from tickets.connectors.http import HttpTrouble
from tickets.lens import Words, look_up
from tickets.models import (
    Attribution,
    Connection,
    Resolution,
    Ticket,
    TicketEvent,
    TicketFlaw,
    ToldRating,
    WorkItem,
)
from tickets.news import TicketNews, Told
from tickets.words import save_version

JIRA = CONNECTORS["jira"]
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
PAYLOADS = (
    Path(__file__).resolve().parents[4] / "shared" / "payloads" / "jira" / "webhooks_mattermost"
)


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 2) -> datetime:
    return MONDAY + timedelta(days=day - 2, hours=hour, minutes=minute, seconds=second)


def told(page: Any, **options: Any) -> Told:
    return JIRA.tell("issue", jira.raw(page), Context(options=options))


def news(page: Any, **options: Any) -> TicketNews:
    [one] = told(page, **options).tickets
    return one


def of_type(one: TicketNews, type_: EventType) -> list[Event]:
    return sorted((e for e in one.events if e.type is type_), key=lambda e: e.order)


def said(one: TicketNews) -> list[str]:
    return [e.data["said"] for e in of_type(one, EventType.STATUS_CHANGED)]


def only(*histories: Any, status: str = jira.SUPPORT, **more: Any) -> Any:
    """A request with these histories and no comments."""
    return jira.page(jira.issue(10050, "06T08:00:00", status, **more), histories, [])


@pytest.fixture
def connection(cast: Cast) -> Connection:
    return connected(cast, "jira", jira.WORDS)


def facts(connection: Connection, number: int = 10040) -> WorkItem:
    return WorkItem.objects.select_related("ticket").get(ticket__external_id=str(number))


@pytest.fixture
def as_worker(connection: Connection) -> Iterator[None]:
    with roles.as_role(roles.WORKER), acting(connection.tenant_id):
        yield


class TestFacts:
    """Deliveries stored, folded by a worker, read as facts."""

    @pytest.fixture(autouse=True)
    def _entered(self, connection: Connection, as_worker: None) -> None:
        entered(connection, jira.DELIVERIES)
        self.connection = connection
        self.item = facts(connection)

    def test_neither_a_rules_comment_nor_an_internal_one_is_a_reply(self) -> None:
        assert self.item.opened_at == at(8) + timedelta(milliseconds=123)
        assert self.item.first_response_at == at(8, 10)

    def test_a_holding_text_is_a_reply_that_does_not_help(self) -> None:
        assert self.item.first_reply_meaning == "not_meaningful"
        assert self.item.first_meaningful_at == at(9)

    def test_waiting_for_the_customer_pauses_until_their_comment_moves_it_back(self) -> None:
        waited = at(8, 50, 2) - at(8, 20)
        reopened = at(13, 0, 2) - at(9, 5)
        assert self.item.paused_s == (waited + reopened).total_seconds()

    def test_a_rule_that_moves_on_the_requesters_comment_moves_for_them(self) -> None:
        first, last = Resolution.objects.filter(work_item=self.item).order_by("at")
        assert (first.at, first.reopened, first.reopen_at) == (at(9, 5), True, at(13, 0, 2))
        assert (last.at, last.holds) == (at(14), True)

    def test_thank_you_that_reopens_by_rule_is_a_courtesy(self) -> None:
        thanked = facts(self.connection, 10042)
        [resolution] = Resolution.objects.filter(work_item=thanked)
        assert (resolution.at, resolution.reopened, resolution.reopen_kind) == (
            at(10),
            False,
            "courtesy",
        )

    def test_a_workflow_migration_reopens_nothing(self) -> None:
        migrated = facts(self.connection, 10041)
        [resolution] = Resolution.objects.filter(work_item=migrated)
        assert (resolution.reopened, resolution.reopen_kind) == (False, "system")
        assert migrated.ended_at == at(10)
        flaws = TicketFlaw.objects.filter(ticket__external_id="10041")
        assert "bulk_change" in set(flaws.values_list("kind", flat=True))

    def test_the_same_move_without_the_workflow_would_be_a_reopen(self) -> None:
        histories = json.loads(json.dumps(jira.MIGRATED["histories"]))
        del histories[0]["items"][0]
        page = jira.page(
            jira.issue(10044, "05T10:00:00", jira.SUPPORT), histories, jira.MIGRATED["comments"]
        )
        entered(self.connection, [("issue", jira.raw(page), {})])
        assert Resolution.objects.get(ticket__external_id="10044").reopened

    def test_severity_is_what_held_and_the_capability_comes_from_the_request_type(
        self, cast: Cast
    ) -> None:
        assert (self.item.severity, self.item.capability_id) == ("high", cast.network.pk)
        created = TicketEvent.objects.get(ticket=self.item.ticket, type="ticket.created")
        assert created.data["severity_said"] == "3 · Medium"

    def test_the_agent_who_resolved_is_kept_apart_and_no_app_is_credited(self) -> None:
        by = Attribution.objects.filter(work_item=self.item)
        assert set(by.values_list("agent__external_id", flat=True)) == {"ag1"}
        assert not TicketFlaw.objects.filter(kind="unknown_actor").exists()

    def test_a_rating_is_told_with_its_date_and_comment_and_sentiment_is_none(self) -> None:
        rating = ToldRating.objects.get()
        assert (rating.score, rating.scale, rating.said_at) == (5, "csat_1_5", at(15))
        assert rating.remark == "Thank you"

    def test_where_jira_holds_no_sla_nothing_counts_as_kept(self) -> None:
        without = set(
            TicketFlaw.objects.filter(kind="no_promise").values_list(
                "ticket__external_id", flat=True
            )
        )
        assert without == {"10041", "10042"}

    def test_an_app_that_a_person_here_calls_an_agent_replies(self) -> None:
        """The control of the rule comment: with the role, the very same comment is a reply."""
        from tickets.models import AccountRole

        with roles.as_role(roles.OWNER), acting(self.connection.tenant_id):
            AccountRole.objects.create(
                tenant_id=self.connection.tenant_id, connection=self.connection,
                external_id="app:1", role="agent", since=at(0), by_hand=True,
            )  # fmt: skip
        ingest.refold(
            tenant_id=self.connection.tenant_id, connection=self.connection,
            external_ids=["10040"], at=NOW,
        )  # fmt: skip
        assert facts(self.connection).first_response_at == at(8, 0, 5)


def _iso(moment: datetime) -> str:
    return moment.isoformat()


def standing(connection: Connection) -> Any:
    """The facts of a connection."""
    items = WorkItem.objects.filter(ticket__connection=connection)
    resolutions = Resolution.objects.filter(ticket__connection=connection)
    return (
        set(
            items.values_list(
                "ticket__external_id", "first_response_at", "first_meaningful_at", "ended_at",
                "paused_s", "severity", "outcome", "requester__external_id",
            )
        ),
        set(resolutions.values_list("ticket__external_id", "at", "reopened", "reopen_kind")),
        set(
            TicketFlaw.objects.filter(ticket__connection=connection).values_list(
                "ticket__external_id", "kind", "detail"
            )
        ),
        set(
            TicketEvent.objects.filter(ticket__connection=connection).values_list(
                "ticket__external_id", "key", "at", "type", "sequence"
            )
        ),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_repetition_of_deliveries_tells_the_same(cast: Cast, seed: int) -> None:
    straight = connected(cast, "jira", jira.WORDS)
    entered(straight, jira.DELIVERIES)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        shuffled = ConnectionFactory(tenant=cast.acme, name="again", kind="jira")
        words = Words.parse(jira.WORDS)
        save_version(connection=shuffled, words=words, by=SYSTEM, at=NOW)
    deliveries = [*jira.DELIVERIES, *jira.DELIVERIES[:2]]
    random.Random(seed).shuffle(deliveries)
    for delivery in deliveries:
        entered(shuffled, [delivery])
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert standing(shuffled) == standing(straight)
        assert len(standing(straight)[0]) == 3


class TestWords:
    def test_histories_are_told_in_the_order_of_their_instants(self) -> None:
        one = news(jira.BUSY)
        words = said(one)
        assert words[0].startswith(jira.CUSTOMER_TURN)
        assert words[-1].startswith(jira.DONE)
        backwards = news({**jira.BUSY, "histories": jira.BUSY_HISTORIES[::-1]})
        assert {e.key: e.order for e in backwards.events} == {e.key: e.order for e in one.events}

    def test_a_status_keeps_its_meaning_when_it_is_renamed_or_translated(self) -> None:
        states = Words.parse(jira.WORDS).states
        assert look_up(states, f"{jira.CUSTOMER_TURN} · Warten auf Kunden (done)") == (
            "waiting_on_requester"
        )
        # The control: another id with the known name is another status.
        assert look_up(states, "20000 · Waiting for customer (in progress)") is None

    def test_a_status_whose_names_meant_two_things_is_not_guessed(self) -> None:
        words = Words.parse({"states": {"7 · Old": "open", "7 · New": "resolved"}}).states
        assert look_up(words, "7 · Old") == "open"
        assert look_up(words, "7 · Newest") is None

    def test_a_number_without_its_name_is_one_of_its_words(self) -> None:
        assert look_up({"7": "open"}, "7 · Open") == "open"
        assert look_up({"7 · Open": "open"}, "7") == "open"
        assert look_up({"7 · Open": "open"}, "70") is None
        assert look_up({"7 · Open": "open", "7 · Done": "resolved"}, "7") is None

    def test_a_renamed_status_is_folded_by_its_id(
        self, connection: Connection, as_worker: None
    ) -> None:
        renamed = item = jira.moved(jira.SUPPORT, jira.DONE)
        item["toString"] = "Fertig"
        page = only(jira.history(1, "02T09:00:00", jira.AGENT, renamed), status=jira.DONE)
        entered(connection, [("issue", jira.raw(page), {})])
        assert Ticket.objects.get().state == "resolved"
        assert not TicketFlaw.objects.filter(kind="unmapped_state").exists()

    def test_a_status_nobody_mapped_is_a_flaw_and_changes_nothing(
        self, connection: Connection, as_worker: None
    ) -> None:
        item = jira.item("status", jira.SUPPORT, "999", was="Waiting for support", now="On ice")
        page = only(jira.history(1, "02T09:00:00", jira.AGENT, item))
        entered(connection, [("issue", jira.raw(page), {})])
        assert Ticket.objects.get().state == "open"
        assert TicketFlaw.objects.get(kind="unmapped_state").detail == "999 · On ice"

    def test_the_mapping_of_a_status_outweighs_what_jira_files_it_under(
        self, cast: Cast, connection: Connection, as_worker: None
    ) -> None:
        entered(connection, jira.DELIVERIES[:1])
        assert facts(connection).outcome == "resolved"  # though 已完成 is filed under "new"
        with roles.as_role(roles.OWNER):
            words = {**jira.WORDS, "states": {**jira.WORDS["states"]}}
            words["states"][f"{jira.DONE} · 已完成 (to do)"] = "waiting_on_third_party"
            save_version(connection=connection, words=Words.parse(words), by=SYSTEM, at=NOW)
        ingest.sweep_refolds(NOW)
        assert facts(connection).outcome == "open"

    @pytest.mark.parametrize(
        ("word", "meaning", "sure"),
        [
            ("10235 · Waiting for customer (in progress)", "waiting_on_requester", True),
            ("10002 · 已完成 (done)", "resolved", True),
            ("10002 · 已完成 (to do)", "resolved", False),
            ("10011 · 已解决 (in progress)", "resolved", False),
            ("777 · Quux (done)", "resolved", False),
            ("777 · Quux (to do)", "new", False),
        ],
    )
    def test_the_category_is_a_weak_hint_and_never_outweighs_the_name(
        self, word: str, meaning: str, sure: bool
    ) -> None:
        guess = JIRA.guess_state(word)
        assert guess is not None
        assert (guess.meaning, guess.confidence > 0.5) == (meaning, sure)

    def test_a_name_that_says_nothing_under_no_category_is_not_guessed(self) -> None:
        assert JIRA.guess_state("777 · Quux") is None

    def test_priorities_are_guessed_by_name_and_a_hidden_one_hardly(self) -> None:
        high, none = JIRA.guess_severity("2 · High"), JIRA.guess_severity("none")
        assert high is not None
        assert none is not None
        assert (high.meaning, none.meaning) == ("high", "medium")
        assert (high.confidence > 0.9, none.confidence < 0.5) == (True, True)

    def test_a_request_without_priority_says_so_for_mapping(self) -> None:
        [created] = of_type(news(only(priority=None)), EventType.CREATED)
        assert created.data["severity_said"] == "none"

    def test_a_custom_severity_field_is_read_instead_of_the_priority(self) -> None:
        page = only(
            jira.history(
                1, "02T09:00:00", jira.AGENT,
                {**jira.item("customfield_10", "31", "32", was="Minor", now="Major")},
            ),
            customfield_10={"id": "32", "value": "Major"},
        )  # fmt: skip
        one = news(page, severity_field="customfield_10")
        assert of_type(one, EventType.CREATED)[0].data["severity_said"] == "31 · Minor"
        assert [e.data for e in of_type(one, EventType.PRIORITY_CHANGED)] == [
            {"said": "32 · Major"}
        ]


class TestChangelog:
    def test_a_resolution_without_a_change_of_status_moves_nothing_by_itself(self) -> None:
        page = only(
            jira.history(1, "02T09:00:00", jira.AGENT, jira.SOLVED),
            jira.history(2, "02T10:00:00", jira.AGENT, jira.CLEARED),
        )
        assert said(news(page)) == []
        assert said(news(page, resolution_moves="yes")) == ["resolution set", "resolution cleared"]

    def test_a_resolution_beside_a_change_of_status_is_the_same_move(self) -> None:
        page = only(
            jira.history(1, "02T09:00:00", jira.AGENT, jira.SOLVED,
                         jira.moved(jira.SUPPORT, jira.DONE)),
            status=jira.DONE,
        )  # fmt: skip
        assert len(said(news(page, resolution_moves="yes"))) == 1

    def test_resolutions_that_mean_nobody_answered_or_a_duplicate_are_of_that_kind(self) -> None:
        def kind(name: str, **options: Any) -> str | None:
            resolution = jira.item("resolution", None, "10005", now=name)
            moved = jira.moved(jira.SUPPORT, jira.DONE)
            page = only(
                jira.history(1, "02T09:00:00", jira.RULE, resolution, moved), status=jira.DONE
            )
            [event] = of_type(news(page, **options), EventType.STATUS_CHANGED)
            return event.data.get("resolution")

        assert kind("Duplicate") == "duplicate"
        assert kind("No reply", inactivity_resolutions="No reply, Expired") == "inactivity"
        assert kind("No reply") is None

    def test_a_request_that_moved_to_another_project_stays_the_same_ticket(self) -> None:
        moved = jira.history(
            5, "02T09:00:00", jira.AGENT,
            jira.item("Key", "", "", was="IT-10050", now="HR-3"),
            jira.item("project", "10001", "10002", was="IT help", now="HR"),
        )  # fmt: skip
        page = only(moved, project={"id": "10002", "key": "HR", "name": "HR"})
        page["issue"]["key"] = "HR-3"
        one = news(page)
        assert one.external_id == "10050"
        assert of_type(one, EventType.CREATED)[0].data["facets"]["project"] == "10001 · IT help"
        assert {"facets": {"project": "10002 · HR"}} in [
            e.data for e in of_type(one, EventType.CATEGORY_CHANGED)
        ]

    def test_custom_fields_are_known_by_what_they_are_whatever_their_number_and_name(self) -> None:
        page = json.loads(json.dumps(jira.BUSY).replace("customfield_10205", "customfield_4"))
        for entry in page["fields"]:
            entry["name"] = "?"
        assert [one.score for one in told(page).ratings] == [5]

    def test_team_components_and_labels_are_read_backwards_to_the_opening(self) -> None:
        page = only(
            jira.history(
                1, "02T09:00:00", jira.AGENT,
                jira.item("components", None, "2", now="VPN"),
                jira.item("components", "1", None, was="Wi-Fi"),
                jira.item("labels", None, None, was="b", now="b a"),
                jira.item(jira.TEAM, "t1", "t2", was="First level", now="Network"),
            ),
            components=[{"id": "2", "name": "VPN"}], labels=["a", "b"],
            **{jira.TEAM: {"id": "t2", "name": "Network"}},
        )  # fmt: skip
        one = news(page)
        [created] = of_type(one, EventType.CREATED)
        facets = created.data["facets"]
        assert (facets["component"], facets["label"]) == ("1 · Wi-Fi", "b")
        assert (facets["team"], created.data["group"]) == ("t1 · First level", "First level")
        assert [e.data["to"] for e in of_type(one, EventType.GROUP_CHANGED)] == ["Network"]
        last = of_type(one, EventType.CATEGORY_CHANGED)
        assert {"component": "2 · VPN"} in [e.data["facets"] for e in last]

    def test_a_corrected_reporter_is_the_requester(
        self, connection: Connection, as_worker: None
    ) -> None:
        page = only(
            jira.history(1, "02T09:00:00", jira.AGENT,
                         jira.item("reporter", "ag1", "qm:1", was="Emma", now="Emily")),
            creator=jira.AGENT,
        )  # fmt: skip
        entered(connection, [("issue", jira.raw(page), {})])
        requester = WorkItem.objects.get().requester
        assert requester is not None
        assert requester.external_id == "qm:1"

    def test_a_follow_up_is_joined_by_the_links_that_say_so(self) -> None:
        link = {"type": {"name": "Follows up"}, "outwardIssue": {"id": "10001", "key": "IT-1"}}
        page = only(issuelinks=[link])
        [event] = of_type(news(page, followup_links="Follows up"), EventType.FOLLOWUP_OF)
        assert event.data == {"parent": "10001"}
        assert not of_type(news(page), EventType.FOLLOWUP_OF)

    @pytest.mark.parametrize(
        ("links", "data"),
        [
            ([("inwardIssue", "Problem", "IT-7")], {"to": "IT-7", "kind": "problem"}),
            ([("inwardIssue", "Bug", "DEV-3")], {"to": "DEV-3", "kind": "defect"}),
            (
                [("outwardIssue", "Bug", "DEV-3"), ("inwardIssue", "[System] Problem", "IT-7")],
                {"to": "IT-7", "kind": "problem"},
            ),
            ([("outwardIssue", "Story", "IT-8")], {"to": "IT-8", "kind": "duplicate"}),
            ([("inwardIssue", "Story", "IT-8")], {"to": "IT-10050", "kind": "duplicate"}),
        ],
    )
    def test_links_say_what_it_shares_with_others(
        self, links: list[tuple[str, str, str]], data: dict[str, str]
    ) -> None:
        told = [
            {
                "type": {"name": "Duplicate"},
                end: {"id": "1", "key": key, "fields": {"issuetype": {"name": kind}}},
            }
            for end, kind, key in links
        ]
        [event] = of_type(news(only(issuelinks=told)), EventType.PROBLEM_LINKED)
        assert (event.data, event.at) == (data, at(8, day=6))

    def test_a_link_of_another_kind_says_nothing_and_one_taken_away_says_none(self) -> None:
        other = {
            "type": {"name": "Relates"},
            "outwardIssue": {"id": "1", "key": "IT-8", "fields": {"issuetype": {"name": "Story"}}},
        }
        assert not of_type(news(only(issuelinks=[other])), EventType.PROBLEM_LINKED)
        unlinked = {"field": "Link", "from": "IT-7", "fromString": "is caused by IT-7", "to": None}
        gone = jira.history(5, "03T08:00:00", jira.AGENT, unlinked)
        [event] = of_type(news(only(gone)), EventType.PROBLEM_LINKED)
        assert event.data == {"to": ""}


class TestComments:
    def test_what_an_app_writes_is_told_under_its_account_and_the_account_is_a_bot(self) -> None:
        what = told(jira.BUSY)
        kinds = {one.external_id: one.role for one in what.accounts}
        assert kinds["app:1"] is ActorKind.BOT
        assert (kinds["ag1"], kinds["qm:1"]) == (ActorKind.AGENT, ActorKind.REQUESTER)

    def test_an_agent_who_asks_for_themselves_replies_to_nobody(
        self, connection: Connection, as_worker: None
    ) -> None:
        page = jira.page(
            jira.issue(10050, "03T00:00:00", jira.SUPPORT, reporter=jira.OTHER, creator=jira.OTHER),
            [],
            [
                jira.comment(1, "02T09:00:00", jira.OTHER, jira.HELP),
                jira.comment(2, "02T10:00:00", jira.AGENT, jira.HELP),
            ],
        )
        entered(connection, [("issue", jira.raw(page), {})])
        assert facts(connection, 10050).first_response_at == at(10)

    def test_words_of_an_edited_comment_are_not_those_of_its_first_moment(self) -> None:
        def meaning(**edited: Any) -> str:
            page = only()
            page["comments"] = [jira.comment(1, "02T09:00:00", jira.AGENT, jira.HELP, **edited)]
            [message] = of_type(news(page), EventType.MESSAGE)
            return str(message.data["meaning"])

        assert meaning() == "meaningful"
        assert meaning(updated=jira.stamp("02T09:03:00")) == "meaningful"
        assert meaning(updated=jira.stamp("04T09:00:00")) == "unknown"

    def test_a_comment_kept_to_a_role_is_not_public(self) -> None:
        page = only()
        page["comments"] = [
            jira.comment(1, "02T09:00:00", jira.AGENT, jira.HELP,
                         visibility={"type": "role", "value": "Administrators"})
        ]  # fmt: skip
        [message] = of_type(news(page), EventType.MESSAGE)
        assert not message.public

    def test_data_center_says_in_a_property_which_comments_are_internal(self) -> None:
        def public(properties: Any) -> tuple[bool, int]:
            page = only()
            one = jira.comment(1, "02T09:00:00", jira.AGENT, jira.HELP)
            del one["jsdPublic"]
            page["comments"] = [one | ({} if properties is None else {"properties": properties})]
            what = told(page)
            [message] = of_type(what.tickets[0], EventType.MESSAGE)
            return message.public, len(what.remarks)

        assert public([{"key": "sd.public.comment", "value": {"internal": True}}]) == (False, 0)
        assert public([{"key": "sd.public.comment", "value": {"internal": False}}]) == (True, 0)
        assert public([]) == (True, 0)
        assert public(None) == (False, 1)  # not said: counted as internal, and remarked

    def test_links_and_attachments_of_a_document_tree_count_as_help(self) -> None:
        def meaning(*content: Any) -> str:
            page = only()
            body = {"type": "doc", "content": [{"type": "paragraph", "content": list(content)}]}
            page["comments"] = [jira.comment(1, "02T09:00:00", jira.AGENT, "", body=body)]
            [message] = of_type(news(page), EventType.MESSAGE)
            return str(message.data["meaning"])

        text = {"type": "text", "text": "See"}
        assert meaning(text) == "not_meaningful"
        assert meaning(text, {"type": "media", "attrs": {"id": "1"}}) == "meaningful"
        assert meaning(text, {"type": "inlineCard", "attrs": {"url": "https://kb/1"}}) == (
            "meaningful"
        )
        linked = {**text, "marks": [{"type": "link", "attrs": {"href": "https://kb/1"}}]}
        assert meaning(linked) == "meaningful"


class TestDataCenter:
    OPTIONS = {"deployment": "data_center", "agent_groups": "jira-servicedesk-users"}
    AGENTS = {
        "joined": [{"account": "ag1", "name": "Emma"}], "left": [], "first": True,
        "read_at": "2026-04-01T00:00:00+00:00",
    }  # fmt: skip

    def test_the_groups_of_agents_say_whose_comments_are_replies(self, cast: Cast) -> None:
        connection = connected(cast, "jira", jira.WORDS, options=self.OPTIONS)
        page = jira.on_premises(jira.BUSY)
        entered(connection, [("issue", jira.raw(page), {}), ("agents", jira.raw(self.AGENTS), {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            item = facts(connection)
            assert (item.first_response_at, item.first_meaningful_at) == (at(8, 10), at(9))
            assert (item.severity, item.ended_at) == ("high", at(14))
            assert not TicketFlaw.objects.exclude(kind="no_promise").exists()

    def test_without_the_groups_nobody_is_guessed_to_be_an_agent(self, cast: Cast) -> None:
        options = {"deployment": "data_center"}
        connection = connected(cast, "jira", jira.WORDS, options=options)
        entered(connection, [("issue", jira.raw(jira.on_premises(jira.BUSY)), {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert facts(connection).first_response_at is None
            assert TicketFlaw.objects.filter(kind="unknown_actor").exists()

    def test_attachments_of_wiki_text_count_as_help(self) -> None:
        def meaning(text: str) -> str:
            page = jira.on_premises(only())
            page["comments"] = [
                {"id": "1", "created": jira.stamp("02T09:00:00"), "author": {"key": "ag1"},
                 "body": text, "properties": []}
            ]  # fmt: skip
            [message] = of_type(news(page), EventType.MESSAGE)
            return str(message.data["meaning"])

        assert meaning("See this!") == "not_meaningful"
        assert meaning("See !steps.png|thumbnail!") == "meaningful"
        assert meaning("See [^steps.pdf]") == "meaningful"


class TestPromises:
    def test_a_first_response_clock_that_stops_on_a_status_is_no_reply(
        self, connection: Connection, as_worker: None
    ) -> None:
        page = only(
            jira.history(1, "02T08:20:00", jira.AGENT,
                         jira.moved(jira.SUPPORT, jira.CUSTOMER_TURN)),
            status=jira.CUSTOMER_TURN, **{jira.FIRST_SLA: jira.sla("02T08:20:00")},
        )  # fmt: skip
        entered(connection, [("issue", jira.raw(page), {})])
        assert facts(connection, 10050).first_response_at is None
        assert (
            facts(connection, 10050).paused_since is None
        )  # nobody was told: no pause is accepted

    @pytest.mark.parametrize(
        ("fields", "value"),
        [
            ({}, None),
            ({jira.FIRST_SLA: None}, None),
            ({jira.FIRST_SLA: {"name": "any", "completedCycles": []}}, None),
            ({jira.FIRST_SLA: jira.sla("02T09:00:00")}, "kept"),
            ({jira.FIRST_SLA: jira.sla("02T13:00:00", breached=True)}, "missed"),
            (
                {
                    jira.FIRST_SLA: jira.sla("02T09:00:00"),
                    jira.END_SLA: {"completedCycles": [], "ongoingCycle": {"breached": False}},
                },
                "running",
            ),
        ],
    )
    def test_an_sla_that_is_absent_is_neither_kept_nor_missed(
        self, fields: dict[str, Any], value: str | None
    ) -> None:
        [observed] = of_type(news(only(**fields)), EventType.OBSERVED)
        assert observed.data == {"name": "promise", "value": value}


class TestRatings:
    def test_sentiment_made_by_a_machine_is_no_rating(self) -> None:
        fields = [{"id": jira.SENTIMENT, "name": "Satisfaction",
                   "custom": "com.atlassian.servicedesk.sentiment:sd-sentiment"}]  # fmt: skip
        page = only(**{jira.SENTIMENT: {"rating": 5}, jira.RATED_AT: jira.stamp("02T15:00:00")})
        assert told({**page, "fields": fields}).ratings == []

    def test_a_rating_without_its_date_or_scale_is_left_out_and_remarked(self) -> None:
        undated = told(only(**{jira.RATED: {"rating": 4}}))
        odd = told(only(**{jira.RATED: {"rating": 9}, jira.RATED_AT: jira.stamp("02T15:00:00")}))
        for what in (undated, odd):
            assert what.ratings == []
            assert [one.field for one in what.remarks] == ["feedback"]

    def test_a_request_that_nobody_rated_has_no_rating(self) -> None:
        assert told(only(**{jira.RATED: None})).ratings == []
        assert told(only(**{jira.RATED: {}})).ratings == []


class TestHooks:
    def test_issue_generic_is_fetched_like_every_other_event(self) -> None:
        assert JIRA.tell("hook", jira.raw(jira.HOOK), Context()).fetch == ["10040"]

    def test_a_deletion_is_told_by_its_webhook_for_nothing_is_left_to_fetch(
        self, connection: Connection, as_worker: None
    ) -> None:
        body = {**jira.HOOK, "webhookEvent": "jira:issue_deleted"}
        entered(connection, [jira.DELIVERIES[0], ("hook", jira.raw(body), {})])
        assert Ticket.objects.get().left_out == "deleted"
        assert not WorkItem.objects.exists()
        with pytest.raises(Unusable, match="when the issue was deleted"):
            JIRA.tell("hook", jira.raw({**body, "timestamp": None}), Context())

    def test_what_is_sent_again_keeps_its_identifier(self) -> None:
        headers = {"x-atlassian-webhook-identifier": "w-1", "x-atlassian-webhook-retry": "1"}
        found = JIRA.delivery(headers, b"{}")
        assert (found.id, found.topic) == ("w-1", "hook")
        assert JIRA.delivery({}, b"{}").id == ""

    def test_a_webhook_of_no_issue_and_one_that_is_no_json_are_said(self) -> None:
        assert JIRA.tell("hook", b'{"user": {}}', Context()).remarks
        for body in (b"<html>", b"[]"):
            with pytest.raises(Unusable, match=r"no JSON|no object"):
                JIRA.tell("hook", body, Context())

    @pytest.mark.skipif(not PAYLOADS.exists(), reason="the shared payloads are not here")
    @pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
    def test_recorded_webhooks_of_cloud_and_server_name_their_issue(self, path: Path) -> None:
        body = json.loads(path.read_bytes())
        what = JIRA.tell("hook", path.read_bytes(), Context())
        assert what.fetch == [body["issue"]["id"]]
        assert (what.tickets, what.remarks) == ([], [])

    @pytest.mark.skipif(not PAYLOADS.exists(), reason="the shared payloads are not here")
    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("webhook-server-issue-updated-resolved", ["5 · Resolved"]),
            ("webhook-server-issue-updated-reopened", ["4 · Reopened"]),
            ("webhook-issue-updated-resolved", ["10002 · Done"]),
            ("webhook-issue-updated-resolved-one-changelog", []),
        ],
    )
    def test_recorded_issues_and_changelogs_of_both_deployments_are_read(
        self, name: str, words: list[str]
    ) -> None:
        body = json.loads((PAYLOADS / f"{name}.json").read_bytes())
        created = datetime.fromtimestamp(body["timestamp"] / 1000, UTC).isoformat()
        fields = {"updated": created, **body["issue"]["fields"]}
        page = {
            "issue": {**body["issue"], "fields": fields},
            "histories": [{**body["changelog"], "author": body["user"], "created": created}],
        }
        one = news(page)
        assert said(one) == words
        assert of_type(one, EventType.CREATED)[0].data["severity_said"] != "none"


@pytest.fixture(params=[False, True], ids=["cloud", "data_center"])
def site(request: pytest.FixtureRequest) -> jira.Site:
    return jira.Site(jira.BUSY, jira.MIGRATED, jira.THANKED, on_premises=request.param)


def options_of(site: jira.Site, **more: Any) -> dict[str, Any]:
    return {"deployment": "data_center" if site.on_premises else "cloud", **more}


def asking(site: jira.Site, **more: Any) -> Any:
    options = options_of(site, **more)
    return open_http(JIRA, site.desk, secrets={"token": "t"}, options=options), options


class TestPulling:
    def test_the_whole_changelog_is_read_although_a_page_of_it_is_short(
        self, site: jira.Site
    ) -> None:
        http, options = asking(site)
        pages, _ = pulled(JIRA, http, NOW, options={**options, "since": 60})
        by_id = {json.loads(page.raw)["issue"]["id"]: json.loads(page.raw) for page in pages}
        assert sorted(by_id) == ["10040", "10041", "10042"]
        assert len(by_id["10040"]["histories"]) == len(jira.BUSY_HISTORIES) > site.size
        assert len(by_id["10040"]["comments"]) == len(jira.BUSY_COMMENTS)
        assert by_id["10040"]["feedback"]["comment"] == {"body": "Thank you"}
        assert said(news(by_id["10040"])) == said(news(jira.BUSY))

    def test_the_next_pull_goes_back_whole_minutes_behind_the_last(self, site: jira.Site) -> None:
        http, options = asking(site)
        _, cursor = pulled(JIRA, http, NOW, options={**options, "since": 60})
        assert cursor["issues"]["updated"] == _iso(at(10, day=5))
        again, _ = pulled(JIRA, http, NOW, cursor=cursor, options=options)
        assert [json.loads(page.raw)["issue"]["id"] for page in again] == ["10041"]
        jql = [one.query["jql"] for one in site.desk.asked if "jql" in one.query][-1]
        assert 'updated >= "2026-03-05 10:55"' in jql  # five minutes earlier, in Berlin

    @pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
    def test_nothing_is_missed_wherever_the_account_lives(self, site: jira.Site, zone: str) -> None:
        site.zone = zone
        http, options = asking(site)
        cursor = {"issues": {"updated": _iso(at(12, 5))}}
        pages, _ = pulled(JIRA, http, NOW, cursor=cursor, options=options)
        assert [json.loads(page.raw)["issue"]["id"] for page in pages] == [
            "10042", "10040", "10041",
        ]  # fmt: skip

    def test_in_the_hour_that_happens_twice_too_much_is_read_never_too_little(
        self, site: jira.Site
    ) -> None:
        http, options = asking(site)
        midnight = datetime(2026, 10, 25, tzinfo=UTC)  # 02:00 in Berlin, and so is an hour later
        for minutes in range(-60, 180, 10):
            mark = midnight + timedelta(minutes=minutes)
            pulled(JIRA, http, NOW, cursor={"issues": {"updated": _iso(mark)}}, options=options)
            jql = next(one.query["jql"] for one in site.desk.asked[::-1] if "jql" in one.query)
            said = datetime.strptime(jql.split('"')[-2], "%Y-%m-%d %H:%M")
            for fold in (0, 1):  # whichever of the two Jira takes it for
                there = said.replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
                assert there.astimezone(UTC) <= mark - timedelta(minutes=5)

    def test_a_pull_that_is_stopped_goes_on_from_its_last_page(self, site: jira.Site) -> None:
        http, options = asking(site)
        everything, _ = pulled(JIRA, http, NOW, options={**options, "since": 60})
        for stop in (1, 2):
            some, cursor = pulled(
                JIRA, http, NOW, options={**options, "since": 60}, stop_after=stop
            )
            rest, _ = pulled(JIRA, http, NOW, cursor=cursor, options=options)
            assert {page.raw for page in some + rest} == {page.raw for page in everything}

    def test_what_changes_while_pages_are_read_pulls_nothing_across_their_edge(self) -> None:
        pages = [
            jira.page(jira.issue(number, f"02T08:{number % 100:02}:00", jira.SUPPORT), [], [])
            for number in range(10001, 10007)
        ]
        site = jira.Site(*pages, on_premises=True, size=3)

        def touched() -> None:
            for number in ("10001", "10002"):
                site.pages[number]["issue"]["fields"]["updated"] = jira.stamp("04T00:00:00")

        site.meanwhile = [touched]
        http, options = asking(site)
        found, _ = pulled(JIRA, http, NOW, options={**options, "since": 60})
        assert {json.loads(page.raw)["issue"]["id"] for page in found} == set(site.pages)

    def test_a_changelog_that_data_center_holds_back_is_trouble_not_a_short_story(self) -> None:
        site = jira.Site(jira.BUSY, on_premises=True)

        def cut(_: Any) -> Any:
            return {"id": "10040", "changelog": {"total": 50, "histories": []}}

        site.desk.routes.insert(0, (jira.re.compile(r"/rest/api/2/issue/\d+"), cut))
        http, options = asking(site)
        with pytest.raises(HttpTrouble, match="holds back a part of the changelog"):
            pulled(JIRA, http, NOW, options={**options, "since": 60})

    def test_a_hint_fetches_the_request_as_a_pull_would(self, site: jira.Site) -> None:
        http, options = asking(site)
        everything, _ = pulled(JIRA, http, NOW, options={**options, "since": 60})
        [page] = JIRA.fetch(http, "10040", options=options)
        assert page.raw in {one.raw for one in everything}

    def test_a_request_that_is_gone_is_remarked_and_stops_nothing(self, site: jira.Site) -> None:
        http, options = asking(site)
        [page] = JIRA.fetch(http, "999", options=options)
        what = JIRA.tell(page.topic, page.raw, Context())
        assert (what.tickets, [one.field for one in what.remarks]) == ([], ["issue"])

    def test_agents_known_by_group_are_agents_and_colleagues_are_not(self, site: jira.Site) -> None:
        site.members = [jira.AGENT]
        http, options = asking(site, agent_groups="service-desk team")
        pages, cursor = pulled(JIRA, http, NOW, options=options)
        [agents] = [page for page in pages if page.topic == "agents"]
        [joined] = JIRA.tell("agents", agents.raw, Context()).accounts
        assert (joined.external_id, joined.role) == ("ag1", ActorKind.AGENT)
        others = {one.external_id: one for one in told(jira.BUSY, **options).accounts}
        assert others["ag1"].role is ActorKind.REQUESTER
        assert others["ag1"].since < joined.since  # the group outweighs
        again, _ = pulled(JIRA, http, NOW, cursor=cursor, options=options)
        assert not [page for page in again if page.topic == "agents"]

    def test_an_agent_who_leaves_the_group_was_one_until_then(self, site: jira.Site) -> None:
        site.members = [jira.AGENT, jira.OTHER]
        http, options = asking(site, agent_groups="service-desk team")
        _, cursor = pulled(JIRA, http, at(0, day=10), options=options)
        site.members = [jira.OTHER]
        pages, _ = pulled(JIRA, http, at(0, day=11), cursor=cursor, options=options)
        [left] = JIRA.tell("agents", pages[0].raw, Context()).accounts
        assert (left.external_id, left.role, left.since) == (
            "ag1", ActorKind.REQUESTER, at(0, day=11),
        )  # fmt: skip

    def test_a_check_says_who_answers_and_that_requests_can_be_read(self, site: jira.Site) -> None:
        http, options = asking(site)
        assert JIRA.check(http, options=options).startswith("Jira answers as Reader")
        site.pages.clear()
        with pytest.raises(HttpTrouble, match="Browse Projects"):
            JIRA.check(http, options=options)

    def test_only_service_projects_are_read_or_those_that_are_named(self, site: jira.Site) -> None:
        http, options = asking(site, projects='IT, HR, x" OR key = "A')
        pulled(JIRA, http, NOW, options=options)
        jql = [one.query["jql"] for one in site.desk.asked if "jql" in one.query]
        assert jql[-1].startswith('project in ("IT", "HR") AND')
        pulled(JIRA, http, NOW, options=options_of(site))
        jql = [one.query["jql"] for one in site.desk.asked if "jql" in one.query]
        assert jql[-1].startswith('projectType = "service_desk" AND')

    def test_cloud_signs_in_with_the_accounts_e_mail_and_data_center_with_a_token(self) -> None:
        site = jira.Site(jira.BUSY)
        JIRA.check(open_http(JIRA, site.desk, secrets={"token": "t"}), options={})
        assert site.desk.asked[-1].headers["authorization"] == "Bearer t"
        http = open_http(JIRA, site.desk, secrets={"token": "t"}, options={"email": "a@b.example"})
        JIRA.check(http, options={})
        assert site.desk.asked[-1].headers["authorization"].startswith("Basic ")
