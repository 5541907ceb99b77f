"""Dumped records that know less than pages: what is told of them, and what is said instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.tickets.connectors import chatwoot, github, gitlab, jira, servicenow, zammad
from tests.tickets.connectors.recorded import Recorded, tell
from tickets.canonical import ActorKind, Event, EventType
from tickets.connectors import CONNECTORS
from tickets.news import Told


def dumped(key: str, stream: str, *records: Any, options: Mapping[str, Any] | None = None) -> Told:
    """What records of one stream say."""
    told = Told()
    for topic, raw in CONNECTORS[key].dumped(stream, records):
        told.extend(tell(CONNECTORS[key], Recorded(topic, raw), options))
    return told


def paged(key: str, topic: str, body: Any, options: Mapping[str, Any] | None = None) -> Told:
    """What a fetched page says."""
    return tell(CONNECTORS[key], Recorded(topic, body), options)


def events(told: Told, type_: EventType | None = None) -> list[Event]:
    found = [event for news in told.tickets for event in news.events]
    return [event for event in found if type_ is None or event.type is type_]


def remarks(told: Told) -> list[str]:
    return [remark.field for remark in told.remarks]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize("key", ["jira", "servicenow", "zammad", "github", "gitlab"])
def test_one_record_without_what_it_needs_is_named_and_the_others_are_kept(key: str) -> None:
    module = {one.__name__.rpartition(".")[2]: one for one in (
        github, gitlab, jira, servicenow, zammad)}[key]  # fmt: skip
    for stream, records in module.DUMP.items():
        sound = events(dumped(key, stream, *records))
        told = dumped(key, stream, {}, *records, {"id": [], "created_at": 7, "fields": 3})
        assert events(told) == sound, stream
        if stream not in ("sys_user", "users"):
            topic = CONNECTORS[key].streams[stream][0].removeprefix("dumped ")
            assert any(field.startswith((f"{topic} ", f"{topic}.")) for field in remarks(told)), (
                stream
            )


class TestJira:
    def test_an_issue_with_its_whole_changelog_is_told_as_its_page_is(self) -> None:
        for whole in (jira.BUSY, jira.MIGRATED, jira.THANKED):
            told = dumped("jira", "issues", jira.dumped(whole, changelog=True))
            page = paged("jira", "issue", whole)
            assert {e.key for e in events(told)} == {e.key for e in events(page)}
            assert [r.score for r in told.ratings] == [r.score for r in page.ratings]
            assert told.accounts == page.accounts

    def test_a_changelog_that_is_cut_off_is_not_read_backwards(self) -> None:
        cut = jira.dumped(jira.BUSY, changelog=True)
        cut["changelog"]["histories"] = cut["changelog"]["histories"][:3]
        told = dumped("jira", "issues", cut)
        [created] = events(told, EventType.CREATED)
        assert created.data == {}
        assert len(events(told, EventType.STATUS_CHANGED)) == 3
        assert {e.key for e in events(told, EventType.STATUS_CHANGED)} <= {
            e.key for e in events(dumped("jira", "changelogs", *(
                one | {"issueId": "10040"} for one in jira.BUSY_HISTORIES)))
        }  # fmt: skip

    def test_an_issue_alone_stood_resolved_since_its_resolution(self) -> None:
        alone = jira.issue(7, "05T10:00:00", jira.DONE, resolutiondate=jira.stamp("02T09:05:00"))
        alone["fields"]["status"]["statusCategory"] = {"key": "done"}
        stood = [e for e in events(dumped("jira", "issues", alone)) if "state_said" in e.data]
        assert [(e.at, e.data["state_said"]) for e in stood] == [
            (at(2, 9, 5), f"{jira.DONE} · 已完成 (done)")
        ]

    def test_without_the_field_list_request_types_are_known_by_their_shape_and_ratings_not(
        self,
    ) -> None:
        whole = jira.BUSY["issue"]
        told = dumped("jira", "issues", whole)
        assert [e.data["value"] for e in events(told, EventType.OBSERVED)] == ["kept"]
        facets = [e.data["facets"] for e in events(told, EventType.SNAPSHOT) if "facets" in e.data]
        assert facets[0]["request_type"] == "12 · Report a network problem"
        assert not told.ratings
        plain = whole | {"fields": {k: v for k, v in whole["fields"].items()
                                    if not k.startswith("customfield")}}  # fmt: skip
        told = dumped("jira", "issues", plain)
        assert remarks(told) == ["issues.schema"]
        assert not events(told, EventType.OBSERVED), "that there is no SLA is not known"

    def test_a_rule_that_moves_for_the_requester_is_an_app_until_the_comment_is_known(self) -> None:
        moved = jira.BUSY_HISTORIES[1] | {"issueId": "10040"}
        [alone] = events(dumped("jira", "changelogs", moved), EventType.STATUS_CHANGED)
        assert alone.actor_key == "app:1"
        [known] = [
            e
            for e in events(paged("jira", "issue", jira.BUSY))
            if e.data.get("revises") == alone.key
        ]
        assert (known.actor_key, known.at) == ("qm:1", alone.at)

    def test_components_of_a_change_alone_are_said_to_be_unknown(self) -> None:
        change = jira.history(
            9, "02T09:00:00", jira.AGENT, jira.item("components", None, "5", now="Mail")
        )
        told = dumped("jira", "changelogs", change | {"issueId": "7"})
        assert (events(told), remarks(told)) == ([], ["changelogs.components"])

    def test_a_comment_that_names_its_issue_by_key_only_is_refused(self) -> None:
        told = dumped("jira", "issue_comments", jira.BUSY_COMMENTS[0] | {"issueId": "IT-7"})
        assert (events(told), remarks(told)) == ([], ["comments 11: issueId"])


class TestGitHub:
    def test_an_opening_is_told_whole_by_the_issue_alone(self) -> None:
        [opened] = events(dumped("github", "issues", *github.DUMP["issues"]), EventType.CREATED)
        [page] = events(paged("github", "issue", github.WHOLE), EventType.CREATED)
        assert opened == page

    @pytest.mark.parametrize(
        "where",
        [
            {"issue_url": "https://api.github.com/repos/acme/app/issues/12"},
            {"issue_url": "https://ghe.acme.example/api/v3/repos/acme/app/issues/12"},
            {"html_url": "https://github.com/acme/app/issues/12#issuecomment-21"},
            {"org": "acme", "repo": "app", "issue_number": 12},
            {"repository": "acme/app", "issue_number": 12},
        ],
    )
    def test_extractors_name_the_issue_of_a_comment_in_several_ways(self, where: Any) -> None:
        told = dumped("github", "comments", github.WHOLE["timeline"][4] | where)
        assert [news.external_id for news in told.tickets] == ["acme/app#12"]

    def test_a_comment_on_a_pull_request_is_no_message(self) -> None:
        where = {"html_url": "https://github.com/acme/app/pull/12#issuecomment-1"}
        told = dumped("github", "comments", github.WHOLE["timeline"][4] | where)
        assert (events(told), remarks(told)) == ([], [])

    def test_the_last_event_of_each_kind_is_read_where_that_is_what_is_kept(self) -> None:
        kept = {"repository": "acme/app", "issue_number": 12}
        kept |= {entry["event"]: entry for entry in github.WHOLE["timeline"]}
        told = dumped("github", "issue_timeline_events", kept)
        page = {event.key: event for event in events(paged("github", "issue", github.WHOLE))}
        assert {event.type for event in events(told)} >= {
            EventType.STATUS_CHANGED, EventType.MESSAGE, EventType.ASSIGNED,
        }  # fmt: skip
        assert {event.key for event in events(told)} <= page.keys()
        assert remarks(told) == ["events.unlabeled"]

    def test_which_of_several_labels_holds_is_not_guessed(self) -> None:
        two = github.DUMP["issues"][0] | {
            "labels": [{"name": "priority: high"}, {"name": "priority: low"}]
        }
        told = dumped("github", "issues", two)
        assert remarks(told) == ["issues.labels"]
        assert not [e for e in events(told, EventType.SNAPSHOT) if "severity_said" in e.data]

    def test_a_member_is_staff_and_a_bot_stays_one(self) -> None:
        told = dumped("github", "comments", *github.DUMP["comments"])
        assert [(one.external_id, one.role) for one in told.accounts] == [("5", ActorKind.AGENT)]
        kinds = {event.actor_key: event.actor_kind for event in events(told)}
        assert kinds["9"] is ActorKind.BOT
        assert kinds["77"] is kinds["12"] is ActorKind.UNKNOWN


class TestGitLab:
    def test_an_opening_is_told_whole_by_the_issue_alone(self) -> None:
        [opened] = events(dumped("gitlab", "issues", *gitlab.DUMP["issues"]), EventType.CREATED)
        [page] = events(paged("gitlab", "issue", gitlab.WHOLE), EventType.CREATED)
        assert opened == page

    def test_an_author_who_is_only_a_number_is_said(self) -> None:
        bare = gitlab.DUMP["issues"][0] | {"author": None, "author_id": 7}
        told = dumped("gitlab", "issues", bare)
        assert (events(told), remarks(told)) == ([], ["issues 23: author"])

    def test_a_note_without_its_project_is_told_where_only_one_is_chosen(self) -> None:
        note = {k: v for k, v in gitlab.DUMP["notes"][3].items() if k != "project_path"}
        assert remarks(dumped("gitlab", "notes", note)) == ["notes 4: issue_iid"]
        told = dumped("gitlab", "notes", note, options={"projects": "acme/app"})
        assert [news.external_id for news in told.tickets] == ["acme/app#23"]
        two = dumped("gitlab", "notes", note, options={"projects": "acme/app, acme/other"})
        assert remarks(two) == ["notes 4: issue_iid"]

    def test_a_duplicate_is_known_by_its_note_and_takes_the_place_of_what_says_less(self) -> None:
        state = gitlab.DUMP["resource_state_events"][0]
        [alone] = events(dumped("gitlab", "resource_state_events", state))
        assert "resolution" not in alone.data
        note = gitlab.note(9, "02T09:59:00", "agnes", "marked this issue as a duplicate of #1",
                           system=True)  # fmt: skip
        whole = gitlab.WHOLE | {"notes": [*gitlab.WHOLE["notes"], note]}
        moves = events(paged("gitlab", "issue", whole), EventType.STATUS_CHANGED)
        [known] = [event for event in moves if event.data.get("revises") == alone.key]
        assert known.data["resolution"] == "duplicate"

    def test_of_a_label_that_is_taken_off_nothing_is_told(self) -> None:
        off = gitlab.DUMP["resource_label_events"][0] | {"action": "remove"}
        told = dumped("gitlab", "resource_label_events", off)
        assert (events(told), remarks(told)) == ([], ["labels.action"])


class TestZammad:
    def test_a_ticket_with_numbers_instead_of_names_is_refused_with_what_to_do(self) -> None:
        bare = {k: v for k, v in zammad.DUMP["tickets"][0].items() if k not in ("state", "group")}
        told = dumped("zammad", "tickets", bare | {"state_id": 4, "group_id": 1})
        assert events(told) == []
        assert [(r.field, "expand=true" in r.reason) for r in told.remarks] == [
            ("tickets 1: state", True)
        ]

    def test_the_article_that_opens_a_ticket_is_no_message_once_the_ticket_is_known(self) -> None:
        first, *_ = events(dumped("zammad", "ticket_articles", zammad.DUMP["ticket_articles"][0]))
        ticket = events(dumped("zammad", "tickets", zammad.DUMP["tickets"][0]))
        assert first.key in {event.data.get("revises") for event in ticket}
        page = events(paged("zammad", "ticket", zammad.WHOLE), EventType.CREATED)
        assert [event.data["revises"] for event in page] == [first.key]

    def test_a_history_is_read_whole_or_entry_by_entry(self) -> None:
        whole = dumped("zammad", "ticket_history", {
            "history": [one | {"o_id": 1} for one in zammad.WHOLE["history"]["history"]],
            "assets": zammad.WHOLE["history"]["assets"],
        })  # fmt: skip
        apart = dumped("zammad", "ticket_history", *(
            one for one in zammad.DUMP["ticket_history"] if one["o_id"] == 1))  # fmt: skip
        assert events(whole) == events(apart)
        assert {one.external_id for one in whole.accounts} == {"5", "8"}

    def test_of_history_entries_of_other_objects_nothing_is_told(self) -> None:
        other = zammad.DUMP["ticket_history"][1] | {"object": "Ticket::Article"}
        assert events(dumped("zammad", "ticket_history", other)) == []


class TestServiceNow:
    def test_a_page_takes_the_place_of_the_rows_that_told_the_same_with_less(self) -> None:
        rows = events(dumped("servicenow", "sys_audit", *servicenow.DUMP["sys_audit"]))
        rows += events(
            dumped("servicenow", "sys_journal_field", *servicenow.DUMP["sys_journal_field"])
        )
        pages = [
            event
            for whole in (servicenow.BUSY, servicenow.PHANTOM, servicenow.FORGOTTEN)
            for event in events(paged("servicenow", "record", whole))
        ]
        revised = {event.data.get("revises") for event in pages}
        same = {event.key for event in pages}
        assert [event for event in rows if event.key not in revised | same] == []

    def test_the_reason_of_a_hold_is_not_in_the_row_of_its_state(self) -> None:
        told = dumped("servicenow", "sys_audit", *servicenow.DUMP["sys_audit"])
        words = {e.data["said"] for e in events(told, EventType.STATUS_CHANGED)}
        assert "incident 3 · 3" in words
        assert set(remarks(told)) == {
            f"sys_audit.{name}"
            for name in ("incident_state", "hold_reason", "assignment_group", "close_code")
        }

    def test_whoever_wrote_is_known_by_user_name_and_that_is_said_once(self) -> None:
        told = dumped("servicenow", "sys_journal_field", *servicenow.DUMP["sys_journal_field"])
        assert {event.actor_key for event in events(told)} == {None, "beth", "emily", "chatbot"}
        assert remarks(told) == ["sys_journal_field.sys_created_by"]
        bots = dumped("servicenow", "sys_user", *servicenow.DUMP["sys_user"]).accounts
        assert [(one.external_id, one.role) for one in bots] == [
            (servicenow.BOT, ActorKind.BOT), ("chatbot", ActorKind.BOT),
        ]  # fmt: skip

    def test_plain_values_are_read_like_those_with_their_display(self) -> None:
        plain = [
            {name: cell["value"] for name, cell in row.items()}
            for row in servicenow.DUMP["sys_audit"]
        ]
        shown = dumped("servicenow", "sys_audit", *servicenow.DUMP["sys_audit"])
        assert events(dumped("servicenow", "sys_audit", *plain)) == events(shown)


def test_messages_of_chatwoot_are_read_inside_their_conversations() -> None:
    assert set(CONNECTORS["chatwoot"].streams) == {
        "conversations", "agents", "csat_survey_responses",
    }  # fmt: skip
    told = dumped("chatwoot", "conversations", *chatwoot.DUMP["conversations"])
    page = paged("chatwoot", "conversation", chatwoot.whole(
        chatwoot.DONE, *chatwoot.TALK, *chatwoot.LATER))  # fmt: skip
    assert {e.key for e in events(page)} <= {e.key for e in events(told)}
