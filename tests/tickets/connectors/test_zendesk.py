"""Zendesk: what its exports, audits, ratings and webhooks mean, trap by trap (INGEST.md 1)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.factories import Cast
from tests.tickets.connectors import zendesk as z
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
from tests.tickets.connectors.zendesk import (
    AGNES,
    ARJUN,
    AUTOMATION,
    FIRST_LINE,
    HELP,
    LEFT,
    NETWORK,
    RUI,
    RULE,
    audit,
    audits_page,
    change,
    comment,
    day,
    opened,
    row,
    tickets_page,
    user,
    via,
)
from tickets.canonical import ActorKind, Event, EventType
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Context, Unusable
from tickets.connectors.http import HttpTrouble
from tickets.models import (
    Connection,
    Escalation,
    FetchWork,
    Ticket,
    TicketFlaw,
    ToldRating,
    WorkItem,
)
from tickets.news import Told
from tickets.ratings import is_satisfaction

ZENDESK = CONNECTORS["zendesk"]
PAYLOADS = Path(__file__).resolve().parents[4] / "shared" / "payloads" / "zendesk"
there = pytest.mark.skipif(
    not PAYLOADS.exists(), reason="the recorded payloads are not beside the checkout"
)


def at(clock: str, day_: int = 2) -> datetime:
    return datetime.fromisoformat(day(clock, day_))


def told(topic: str, body: Any, options: Any = None) -> Told:
    return tell(ZENDESK, Recorded(topic, body), options)


def audited(*audits: Any, options: Any = None) -> list[Event]:
    """Events of audits, in order."""
    found = told("audits", audits_page(*audits), options).tickets
    return sorted((e for news in found for e in news.events), key=lambda e: e.order)


def of(events: list[Event], type_: EventType) -> list[Event]:
    return [event for event in events if event.type is type_]


@pytest.fixture
def live(cast: Cast) -> Connection:
    return connect(cast, ZENDESK, z.WORDS, z.OPTIONS, "zendesk")


def story(cast: Cast, live: Connection, *audits: Any, users: Any = z.USERS) -> None:
    """Enter a ticket's audits and who is who."""
    page = Recorded("audits", audits_page(*audits, users=users))
    enter(cast, live, [Recorded("users", {"users": list(users)}), page])


# --- the export and its traps ---------------------------------------------------------------------


def test_the_generated_timestamp_is_the_exports_clock_and_dates_no_event() -> None:
    one, other = row(7, day("09:00:00")), row(7, day("09:00:00"), generated_timestamp=1_999_999_999)
    first, second = (told("tickets", tickets_page(r)).tickets[0] for r in (one, other))
    assert {event.key for event in first.events} == {event.key for event in second.events}
    assert {event.at for event in first.events} == {at("09:00:00")}


def test_a_deleted_row_is_scrubbed_and_its_words_are_not_the_tickets(
    cast: Cast, live: Connection
) -> None:
    story(cast, live, opened(4034, day("08:00:00")))
    with reading(cast):
        assert Ticket.objects.get(connection=live).left_out == ""
    enter(cast, live, [Recorded("tickets", tickets_page(z.DELETED))])
    with reading(cast):
        ticket = Ticket.objects.get(connection=live)
        assert (ticket.subject, ticket.left_out) == ("Ticket 4034", "deleted")


def test_a_deleted_ticket_that_was_restored_counts_again(cast: Cast, live: Connection) -> None:
    story(cast, live, opened(7, day("08:00:00")))
    enter(
        cast, live, [Recorded("tickets", tickets_page(row(7, day("09:00:00"), status="deleted")))]
    )
    with reading(cast):
        assert Ticket.objects.get(connection=live).left_out == "deleted"
    restored = audit(7, day("10:00:00"), AGNES, change("status", "deleted", "open"))
    enter(cast, live, [Recorded("audits", audits_page(restored))])
    with reading(cast):
        assert Ticket.objects.get(connection=live).left_out == ""


def test_the_last_page_repeats_and_names_itself_and_the_pull_ends_all_the_same() -> None:
    desk = z.desk()
    pages, cursor = pulled(ZENDESK, open_http(ZENDESK, desk, secrets=z.SECRETS), NOW)
    metric = [page for page in pages if page.topic == "metric_events"]
    assert len(metric) == 2
    assert cursor["metric_events"] == {"start": 1_772_600_000}
    asked = [a.query.get("cursor") for a in desk.asked if a.path.endswith("tickets/cursor.json")]
    assert asked == [None, "c1"]


def test_an_export_whose_end_time_stands_still_ends() -> None:
    desk = z.desk()
    still = {"ticket_metric_events": [], "end_time": None, "end_of_stream": False}
    desk.before("/api/v2/incremental/ticket_metric_events.json", still)
    pages, _ = pulled(ZENDESK, open_http(ZENDESK, desk, secrets=z.SECRETS), NOW)
    assert pages


def test_ids_beyond_32_bits_stay_what_they_are_as_text() -> None:
    news = told("audits", audits_page(opened(6130907993114, day("08:00:00")))).tickets[0]
    assert (news.external_id, news.requester) == ("6130907993114", "6130869168922")


def test_an_id_is_the_same_as_text_in_an_audit_and_as_a_number_in_a_ticket() -> None:
    from_audit = told("audits", audits_page(opened(7, day("08:00:00")))).tickets[0]
    from_row = told("tickets", tickets_page(row(7, day("08:00:00")))).tickets[0]
    assert from_audit.requester == from_row.requester == str(RUI)
    regrouped = of(
        audited(audit(7, day("09:00:00"), AGNES, change("group_id", FIRST_LINE, NETWORK))),
        EventType.GROUP_CHANGED,
    )
    assert regrouped[0].data["to"] == str(NETWORK)


def test_a_next_page_on_another_host_is_asked_at_our_own() -> None:
    desk = z.desk()
    pulled(ZENDESK, open_http(ZENDESK, desk, secrets=z.SECRETS), NOW)
    linked = [a for a in desk.asked if "page[after]" in a.query]
    assert linked
    assert desk.hosts == {"desk.example.org"}
    assert all(a.headers["authorization"].startswith("Basic ") for a in desk.asked)


def test_no_more_than_ten_exports_are_asked_for_within_a_minute() -> None:
    desk = z.desk()
    many = [[row(n, day("09:00:00"), status="deleted")] for n in range(25)]
    desk.before("/api/v2/incremental/tickets/cursor.json", z.export_of(many))
    pulled(ZENDESK, open_http(ZENDESK, desk, secrets=z.SECRETS), NOW)
    exports = [a.at for a in desk.asked if a.path.startswith("/api/v2/incremental/")]
    assert len(exports) > 20
    for number, moment in enumerate(exports[10:]):
        assert moment - exports[number] >= 60
    assert desk.slept == [60.0, 60.0]  # the control: without a budget nobody waits


def test_a_refusal_is_waited_out_for_as_long_as_it_says() -> None:
    desk = z.desk()
    desk.first = [Reply({}, 429, {"Retry-After": "17"}), Reply({}, 429, {"ratelimit-reset": "9"})]
    pulled(ZENDESK, open_http(ZENDESK, desk, secrets=z.SECRETS), NOW)
    assert desk.slept[:2] == [17.0, 9.0]


def test_a_ticket_deleted_between_the_list_and_its_audits_stops_nothing() -> None:
    desk = z.desk()
    desk.before("/api/v2/tickets/35436/audits.json", Reply({}, 404))
    pages, cursor = pulled(ZENDESK, open_http(ZENDESK, desk, secrets=z.SECRETS), NOW)
    audits = [page for page in pages if page.topic == "audits"]
    assert {json.loads(p.raw)["audits"][0]["ticket_id"] for p in audits} == {35437, 35438}
    assert cursor["tickets"]["audits"] == []


def test_a_hint_fetches_the_ticket_whole_and_nothing_where_it_is_gone() -> None:
    http = open_http(ZENDESK, z.desk(), secrets=z.SECRETS)
    pages = list(ZENDESK.fetch(http, "35436", options={}))
    assert [page.topic for page in pages] == ["tickets", "audits", "audits", "audits"]
    assert list(ZENDESK.fetch(http, "999", options={})) == []


def test_an_account_that_is_no_administrator_is_told_so() -> None:
    desk = z.desk()
    http = open_http(ZENDESK, desk, secrets=z.SECRETS)
    assert ZENDESK.check(http, options={}).endswith("it offers satisfaction ratings.")
    desk.before("/api/v2/users/me.json", {"user": user(AGNES, "agent")})
    with pytest.raises(HttpTrouble, match="need the role Administrator"):
        ZENDESK.check(http, options={})


def test_an_oauth_token_goes_without_an_address() -> None:
    desk = z.desk()
    ZENDESK.check(open_http(ZENDESK, desk, secrets={"token": "abc"}), options={})
    assert desk.asked[0].headers["authorization"] == "Bearer abc"


# --- what is a reply ------------------------------------------------------------------------------


def test_a_private_note_and_a_holding_text_are_not_the_help_that_came_later(
    cast: Cast, live: Connection
) -> None:
    story(cast, live, *z.BUSY)
    item = item_of(cast, live, "35436")
    assert item.opened_at == at("08:00:00")
    assert item.first_response_at == at("08:10:00")  # not the note of 08:05
    assert item.first_meaningful_at == at("09:00:00")  # not the holding text of 08:10
    assert item.first_reply_meaning == "not_meaningful"


def test_a_triggers_notification_is_no_reply(cast: Cast, live: Connection) -> None:
    story(cast, live, opened(7, day("08:00:00")))
    assert item_of(cast, live, "7").first_response_at is None


@pytest.mark.parametrize("where", ["event", "audit"])
def test_what_a_rule_says_is_no_humans_whoever_it_names_as_author(
    cast: Cast, live: Connection, where: str
) -> None:
    how = RULE if where == "audit" else None
    words = comment(HELP, **({"via": RULE} if where == "event" else {}))
    story(cast, live, opened(7, day("08:00:00")), audit(7, day("08:01:00"), AGNES, words, how=how))
    assert item_of(cast, live, "7").first_response_at is None
    story(cast, live, audit(7, day("08:02:00"), AGNES, comment(HELP)))  # the control
    assert item_of(cast, live, "7").first_response_at == at("08:02:00")


def test_what_a_merge_copies_in_is_no_reply() -> None:
    merge = audit(7, day("09:00:00"), AGNES, comment("Request #8 was closed and merged into this."),
                  how=via("web", "merge"))  # fmt: skip
    assert of(audited(merge), EventType.MESSAGE)[0].actor_kind is ActorKind.SYSTEM


def test_an_agent_who_opens_for_a_requester_has_not_replied_yet(
    cast: Cast, live: Connection
) -> None:
    story(
        cast, live, opened(7, day("08:00:00"), by=AGNES, how=via("phone")),
        audit(7, day("09:00:00"), AGNES, comment(HELP)),
    )  # fmt: skip
    item = item_of(cast, live, "7")
    assert (item.first_response_at, item.channel) == (at("09:00:00"), "phone")


def test_the_requesters_own_comment_is_no_reply_even_when_they_are_an_agent(
    cast: Cast, live: Connection
) -> None:
    story(
        cast, live, opened(7, day("08:00:00"), by=AGNES, requester=AGNES),
        audit(7, day("08:30:00"), AGNES, comment("One more detail: it is only in room 12.")),
        audit(7, day("09:00:00"), ARJUN, comment(HELP, author=ARJUN)),
    )  # fmt: skip
    item = item_of(cast, live, "7")
    assert item.first_response_at == at("09:00:00")
    assert item.requester_messages == 1


def test_a_comment_that_became_private_later_was_seen_all_the_same(
    cast: Cast, live: Connection
) -> None:
    reply = comment(HELP)
    hidden = {**reply, "public": False}
    first = audit(7, day("09:00:00"), AGNES, reply)
    story(cast, live, opened(7, day("08:00:00")), {**first, "events": [hidden]})
    assert item_of(cast, live, "7").first_response_at is None
    story(cast, live, first)
    assert item_of(cast, live, "7").first_response_at == at("09:00:00")


def test_a_redacted_comment_is_a_reply_of_which_nobody_knows_whether_it_helped(
    cast: Cast, live: Connection
) -> None:
    story(
        cast, live, opened(7, day("08:00:00")),
        audit(7, day("09:00:00"), AGNES, comment("Your password is ▇▇▇▇▇▇")),
    )  # fmt: skip
    item = item_of(cast, live, "7")
    assert (item.first_reply_meaning, item.first_meaningful_at) == ("unknown", None)


def test_an_organisations_own_acknowledgement_helps_nobody() -> None:
    text = "Your request reached the desk of the third floor; somebody will read it within the day."
    said = audit(7, day("09:00:00"), AGNES, comment(text))
    (plain,) = of(audited(said), EventType.MESSAGE)
    (known,) = of(audited(said, options={"acknowledgements": [text]}), EventType.MESSAGE)
    assert (plain.data["meaning"], known.data["meaning"]) == ("meaningful", "not_meaningful")


# --- waiting, resolving, reopening ----------------------------------------------------------------


def test_waiting_for_the_requester_pauses_and_a_hold_does_not(cast: Cast, live: Connection) -> None:
    story(cast, live, *z.BUSY[:6])
    item = item_of(cast, live, "35436")
    assert (item.outcome, item.paused_s) == ("resolved", 3600)  # 09:00 to 10:00 UTC
    story(
        cast, live, opened(7, day("08:00:00")),
        audit(7, day("09:00:00"), AGNES, comment(HELP), change("status", "new", "hold")),
        audit(7, day("11:00:00"), AGNES, change("status", "hold", "solved")),
    )  # fmt: skip
    assert item_of(cast, live, "7").paused_s == 0


def test_a_pause_nobody_told_the_requester_about_is_none(cast: Cast, live: Connection) -> None:
    story(
        cast, live, opened(7, day("08:00:00")),
        audit(7, day("09:00:00"), AGNES, change("status", "new", "pending")),
        audit(7, day("10:00:00"), AGNES, comment(HELP), change("status", "pending", "solved")),
    )  # fmt: skip
    assert item_of(cast, live, "7").paused_s == 0


def test_solved_to_open_is_a_reopen_of_the_resolution_that_failed(
    cast: Cast, live: Connection
) -> None:
    story(cast, live, *z.BUSY)
    first, second = resolutions_of(cast, live, "35436")
    assert first == (at("10:30:00"), at("09:00:00", 3), "counted", True)
    assert second == (at("11:00:00", 3), None, "", False)
    with reading(cast):
        assert not TicketFlaw.objects.filter(ticket__connection=live).exists()


def test_a_thank_you_is_a_courtesy_and_solved_to_closed_is_no_event(
    cast: Cast, live: Connection
) -> None:
    story(
        cast, live, *z.BUSY[:6],
        audit(35436, day("11:00:00"), RUI, comment("Thank you!", author=RUI),
              change("status", "solved", "open")),
        audit(35436, day("11:30:00"), AGNES, change("status", "open", "solved")),
        audit(35436, day("11:30:00", 6), -1, change("status", "solved", "closed"), how=AUTOMATION),
    )  # fmt: skip
    (only,) = resolutions_of(cast, live, "35436")
    assert only == (at("10:30:00"), at("11:00:00"), "courtesy", False)


def test_an_agent_who_takes_it_back_within_ten_minutes_misclicked(
    cast: Cast, live: Connection
) -> None:
    story(
        cast, live, *z.BUSY[:6],
        audit(35436, day("10:35:00"), AGNES, change("status", "solved", "open")),
        audit(35436, day("12:00:00"), AGNES, change("status", "open", "solved")),
    )  # fmt: skip
    assert resolutions_of(cast, live, "35436") == [(at("12:00:00"), None, "", False)]


def test_a_bulk_reopen_of_twenty_tickets_is_a_systems(cast: Cast, live: Connection) -> None:
    pages = [
        Recorded("audits", audits_page(
            opened(number, day("08:00:00")),
            audit(number, day("09:00:00"), AGNES, comment(HELP), change("status", "new", "solved")),
            audit(number, day("10:00:01", 4), ARJUN, change("status", "solved", "open")),
        ))
        for number in range(100, 120)
    ]  # fmt: skip
    enter(cast, live, [Recorded("users", {"users": z.USERS}), *pages])
    assert {resolutions_of(cast, live, str(n))[0][2] for n in range(100, 120)} == {"system"}


def test_a_phantom_reopen_of_zendesks_own_count_is_a_flaw_and_not_ours(
    cast: Cast, live: Connection
) -> None:
    story(cast, live, *z.BUSY)
    counted = tickets_page(row(35436, day("11:00:01", 3)),
                           metric_sets=[{"ticket_id": 35436, "reopens": 3}])  # fmt: skip
    enter(cast, live, [Recorded("tickets", counted)])
    with reading(cast):
        flaw = TicketFlaw.objects.get(ticket__connection=live)
    assert (flaw.kind, flaw.detail) == ("reopens_differ", "theirs 3, ours 1")


def test_solved_by_an_automation_while_waiting_is_inactivity_and_nobodys_work() -> None:
    silent = audit(7, day("09:00:00", 9), -1, change("status", "pending", "solved"), how=AUTOMATION)
    by_rule = audit(7, day("09:00:00", 9), -1, change("status", "open", "solved"), how=RULE)
    (moved,) = of(audited(silent), EventType.STATUS_CHANGED)
    (other,) = of(audited(by_rule), EventType.STATUS_CHANGED)
    assert moved.data == {"said": "solved", "resolution": "inactivity"}
    assert moved.actor_kind is ActorKind.AUTOMATION
    assert other.data == {"said": "solved"}


def test_a_merged_ticket_is_left_out_by_its_tag(cast: Cast, live: Connection) -> None:
    story(cast, live, *z.MERGED)
    enter(cast, live, [Recorded("tickets", tickets_page(
        row(8, day("09:00:00"), status="closed", tags=["vip", "closed_by_merge"])))])  # fmt: skip
    story(cast, live, opened(8, day("08:00:00")))
    with reading(cast):
        found = Ticket.objects.filter(connection=live).values_list("external_id", "left_out")
        assert set(found) == {("35437", "merged"), ("8", "merged")}


@pytest.mark.parametrize("source", ["audits", "tickets"])
def test_a_follow_up_of_a_closed_ticket_continues_it(
    cast: Cast, live: Connection, source: str
) -> None:
    story(cast, live, *z.BUSY)
    if source == "audits":
        story(cast, live, *z.FOLLOW_UP)
    else:
        linked = via("web", "follow_up", ticket_id=35436)
        story(cast, live, opened(35438, day("08:00:00", 6)))
        linked_row = row(35438, day("09:00:00", 6), created_at=day("08:00:00", 6), via=linked)
        enter(cast, live, [Recorded("tickets", tickets_page(linked_row))])
    with reading(cast):
        follow_up = Ticket.objects.get(connection=live, external_id="35438")
        assert follow_up.continues is not None
        assert follow_up.continues.external_id == "35436"
    assert resolutions_of(cast, live, "35436")[1][1:] == (at("08:00:00", 6), "counted", True)


def test_an_agent_who_left_was_an_agent_when_they_replied(cast: Cast, live: Connection) -> None:
    replied = [
        opened(7, day("08:00:00")),
        audit(7, day("09:00:00"), LEFT, comment(HELP, author=LEFT)),
        opened(8, day("08:00:00", 6)),
        audit(8, day("09:00:00", 6), LEFT, comment(HELP, author=LEFT)),
    ]
    story(cast, live, *replied, users=[*z.USERS, *z.FORMER])
    assert item_of(cast, live, "7").first_response_at == at("09:00:00")
    assert item_of(cast, live, "8").first_response_at is None  # an end-user since 5 March


# --- values ---------------------------------------------------------------------------------------


def test_without_a_priority_the_word_is_none_and_somebody_says_what_that_is(
    cast: Cast, live: Connection
) -> None:
    (created,) = of(audited(opened(7, day("08:00:00"))), EventType.CREATED)
    assert created.data["severity_said"] == "none"
    story(cast, live, opened(7, day("08:00:00")))
    assert item_of(cast, live, "7").severity == "medium"
    guess = ZENDESK.guess_severity("none")
    assert guess is not None
    assert guess.confidence < 0.5


def test_where_nobody_said_what_no_priority_is_the_first_one_set_holds_from_the_start(
    cast: Cast,
) -> None:
    words = {**z.WORDS, "severities": {"high": "high"}}
    bare = connect(cast, ZENDESK, words, {}, "bare")
    story(cast, bare, opened(7, day("08:00:00")))
    with reading(cast):
        assert Ticket.objects.get(connection=bare).left_out == "incomplete"
    story(cast, bare, audit(7, day("09:00:00"), AGNES, change("priority", None, "high")))
    assert item_of(cast, bare, "7").severity == "high"


def test_the_priority_of_an_event_is_the_one_of_its_instant(cast: Cast, live: Connection) -> None:
    story(cast, live, *z.BUSY)
    with reading(cast):
        found = live.tickets.get().resolutions.order_by("at").values_list("severity", "group")
        assert list(found) == [("medium", str(FIRST_LINE)), ("high", str(NETWORK))]


def test_a_custom_status_counts_by_its_category_unless_it_is_named_apart() -> None:
    moved = audit(7, day("09:00:00"), AGNES, change("status", "open", "pending"),
                  change("custom_status_id", 6130830355738, 22644243148813))  # fmt: skip
    plain = of(audited(moved), EventType.STATUS_CHANGED)
    assert [e.data["said"] for e in plain] == ["pending"]
    apart = of(
        audited(moved, options={"custom_statuses": [22644243148813]}), EventType.STATUS_CHANGED
    )
    assert [e.data["said"] for e in apart] == ["pending", "custom 22644243148813"]


def test_a_move_to_a_higher_tier_is_an_escalation_and_any_other_is_none(
    cast: Cast, live: Connection
) -> None:
    story(cast, live, *z.BUSY)
    with reading(cast):
        escalation = Escalation.objects.get(work_item__ticket__connection=live)
        assert (escalation.kind, escalation.at) == ("functional", at("09:30:00", 3))
    back = audit(7, day("09:00:00"), AGNES, change("group_id", NETWORK, FIRST_LINE))
    raised = audit(7, day("09:00:00"), AGNES, change("priority", "low", "urgent"))
    assert not of(audited(back, raised, options=z.OPTIONS), EventType.ESCALATED)
    tagged = audit(7, day("09:00:00"), AGNES, change("tags", ["vip"], ["vip", "to_management"]))
    (found,) = of(
        audited(tagged, options={"escalation_tags": {"to_management": "hierarchical"}}),
        EventType.ESCALATED,
    )
    assert found.data["kind"] == "hierarchical"


def test_group_form_and_custom_field_may_say_what_it_is_about() -> None:
    made = audited(
        opened(7, day("08:00:00"), ticket_form_id=6130830344474, **{"360001": "vpn"}),
        audit(7, day("09:00:00"), AGNES, change("360001", "vpn", "wifi")),
        options={"fields": [360001]},
    )
    assert of(made, EventType.CREATED)[0].data["facets"] == {
        "group": str(FIRST_LINE), "form": "6130830344474", "brand": "6130830354842",
        "field 360001": "vpn",
    }  # fmt: skip
    assert of(made, EventType.CATEGORY_CHANGED)[0].data["facets"] == {"field 360001": "wifi"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ({"tiers": f"{FIRST_LINE}=1, {NETWORK}=2"}, z.OPTIONS),
        ({"fields": "360001, 360002"}, {"fields": [360001, 360002]}),
        ({"custom_statuses": "22644243148813"}, {"custom_statuses": [22644243148813]}),
        ({"escalation_tags": "vip=hierarchical"}, {"escalation_tags": {"vip": "hierarchical"}}),
        ({"tiers": "", "fields": "", "custom_statuses": "", "escalation_tags": ""}, {}),
    ],
)
def test_options_may_be_typed_on_a_page_or_stored_as_they_are_meant(
    typed: dict[str, str], meant: dict[str, Any]
) -> None:
    made = [
        opened(7, day("08:00:00"), **{"360001": "vpn"}),
        audit(7, day("09:00:00"), AGNES, change("group_id", FIRST_LINE, NETWORK),
              change("custom_status_id", 1, 22644243148813), change("tags", [], ["vip"]),
              change("360002", "a", "b")),
    ]  # fmt: skip
    assert audited(*made, options=typed) == audited(*made, options=meant)


def test_an_absent_promise_is_a_flaw_and_never_a_kept_one(cast: Cast, live: Connection) -> None:
    story(cast, live, opened(7, day("08:00:00")), opened(8, day("08:00:00")))
    page = tickets_page(
        row(7, day("08:00:00"), slas={"policy_metrics": []}),
        row(8, day("08:00:00"), slas={"policy_metrics": [{"metric": "first_reply_time"}]}),
    )
    enter(cast, live, [Recorded("tickets", page)])
    with reading(cast):
        flaws = TicketFlaw.objects.filter(ticket__connection=live, kind="no_promise")
        assert [flaw.ticket.external_id for flaw in flaws] == ["7"]


def test_a_ticket_that_no_policy_was_applied_to_has_no_promise(
    cast: Cast, live: Connection
) -> None:
    """As a pull tells it: exported tickets do not say which policies hold."""
    story(cast, live, opened(7, day("08:00:00")), opened(8, day("08:00:00")))
    started = {
        "metric": "reply_time",
        "instance_id": 1,
        "type": "activate",
        "time": day("08:00:00"),
    }
    applied = {**started, "id": 3, "ticket_id": 8, "type": "apply_sla", "sla": {"target": 60}}
    # The clock of an update goes on after a pause, under the same number.
    unpaused = {**started, "id": 4, "ticket_id": 8, "metric": "requester_wait_time",
                "time": day("09:00:00")}  # fmt: skip
    events = [applied, {**started, "id": 1, "ticket_id": 7}, {**started, "id": 2, "ticket_id": 8},
              unpaused]  # fmt: skip
    page = json.dumps({"ticket_metric_events": events}).encode()
    enter(cast, live, [Recorded("metric_events", page)])
    with reading(cast):
        flaws = TicketFlaw.objects.filter(ticket__connection=live, kind="no_promise")
        assert [flaw.ticket.external_id for flaw in flaws] == ["7"]


def test_zendesks_own_reply_timer_is_no_reply() -> None:
    fulfilled = {"id": 1, "ticket_id": 7, "metric": "reply_time", "instance_id": 1,
                 "type": "fulfill", "time": day("08:00:05")}  # fmt: skip
    promised = {**fulfilled, "type": "apply_sla", "sla": {"target": 1440}}
    events = [
        e
        for news in told("metric_events", {"ticket_metric_events": [fulfilled, promised]}).tickets
        for e in news.events
    ]
    assert [e.data for e in events] == [{"name": "promise", "value": 1440}]


# --- satisfaction ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("good", ("responded", 1)),
        ("good_with_comment", ("responded", 1)),
        ("bad", ("responded", 0)),
        ("bad_with_comment", ("responded", 0)),
        ("offered", ("offered", None)),
    ],
)
def test_an_older_rating_is_good_or_bad_and_never_points_of_five(
    score: str, expected: tuple[str, int | None]
) -> None:
    (rating,) = told("ratings", {"satisfaction_ratings": [{**z.OFFERED, "score": score}]}).ratings
    assert (rating.outcome, rating.score) == expected
    assert (rating.scale, rating.raw) == ("two_point", score)


def test_a_rating_that_was_never_offered_tells_nothing() -> None:
    unoffered = {**z.OFFERED, "score": "unoffered"}
    assert told("ratings", {"satisfaction_ratings": [unoffered]}) == Told()


def test_offered_good_and_bad_are_words_on_one_rating_and_the_last_stands(
    cast: Cast, live: Connection
) -> None:
    for one in (z.BAD, z.OFFERED, z.GOOD):
        enter(cast, live, [Recorded("ratings", {"satisfaction_ratings": [one]})])
    with reading(cast):
        kept = ToldRating.objects.filter(connection=live).order_by("said_at")
        assert len({rating.key for rating in kept}) == 1
        assert [(r.outcome, r.score) for r in kept] == [
            ("offered", None), ("responded", 1), ("responded", 0),
        ]  # fmt: skip


def response(**more: Any) -> dict[str, Any]:
    return {
        "id": "01ARYZ6S41TSV4RRFFQ69G5FAV", "expires_at": day("12:00:00", 20), "responder_id": RUI,
        "subject_zrns": ["zen:ticket:35436"],
        "subjects": [{"id": "35436", "type": "ticket", "zrn": "zen:ticket:35436"}],
        "survey": {"id": "01J", "version": 3, "state": "enabled"}, "answers": [], **more,
    }  # fmt: skip


def answer(rating: int, points: int, **more: Any) -> dict[str, Any]:
    question = {
        "id": "01G",
        "type": "rating_scale",
        "options": [{"rating": n} for n in range(points)],
    }
    return {"type": "rating_scale", "rating": rating, "question": question,
            "created_at": day("13:00:00"), "updated_at": day("13:00:00"), **more}  # fmt: skip


SKIPPED = {"type": "skipped", "question": {"id": "01G"}, "created_at": day("13:00:00"),
           "updated_at": day("13:00:00")}  # fmt: skip
OPEN_ENDED = {"type": "open_ended", "value": "Quick!", "created_at": day("13:01:00"),
              "updated_at": day("13:01:00")}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "received", "expected"),
    [
        ([answer(4, 5), OPEN_ENDED], NOW, ("responded", "csat_1_5", 4)),
        ([answer(3, 3)], NOW, ("responded", "csat_1_3", 3)),
        ([answer(1, 2)], NOW, ("responded", "two_point", 0)),
        ([SKIPPED], NOW, ("declined", "", None)),
        ([], NOW, ("offered", "", None)),
        ([], NOW + timedelta(days=30), ("expired", "", None)),
    ],
)
def test_a_survey_response_says_offered_answered_declined_or_expired(
    answers: list[Any], received: datetime, expected: tuple[Any, ...]
) -> None:
    body = {"survey_responses": [response(answers=answers)]}
    (rating,) = tell(ZENDESK, Recorded("survey_responses", body, received)).ratings
    assert (rating.outcome, rating.scale, rating.score) == expected
    assert rating.ticket == "35436"
    assert rating.offered_at == datetime(2016, 7, 30, 22, 36, 16, 385000, tzinfo=UTC)
    if OPEN_ENDED in answers:
        assert (rating.remark, rating.said_at) == ("Quick!", at("13:01:00"))


def asked(question: str, rating: int, points: int = 5) -> dict[str, Any]:
    made = answer(rating, points)
    return {**made, "question": {**made["question"], "id": question}}


def surveyed(*answers: Any, **options: Any) -> Told:
    body = {"survey_responses": [response(answers=list(answers))]}
    return told("survey_responses", body, options=options)


def counted(made: Told, **options: Any) -> list[int | None]:
    """Scores that count as satisfaction."""
    source = Connection(kind="zendesk", options=options)
    return [
        one.score
        for one in made.ratings
        if is_satisfaction(ToldRating(question=one.question, alone=one.alone), source)
    ]


def test_a_survey_that_asks_several_scales_says_satisfaction_where_somebody_chose_it() -> None:
    answers = asked("01A", 5), asked("01B", 1), OPEN_ENDED
    unclear = surveyed(*answers)
    assert [(one.question, one.score) for one in unclear.ratings] == [("01A", 5), ("01B", 1)]
    assert [remark.field for remark in unclear.remarks] == ["csat_question"]
    assert counted(unclear) == []
    chosen = surveyed(*answers, csat_question="01B")
    assert (counted(chosen, csat_question="01B"), chosen.remarks) == ([1], [])
    assert counted(surveyed(asked("01A", 5), OPEN_ENDED)) == [5]  # the control: it asks one


def test_a_scale_that_was_skipped_does_not_make_the_other_the_only_one() -> None:
    skipped = {**SKIPPED, "question": asked("01A", 5)["question"]}
    assert counted(surveyed(skipped, asked("01B", 1))) == []
    assert counted(surveyed(SKIPPED, asked("01B", 1))) == [1]  # words that were left out


def test_an_answer_off_its_scale_takes_no_other_question_along() -> None:
    made = surveyed(asked("01A", 9), asked("01B", 1), csat_question="01B")
    assert counted(made, csat_question="01B") == [1]
    assert [remark.field for remark in made.remarks] == ["rating"]


def test_an_older_rating_knows_who_had_the_ticket() -> None:
    row = {**z.OFFERED, "score": "good", "assignee_id": AGNES}
    (rating,) = told("ratings", {"satisfaction_ratings": [row]}).ratings
    assert rating.agent == str(AGNES)


def test_a_rating_off_its_scale_is_a_remark_and_spoils_no_other() -> None:
    rows = [response(answers=[answer(9, 5)]), response(answers=[answer(5, 5)])]
    made = told("survey_responses", {"survey_responses": rows})
    assert [rating.score for rating in made.ratings] == [5]
    assert [remark.field for remark in made.remarks] == ["rating"]


def test_an_account_with_survey_responses_is_not_asked_for_what_they_are_turned_into() -> None:
    for surveys, topics in (
        ([[response(answers=[answer(5, 5)])]], {"survey_responses"}),
        ([[]], {"survey_responses", "ratings"}),
        (None, {"ratings"}),
    ):
        http = open_http(ZENDESK, z.desk(surveys=surveys), secrets=z.SECRETS)
        pages, _ = pulled(ZENDESK, http, NOW)
        kinds = {page.topic for page in pages}
        assert kinds & {"survey_responses", "ratings"} == topics
    again, _ = pulled(
        ZENDESK,
        open_http(ZENDESK, z.desk(surveys=[[]]), secrets=z.SECRETS),
        NOW,
        cursor={"survey_responses": {"since": NOW.isoformat(), "some": True}},
    )
    assert "ratings" not in {page.topic for page in again}


def test_an_account_without_any_ratings_is_pulled_all_the_same() -> None:
    http = open_http(ZENDESK, z.desk(ratings=None), secrets=z.SECRETS)
    pages, _ = pulled(ZENDESK, http, NOW)
    assert "audits" in {page.topic for page in pages}
    assert ZENDESK.check(http, options={}).endswith("it offers no ratings.")


# --- webhooks -------------------------------------------------------------------------------------


def test_a_webhook_only_says_which_ticket_to_fetch(cast: Cast, live: Connection) -> None:
    assert told("hook", z.HOOK) == Told(fetch=["35436"])
    assert told("hook", {"ticket_id": "35436"}) == Told(fetch=["35436"])
    with pytest.raises(Unusable, match="names no ticket"):
        told("hook", {"hello": "world"})
    enter(cast, live, [Recorded("hook", z.HOOK)])
    with reading(cast):
        assert list(FetchWork.objects.values_list("external_id", flat=True)) == ["35436"]
        assert not Ticket.objects.filter(connection=live).exists()


def test_a_webhook_of_a_users_role_dates_the_role() -> None:
    body = {"type": "zen:event-type:user.role_changed", "id": "1", "subject": f"zen:user:{LEFT}",
            "detail": {"role": "end-user", "updated_at": day("00:00:00", 5)}}  # fmt: skip
    (account,) = told("hook", body).accounts
    assert (account.external_id, account.role, account.since) == (
        str(LEFT), ActorKind.REQUESTER, at("00:00:00", 5),
    )  # fmt: skip


def test_a_delivery_is_known_by_its_events_id_else_by_the_invocation() -> None:
    headers = {"x-zendesk-webhook-invocation-id": "inv-1"}
    raw = json.dumps(z.HOOK).encode()
    assert ZENDESK.delivery(headers, raw).id == f"hook:{z.HOOK['id']}"
    assert ZENDESK.delivery(headers, b'{"ticket_id": 7}').id == "hook:inv-1"
    assert ZENDESK.delivery({}, b'{"ticket_id": 7}').id == ""


def test_one_record_that_cannot_be_read_is_a_remark_and_the_others_are_told() -> None:
    broken = {**audit(7, "yesterday", AGNES), "id": 1}
    made = told("audits", audits_page(broken, opened(8, day("08:00:00"))))
    assert [news.external_id for news in made.tickets if news.events] == ["8"]
    [odd] = [news for news in made.tickets if news.left_out]
    assert (odd.external_id, odd.record, odd.left_out[0].field) == (
        *("7", "audit 1", "audit 1: created_at"),
    )


# --- recorded payloads ----------------------------------------------------------------------------


def recorded(name: str) -> list[Any]:
    with (PAYLOADS / name).open() as file:
        return [one["json"] for one in json.load(file)["interactions"]]


@there
def test_a_recorded_export_is_read_without_a_remark_and_its_scrubbed_row_deleted() -> None:
    pages = recorded("recorded_incremental_2024.json")
    rows = [told("tickets", page) for page in pages]
    assert not [remark for one in rows for remark in one.remarks]
    news = {n.external_id: n for one in rows for n in one.tickets}
    assert len(news) == 45  # of 46 rows; the page by time repeats one
    (gone,) = news["4034"].events
    assert (gone.type, news["4034"].subject) == (EventType.DELETED, "")


@there
def test_recorded_audits_are_read_without_a_remark_and_give_openings_with_their_words() -> None:
    made = [told("audits", page) for page in recorded("recorded_ticket_audits_2024.json")]
    assert not [remark for one in made for remark in one.remarks]
    events = [event for one in made for news in one.tickets for event in news.events]
    created = {event.key: event for event in of(events, EventType.CREATED)}
    assert len(created) > 30
    said = {event.data["severity_said"] for event in created.values()}
    assert said == {"none", "high"}
    changed = {event.data["said"] for event in of(events, EventType.STATUS_CHANGED)}
    assert changed == {"open", "deleted"}


@there
def test_a_documented_audit_has_a_comment_and_no_reply_in_its_notification() -> None:
    with (PAYLOADS / "docs_examples" / "ticket_audit.json").open() as file:
        body = json.load(file)
    (news,) = told("audits", body).tickets
    kinds = [event.type for event in sorted(news.events, key=lambda e: e.order)]
    assert kinds.count(EventType.MESSAGE) == 1
    assert kinds[0] is EventType.CREATED


@there
def test_documented_ratings_and_metric_events_are_read() -> None:
    with (PAYLOADS / "airbyte_fixture_metric_events_and_rating.json").open() as file:
        body = json.load(file)
    (rating,) = told("ratings", body).ratings
    assert (rating.score, rating.remark) == (1, "Great support!")
    assert told("metric_events", body) == Told()  # `measure` promises nothing


class TestNames:
    """Audits name groups, forms and custom statuses by number; people read what they are called."""

    OPTIONS = {"custom_statuses": "22644243148813"}
    AUDITS = (
        opened(35436, day("08:00:00"), ticket_form_id=6130830344474),
        audit(35436, day("09:00:00"), AGNES, change("group_id", FIRST_LINE, NETWORK),
              change("custom_status_id", 6130830355738, 22644243148813)),
    )  # fmt: skip

    def fetched(self, desk: Any) -> bytes:
        desk.before(r"/api/v2/tickets/35436/audits.json", audits_page(*self.AUDITS))
        http = open_http(ZENDESK, desk, secrets=z.SECRETS)
        pages = list(ZENDESK.fetch(http, "35436", options=self.OPTIONS))
        return next(page.raw for page in pages if page.topic == "audits")

    def told(self, raw: bytes) -> list[Event]:
        told = ZENDESK.tell("audits", raw, Context(options=self.OPTIONS))
        return [event for news in told.tickets for event in news.events]

    def test_a_page_of_audits_says_what_its_numbers_are_called(self) -> None:
        desk = z.desk()
        raw = self.fetched(desk)
        assert json.loads(raw)["names"] == {
            "brand_id": {},  # the account may have no list of them
            "custom_status_id": {"22644243148813": "Waiting for parts"},
            "group_id": {str(FIRST_LINE): "First line", str(NETWORK): "Network"},
            "ticket_form_id": {"6130830344474": "Report a fault"},
        }
        told = self.told(raw)
        [created] = of(told, EventType.CREATED)
        assert created.data["facets"]["group"] == f"{FIRST_LINE} · First line"
        assert created.data["facets"]["form"] == "6130830344474 · Report a fault"
        [grouped] = of(told, EventType.GROUP_CHANGED)
        assert grouped.data["facets"]["group"] == f"{NETWORK} · Network"
        [moved] = of(told, EventType.STATUS_CHANGED)
        assert moved.data["said"] == "custom 22644243148813 · Waiting for parts"
        asked = [one.path for one in desk.asked]
        assert asked.count("/api/v2/groups.json") == 2, "two pages, each once"

    def test_an_account_that_may_not_read_them_tells_the_same_events_by_number(self) -> None:
        named, desk = self.told(self.fetched(z.desk())), z.desk()
        for name in ("groups", "ticket_forms", "brands", "custom_statuses"):
            desk.before(f"/api/v2/{name}.json", Reply({}, 403))
        bare = self.told(self.fetched(desk))
        assert [event.key for event in bare] == [event.key for event in named]
        assert bare[0].data["facets"]["group"] == str(FIRST_LINE)

    def test_a_custom_status_is_guessed_by_its_name(self) -> None:
        guess = ZENDESK.guess_state("custom 226 · Waiting on third party")
        assert guess is not None
        assert guess.meaning == "waiting_on_third_party"
        assert ZENDESK.guess_state("custom 226") is None


def test_the_problem_an_incident_is_linked_to_is_told_from_its_opening_and_changes(
    cast: Cast, live: Connection
) -> None:
    told = audited(
        opened(1, day("08:00:00"), problem_id=77),
        audit(1, day("09:00:00"), AGNES, change("problem_id", 77, 78)),
        audit(1, day("10:00:00"), AGNES, change("problem_id", 78, None)),
    )
    [created] = of(told, EventType.CREATED)
    assert created.data["problem"] == "77"
    assert [e.data for e in of(told, EventType.PROBLEM_LINKED)] == [{"to": "78"}, {"to": None}]
    story(
        cast,
        live,
        opened(1, day("08:00:00"), problem_id=77),
        opened(2, day("08:00:00")),
        audit(2, day("09:00:00"), AGNES, change("problem_id", None, 77)),
    )
    with reading(cast):
        items = WorkItem.objects.select_related("problem")
        assert [str(item.problem) for item in items] == ["77", "77"]
