"""Chatwoot: what conversations, messages and survey answers mean, trap by trap (INGEST.md 1)."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.factories import Cast
from tests.tickets.connectors import chatwoot as c
from tests.tickets.connectors.chatwoot import (
    AGNES,
    ARJUN,
    HELP,
    RUI,
    answered,
    asks,
    conversation,
    hook,
    message,
    survey,
    unix,
    whole,
)
from tests.tickets.connectors.desk import Reply, open_http, pulled
from tests.tickets.connectors.recorded import (
    NOW,
    Recorded,
    connect,
    enter,
    item_of,
    reading,
    resolutions_of,
    tell,
)
from tickets.canonical import ActorKind, EventType
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Unusable
from tickets.connectors.http import HttpTrouble
from tickets.models import Connection, FetchWork, Ticket, ToldRating
from tickets.news import Told

CHATWOOT = CONNECTORS["chatwoot"]
PAYLOADS = Path(__file__).resolve().parents[4] / "shared" / "payloads" / "chatwoot"


def at(clock: str, day: int = 2) -> datetime:
    return datetime.fromtimestamp(unix(clock, day), UTC)


def told(topic: str, body: Any, options: Any = None, received_at: datetime = NOW) -> Told:
    return tell(CHATWOOT, Recorded(topic, body, received_at), options or c.OPTIONS)


@pytest.fixture
def live(cast: Cast) -> Connection:
    return connect(cast, CHATWOOT, c.WORDS, c.OPTIONS, "chatwoot")


def seen(cast: Cast, live: Connection, row: Any, *messages: Any) -> None:
    enter(cast, live, [Recorded("conversation", whole(row, *messages))])


def hooked(cast: Cast, live: Connection, *bodies: Any) -> None:
    enter(cast, live, [Recorded("hook", body) for body in bodies])


# --- numbers, instants, accounts ------------------------------------------------------------------


def test_seconds_since_1970_are_read_as_instants() -> None:
    (news, *_) = told("conversation", whole(c.TAKEN)).tickets
    (created,) = (event for event in news.events if event.type is EventType.CREATED)
    assert created.at == at("08:00:00")


def test_a_conversations_number_counts_within_its_account() -> None:
    assert told("hook", hook("conversation_updated", c.TAKEN)).tickets[0].external_id == "11"
    with pytest.raises(Unusable, match="account 2 is not ours"):
        told("hook", hook("conversation_updated", c.TAKEN, account=2))


def test_a_contact_and_a_user_of_one_number_are_two(cast: Cast, live: Connection) -> None:
    assert RUI == AGNES
    seen(cast, live, c.TAKEN, *c.TALK[:9])
    item = item_of(cast, live, "11")
    assert item.first_response_at == at("08:10:00")
    assert item.requester_messages == 1


# --- what is a reply ------------------------------------------------------------------------------


def test_rules_campaigns_bots_notes_and_templates_are_not_the_help_that_came_later(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, c.TAKEN, *c.TALK)
    item = item_of(cast, live, "11")
    assert item.first_response_at == at("08:10:00")
    assert item.first_meaningful_at == at("09:00:00")  # not the holding text of 08:10


@pytest.mark.parametrize(
    ("hidden", "kind"),
    [
        ({"private": True}, ActorKind.AGENT),
        ({"content_attributes": {"automation_rule_id": 7}}, ActorKind.AUTOMATION),
        ({"additional_attributes": {"campaign_id": 9}}, ActorKind.AUTOMATION),
        ({"sender": {"id": 1, "type": "agent_bot"}}, ActorKind.BOT),
        ({"sender": None}, ActorKind.AUTOMATION),
        ({"message_type": 3, "sender": None}, ActorKind.AUTOMATION),
        ({"message_type": "template", "sender": None}, ActorKind.AUTOMATION),
    ],
)
def test_a_persons_reply_is_outgoing_public_by_a_user_and_of_no_rule(
    cast: Cast, live: Connection, hidden: dict[str, Any], kind: ActorKind
) -> None:
    quiet = message(20, unix("08:30:00"), HELP, **hidden)
    (said,) = (
        event
        for news in told("conversation", whole(c.TAKEN, quiet)).tickets
        for event in news.events
        if event.type is EventType.MESSAGE
    )
    assert said.actor_kind is kind
    seen(cast, live, c.TAKEN, quiet)
    assert item_of(cast, live, "11").first_response_at is None
    seen(cast, live, c.TAKEN, message(21, unix("09:30:00"), HELP))  # the control
    assert item_of(cast, live, "11").first_response_at == at("09:30:00")


@pytest.mark.parametrize("row", [c.TALK[9], survey(11, unix("08:30:00"))])
def test_an_activity_and_a_survey_are_no_messages(row: Any) -> None:
    made = told("conversation", whole(c.TAKEN, row))
    types = {event.type for news in made.tickets for event in news.events}
    assert EventType.MESSAGE not in types


def test_a_webhook_and_a_poll_tell_one_message_once(cast: Cast, live: Connection) -> None:
    as_hook = {**c.TALK[7], "message_type": "outgoing", "created_at": "2026-03-02T09:00:00.417Z"}
    hooked(cast, live, hook("message_created", {**as_hook, "conversation": c.TAKEN}))
    seen(cast, live, c.TAKEN, *c.TALK[:8])
    with reading(cast):
        ticket = Ticket.objects.get(connection=live)
        said = ticket.events.filter(type=EventType.MESSAGE, actor_kind="agent", public=True)
        assert said.count() == 2  # the holding text and the help


def test_the_message_that_opens_a_conversation_is_no_return_of_the_requester(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, c.TAKEN, asks(1, unix("08:00:03"), "No network."))
    assert item_of(cast, live, "11").requester_messages == 0
    seen(cast, live, c.TAKEN, asks(2, unix("08:00:30"), "Still none."))  # the control
    assert item_of(cast, live, "11").requester_messages == 1


def test_a_removed_message_was_a_reply_of_which_nobody_knows_whether_it_helped(
    cast: Cast, live: Connection
) -> None:
    gone = message(20, unix("09:00:00"), "This message was deleted",
                   content_attributes={"deleted": True})  # fmt: skip
    seen(cast, live, c.TAKEN, gone)
    item = item_of(cast, live, "11")
    assert (item.first_response_at, item.first_reply_meaning) == (at("09:00:00"), "unknown")


# --- waiting and reopening ------------------------------------------------------------------------


def test_resolved_to_open_is_a_reopen_whatever_event_tells_it(cast: Cast, live: Connection) -> None:
    hooked(
        cast, live, hook("conversation_created", c.OPENED),
        hook("conversation_status_changed", c.SOLVED), hook("conversation_updated", c.AGAIN),
        hook("conversation_status_changed", c.DONE),
    )  # fmt: skip
    seen(cast, live, c.DONE, *c.TALK, *c.LATER)
    assert [r[:3] for r in resolutions_of(cast, live, "11")] == [
        (at("10:30:00"), at("09:00:00", 3), "counted"), (at("11:00:00", 3), None, ""),
    ]  # fmt: skip


def test_opened_by_a_bots_handover_or_after_a_snooze_is_no_reopen(
    cast: Cast, live: Connection
) -> None:
    hooked(
        cast, live, hook("conversation_created", c.OPENED),
        hook("conversation_status_changed", conversation(11, unix("08:30:00"), "open")),
        hook("conversation_status_changed", conversation(11, unix("09:00:00"), "snoozed")),
        hook("conversation_status_changed", conversation(11, unix("10:00:00"), "open")),
        hook("conversation_status_changed", c.SOLVED),
    )  # fmt: skip
    assert resolutions_of(cast, live, "11") == [(at("10:30:00"), None, "", False)]
    assert item_of(cast, live, "11").paused_s == 0  # put off by us: the requester is waiting


def test_where_webhooks_were_lost_polling_tells_the_end_all_the_same(
    cast: Cast, live: Connection
) -> None:
    http = open_http(CHATWOOT, c.desk(rows=[c.SOLVED], talk={11: c.TALK}), secrets=c.SECRETS)
    pages = list(CHATWOOT.reconcile(http, since=at("00:00:00"), options=c.OPTIONS, now=NOW))
    enter(cast, live, [Recorded(page.topic, page.raw) for page in pages])
    item = item_of(cast, live, "11")
    assert (item.outcome, item.ended_at) == ("resolved", at("10:30:00"))
    assert item.first_meaningful_at == at("09:00:00")


def test_two_sights_of_one_second_are_told_as_still_open_first(
    cast: Cast, live: Connection
) -> None:
    old = {"updated_at": None}
    both = [conversation(11, unix("10:30:00"), "open", **old), {**c.SOLVED, **old}]
    for row in (*both, *reversed(both)):
        seen(cast, live, row)
        enter(cast, live, [])
    assert item_of(cast, live, "11").outcome == "resolved"


# --- satisfaction ---------------------------------------------------------------------------------


def test_a_survey_that_was_sent_is_offered_and_its_answer_responded() -> None:
    (offered,) = told("conversation", whole(c.SOLVED, survey(11, unix("10:30:00")))).ratings
    assert (offered.outcome, offered.offered_at, offered.score) == ("offered", at("10:30:00"), None)
    both = told("conversation", whole(c.SOLVED, survey(11, unix("10:30:00"), 4, "Quick"))).ratings
    assert [(r.outcome, r.score, r.remark) for r in both] == [
        ("offered", None, ""), ("responded", 4, "Quick"),
    ]  # fmt: skip
    assert both[0].id == both[1].id == offered.id
    assert both[1].said_at > both[0].said_at


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_an_answer_that_was_overwritten_in_place_counts_as_it_was_last_seen(
    cast: Cast, live: Connection, order: tuple[int, ...]
) -> None:
    came = unix("10:31:00")
    seen_at = [at("10:35:00"), at("10:40:00"), at("12:00:00", 3)]
    reports = [
        Recorded("ratings", {"payload": [answered(11, rating, came)]}, when)
        for rating, when in zip((5, 4, 1), seen_at, strict=True)
    ]
    enter(cast, live, [reports[n] for n in order])
    with reading(cast):
        kept = ToldRating.objects.filter(connection=live).order_by("said_at")
        assert [rating.score for rating in kept] == [5, 4, 1]
        assert len({rating.key for rating in kept}) == 1
        assert all(r.said_at - at("10:31:00") < timedelta(seconds=1) for r in kept)


def test_a_report_and_a_message_tell_one_rating() -> None:
    (from_report,) = told("ratings", {"payload": [answered(11, 4, unix("10:31:00"))]}).ratings
    from_message = told("conversation", whole(c.SOLVED, survey(11, unix("10:30:00"), 4))).ratings
    assert {from_report.id} == {rating.id for rating in from_message}


def test_a_rating_that_is_none_is_a_remark() -> None:
    rows = [answered(11, 9, unix("10:31:00")), answered(12, 2, unix("10:31:00"))]
    made = told("ratings", {"payload": rows})
    assert [rating.score for rating in made.ratings] == [2]
    assert [remark.field for remark in made.remarks] == ["rating 911: rating"]
    assert told("ratings", rows).ratings == made.ratings  # some versions list them bare


# --- webhooks and asking --------------------------------------------------------------------------


def test_a_webhook_tells_and_asks_for_the_whole_conversation(cast: Cast, live: Connection) -> None:
    hooked(cast, live, hook("conversation_created", c.OPENED))
    with reading(cast):
        assert Ticket.objects.get(connection=live).external_id == "11"
        assert list(FetchWork.objects.values_list("external_id", flat=True)) == ["11"]
    assert told("hook", hook("conversation_typing_on", {"conversation": c.AGAIN})) == Told()


def test_a_webhooks_signature_is_of_timestamp_and_body() -> None:
    assert CHATWOOT.scheme is not None
    raw = json.dumps(hook("conversation_created", c.OPENED)).encode()
    stamp = str(int(NOW.timestamp()))
    digest = hmac.new(b"s3cret", stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
    headers = {"x-chatwoot-timestamp": stamp, "x-chatwoot-signature": f"sha256={digest}"}
    assert CHATWOOT.scheme.verify(headers, raw, ["s3cret"], NOW)
    assert not CHATWOOT.scheme.verify(headers, raw + b" ", ["s3cret"], NOW)
    assert CHATWOOT.delivery({"x-chatwoot-delivery": "d-1"}, raw).id == "hook:d-1"
    assert CHATWOOT.delivery({}, raw).id == ""


def test_conversations_are_read_down_to_the_last_pulls_and_the_next_goes_on_from_there() -> None:
    desk = c.desk()
    http = open_http(CHATWOOT, desk, secrets=c.SECRETS)
    pages, cursor = pulled(CHATWOOT, http, NOW)
    told_of = {json.loads(p.raw)["conversation"]["id"] for p in pages if p.topic == "conversation"}
    assert len(told_of) == 31
    assert cursor["conversations"] == {"since": float(unix("11:00:00", 3) - 300)}
    again, _ = pulled(CHATWOOT, http, NOW, cursor=cursor)
    told_of = {json.loads(p.raw)["conversation"]["id"] for p in again if p.topic == "conversation"}
    assert told_of == {11}


def test_a_conversation_that_moves_to_the_front_meanwhile_takes_none_along() -> None:
    rows = [conversation(n, unix("08:00:00") + n) for n in range(60, 0, -1)]
    http = open_http(CHATWOOT, c.desk(rows=rows, talk={}), secrets=c.SECRETS)
    found, stands = set(), {}
    for number, page in enumerate(CHATWOOT.pull(http, {}, options=c.OPTIONS, now=NOW)):
        stands[page.stream] = dict(page.cursor)
        if page.topic == "conversation":
            found.add(json.loads(page.raw)["conversation"]["id"])
        if number == 10:
            moved = rows.pop()  # the last, not told yet
            rows.insert(0, {**moved, "last_activity_at": unix("12:00:00")})
    later, _ = pulled(CHATWOOT, http, NOW, cursor=stands)
    found |= {json.loads(p.raw)["conversation"]["id"] for p in later if p.topic == "conversation"}
    assert found == set(range(1, 61))


def test_a_stop_whose_rest_became_active_meanwhile_does_not_stand_still() -> None:
    rows = [conversation(n, unix("08:00:00") + n) for n in range(3, 0, -1)]
    desk = c.desk(rows=rows, talk={})
    http = open_http(CHATWOOT, desk, secrets=c.SECRETS)
    _, cursor = pulled(CHATWOOT, http, NOW, stop_after=3)
    assert "below" in cursor["conversations"]
    for row in rows:
        row["last_activity_at"] += 10_000
    rows[1]["id"] = 99  # the half-told one is gone
    pages, cursor = pulled(CHATWOOT, http, NOW, cursor=cursor)
    assert {json.loads(p.raw)["conversation"]["id"] for p in pages if p.topic == "conversation"}
    assert set(cursor["conversations"]) == {"since"}


def test_a_hint_fetches_the_conversation_whole_and_nothing_where_it_is_gone() -> None:
    http = open_http(CHATWOOT, c.desk(), secrets=c.SECRETS)
    pages = list(CHATWOOT.fetch(http, "11", options=c.OPTIONS))
    ids = [m["id"] for page in pages for m in json.loads(page.raw)["messages"]]
    assert len(ids) == len(set(ids)) == len(c.TALK) + len(c.LATER) + 30
    assert list(CHATWOOT.fetch(http, "999", options=c.OPTIONS)) == []


def test_without_the_accounts_number_nothing_is_asked() -> None:
    with pytest.raises(HttpTrouble, match="number of the Chatwoot account"):
        CHATWOOT.http("https://desk.example.org", {"token": "x"}, {})


def test_a_role_without_reports_is_pulled_without_ratings() -> None:
    desk = c.desk().before("/api/v1/accounts/1/csat_survey_responses", Reply({}, 403))
    pages, _ = pulled(CHATWOOT, open_http(CHATWOOT, desk, secrets=c.SECRETS), NOW)
    assert {page.topic for page in pages} == {"agents", "conversation"}
    assert desk.asked[0].headers["api_access_token"] == "t0k3n"


def test_agents_are_named_for_the_page_of_roles() -> None:
    accounts = told("agents", c.WHO).accounts
    assert [(a.external_id, a.role) for a in accounts] == [
        (f"user {AGNES}", ActorKind.AGENT), (f"user {ARJUN}", ActorKind.AGENT),
    ]  # fmt: skip


@pytest.mark.skipif(
    not PAYLOADS.exists(), reason="the example payloads are not beside the checkout"
)
def test_example_objects_are_read_without_a_remark() -> None:
    with (PAYLOADS / "api_evangelist_conversation_example.json").open() as file:
        row = json.load(file)
    with (PAYLOADS / "api_evangelist_message_example.json").open() as file:
        said = json.load(file)
    made = told("conversation", whole(row, said))
    assert not made.remarks
    assert {news.external_id for news in made.tickets} == {"101"}
