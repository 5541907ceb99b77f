"""Zammad, GitHub and GitLab: what each hides of replies, waits and reopens, told rightly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.connectors import github, gitlab, zammad
from tests.tickets.connectors.entering import connected, entered
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Context
from tickets.models import (
    Attribution,
    FetchWork,
    Resolution,
    Ticket,
    TicketFlaw,
    WorkItem,
)

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def at(hour: int, minute: int = 0, *, day: int = 2) -> datetime:
    return MONDAY + timedelta(days=day - 2, hours=hour, minutes=minute)


@pytest.fixture
def worker_in_acme(cast: Cast) -> Any:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        yield cast


class TestZammad:
    @pytest.fixture
    def item(self, cast: Cast) -> Any:
        entered(connected(cast, "zammad", zammad.WORDS), zammad.DELIVERIES)
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            yield WorkItem.objects.get(ticket__external_id="1")

    def test_automatic_replies_and_internal_notes_answer_nobody(self, item: WorkItem) -> None:
        assert item.first_response_at == at(8, 10)

    def test_a_holding_text_is_a_reply_that_does_not_help(self, item: WorkItem) -> None:
        assert item.first_reply_meaning == "not_meaningful"
        assert item.first_meaningful_at == at(9)

    def test_the_customers_answer_after_closing_reopens(self, item: WorkItem) -> None:
        first, last = Resolution.objects.filter(work_item=item).order_by("at")
        assert (first.at, first.reopened, first.reopen_at) == (at(9), True, at(13))
        assert (last.at, last.holds) == (at(14), True)

    def test_the_first_article_opens_the_ticket_and_is_no_further_message(
        self, item: WorkItem
    ) -> None:
        assert item.requester_messages == 1
        assert item.opened_at == datetime(2026, 3, 2, 8, 0, 0, 100_000, tzinfo=UTC)

    def test_group_and_first_state_are_what_they_were_at_the_opening(self, item: WorkItem) -> None:
        assert item.capability_id == item.ticket.capability_id is not None
        assert item.reassignments == 1
        assert item.severity == "high"

    def test_the_agent_who_closed_it_is_kept_apart(self, item: WorkItem) -> None:
        acts = Attribution.objects.filter(work_item=item, act="resolved")
        assert set(acts.values_list("agent__external_id", flat=True)) == {"5"}

    def test_what_the_scheduler_closed_is_closed_by_inactivity_and_nobodys_work(
        self, item: WorkItem
    ) -> None:
        forgotten = Resolution.objects.get(ticket__external_id="2")
        assert forgotten.kind == "inactivity"
        assert not Attribution.objects.filter(ticket__external_id="2", act="resolved").exists()

    def test_the_message_with_which_an_agent_opens_answers_nobody(self, item: WorkItem) -> None:
        assert WorkItem.objects.get(ticket__external_id="2").first_response_at is None

    @pytest.mark.parametrize("into", ["merged", "closed"])
    def test_a_merged_ticket_counts_with_the_one_it_was_merged_into(
        self, cast: Cast, into: str
    ) -> None:
        """Closed is the control: merged is a state of its own, whatever it is mapped to."""
        words = {**zammad.WORDS, "states": {**zammad.WORDS["states"], "merged": "closed"}}
        end = zammad.change(192, "05T08:20:00", "state", "pending close", into, zammad.AGENT)
        whole = {
            **zammad.FORGOTTEN,
            "history": {
                **zammad.FORGOTTEN["history"],
                "history": [zammad.FORGOTTEN["history"]["history"][0], end],
            },
        }
        entered(connected(cast, "zammad", words), [("ticket", json.dumps(whole).encode(), {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert Ticket.objects.get().left_out == ("merged" if into == "merged" else "")

    def test_a_webhook_is_a_hint_to_fetch_the_ticket(self) -> None:
        hook = json.dumps({"ticket": {"id": 81, "state": "open"}, "article": {}}).encode()
        assert CONNECTORS["zammad"].tell("hook", hook, Context()).fetch == ["81"]

    def test_a_rebranded_installations_delivery_header_is_found(self) -> None:
        found = CONNECTORS["zammad"].delivery({"x-helpwell-delivery": "d-1"}, b"{}")
        assert found.id == "d-1"


class TestGitHub:
    @pytest.fixture
    def item(self, cast: Cast) -> Any:
        entered(connected(cast, "github", github.WORDS), github.DELIVERIES)
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            yield WorkItem.objects.get()

    def test_neither_passers_by_nor_bots_reply(self, item: WorkItem) -> None:
        assert item.first_response_at == item.first_meaningful_at == at(9)
        assert not TicketFlaw.objects.exists()

    @pytest.mark.parametrize("by_app", [True, False])
    def test_what_a_member_writes_through_an_app_is_the_apps(
        self, cast: Cast, by_app: bool
    ) -> None:
        through = {"performed_via_github_app": {"slug": "helper"}} if by_app else {}
        timeline = [
            {**one, **through} if one.get("id") == 23 else one for one in github.WHOLE["timeline"]
        ]
        raw = json.dumps({**github.WHOLE, "timeline": timeline}).encode()
        entered(connected(cast, "github", github.WORDS), [("issue", raw, {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            found = WorkItem.objects.get().first_response_at
        assert found == (None if by_app else at(9))

    def test_a_deletion_is_told_by_its_own_webhook_and_dated_by_the_issue(self) -> None:
        body = {"action": "deleted", "repository": {"full_name": "acme/app"},
                "issue": github.WHOLE["issue"]}  # fmt: skip
        context = Context(headers={"x-github-event": "issues"})
        [news] = CONNECTORS["github"].tell("hook", json.dumps(body).encode(), context).tickets
        assert [e.type.value for e in news.events] == ["ticket.deleted"]
        assert news.events[0].at.isoformat() == "2026-03-20T10:00:00+00:00"

    def test_a_label_that_is_put_on_before_the_other_is_taken_off_holds(
        self, item: WorkItem
    ) -> None:
        assert item.severity == "high"
        assert item.capability_id is not None

    def test_the_authors_reopen_counts_and_a_stale_bots_close_is_inactivity(
        self, item: WorkItem
    ) -> None:
        first, last = Resolution.objects.order_by("at")
        assert (first.reopened, first.kind, last.kind) == (True, "normal", "inactivity")

    def test_another_closers_word_is_not_guessed(self, cast: Cast) -> None:
        words = {**github.WORDS, "states": {"open": "open"}}
        entered(connected(cast, "github", words), github.DELIVERIES)
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert Ticket.objects.get().state == "open"
            assert set(TicketFlaw.objects.values_list("kind", "detail")) == {
                ("unmapped_state", "closed: completed"),
                ("unmapped_state", "closed: not_planned"),
            }

    def test_a_transfer_is_told_by_its_own_webhook(self) -> None:
        body = {
            "action": "transferred",
            "repository": {"full_name": "acme/app"},
            "issue": github.WHOLE["issue"],
            "changes": {
                "new_issue": {"number": 3},
                "new_repository": {"full_name": "acme/other"},
            },
        }
        context = Context(headers={"x-github-event": "issues"})
        [news] = CONNECTORS["github"].tell("hook", json.dumps(body).encode(), context).tickets
        assert [(e.type.value, e.data) for e in news.events] == [
            ("ticket.merged", {"into": "acme/other#3"})
        ]

    def test_pull_requests_tell_nothing(self) -> None:
        body = {"repository": {"full_name": "a/b"}, "issue": {"number": 1, "pull_request": {}}}
        context = Context(headers={"x-github-event": "issue_comment"})
        told = CONNECTORS["github"].tell("hook", json.dumps(body).encode(), context)
        assert not told.fetch
        assert told.remarks


class TestGitLab:
    @pytest.fixture
    def item(self, cast: Cast) -> Any:
        entered(connected(cast, "gitlab", gitlab.WORDS), gitlab.DELIVERIES)
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            yield WorkItem.objects.get()

    def test_internal_notes_and_project_bots_answer_nobody(self, item: WorkItem) -> None:
        assert item.first_response_at == at(9)

    @pytest.mark.parametrize(
        ("headers", "id_"),
        [
            ({"webhook-id": "w", "idempotency-key": "w", "x-gitlab-event-uuid": "u"}, "w"),
            ({"idempotency-key": "k", "x-gitlab-event-uuid": "u"}, "k"),
            ({"x-gitlab-event-uuid": "u"}, "u"),
            ({}, ""),
        ],
    )
    def test_a_delivery_is_known_by_what_is_the_same_when_it_is_sent_again(
        self, headers: dict[str, str], id_: str
    ) -> None:
        assert CONNECTORS["gitlab"].delivery(headers, b"{}").id == id_

    @pytest.mark.parametrize("how", ["internal", "confidential"])
    def test_a_note_that_the_requester_does_not_see_is_no_reply(self, cast: Cast, how: str) -> None:
        notes = [{**one, how: True} for one in gitlab.WHOLE["notes"]]
        raw = json.dumps({**gitlab.WHOLE, "notes": notes}).encode()
        entered(connected(cast, "gitlab", gitlab.WORDS), [("issue", raw, {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert WorkItem.objects.get().first_response_at is None

    def test_an_issue_that_was_moved_goes_on_elsewhere(self, cast: Cast) -> None:
        raw = json.dumps(
            {**gitlab.WHOLE, "issue": {**gitlab.WHOLE["issue"], "moved_to_id": 99}}
        ).encode()
        entered(connected(cast, "gitlab", gitlab.WORDS), [("issue", raw, {})])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert Ticket.objects.get().left_out == "merged"

    def test_the_support_bot_writes_what_the_customer_mailed(self, item: WorkItem) -> None:
        assert item.requester_messages == 1
        first, _ = Resolution.objects.order_by("at")
        assert (first.reopened, first.reopen_at) == (True, at(9, day=3))
        assert item.requester is not None
        assert item.requester.external_id == "rui@example.org"

    def test_assignments_are_read_from_system_notes(self, item: WorkItem) -> None:
        acts = Attribution.objects.filter(act="resolved")
        assert set(acts.values_list("agent__external_id", flat=True)) == {"agnes"}

    def test_scoped_labels_say_severity_and_category(self, item: WorkItem) -> None:
        assert item.severity == "critical"
        assert item.capability_id is not None

    def test_a_stranger_who_comments_is_a_flaw_until_somebody_says_what_they_are(
        self, cast: Cast
    ) -> None:
        stranger = gitlab.note(9, "02T08:20:00", "guest", "Did you try turning it off and on?")
        whole = {**gitlab.WHOLE, "notes": [stranger, *gitlab.WHOLE["notes"]]}
        entered(
            connected(cast, "gitlab", gitlab.WORDS), [("issue", json.dumps(whole).encode(), {})]
        )
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            assert WorkItem.objects.get().first_response_at == at(9)
            assert TicketFlaw.objects.get().kind == "unknown_actor"

    def test_a_note_is_a_hint_to_fetch_its_issue(self, worker_in_acme: Cast) -> None:
        body = {
            "object_kind": "note", "project": {"path_with_namespace": "acme/app"},
            "object_attributes": {"id": 4}, "issue": {"iid": 23},
        }  # fmt: skip
        raw = json.dumps(body).encode()
        assert CONNECTORS["gitlab"].tell("hook", raw, Context()).fetch == ["acme/app#23"]
        assert not FetchWork.objects.exists()
