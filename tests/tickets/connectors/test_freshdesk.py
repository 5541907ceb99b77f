"""Freshdesk: what its readings, conversations and ratings mean, trap by trap (INGEST.md 1)."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.factories import Cast
from tests.tickets.connectors import freshdesk as f
from tests.tickets.connectors.desk import Reply, open_http, pulled
from tests.tickets.connectors.freshdesk import (
    AGNES,
    ARJUN,
    FIRST_LINE,
    HELP,
    NETWORK,
    RUI,
    agent,
    contact,
    day,
    rating,
    said,
    ticket,
)
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
from tickets.connectors.base import Context, Unusable
from tickets.connectors.http import HttpTrouble
from tickets.models import (
    Connection,
    Escalation,
    FetchWork,
    Resolution,
    Ticket,
    TicketEvent,
    TicketFlaw,
    ToldRating,
)
from tickets.news import Told
from tickets.ratings import is_satisfaction

FRESHDESK = CONNECTORS["freshdesk"]
PAYLOADS = Path(__file__).resolve().parents[4] / "shared" / "payloads" / "freshdesk"
there = pytest.mark.skipif(
    not PAYLOADS.exists(), reason="the recorded payloads are not beside the checkout"
)


def at(clock: str, day_: int = 2) -> datetime:
    return datetime.fromisoformat(day(clock, day_))


def told(topic: str, body: Any, options: Any = None) -> Told:
    return tell(FRESHDESK, Recorded(topic, body), options)


@pytest.fixture
def live(cast: Cast) -> Connection:
    found = connect(cast, FRESHDESK, f.WORDS, f.OPTIONS, "freshdesk")
    enter(cast, found, [Recorded("agents", f.WHO), Recorded("contacts", [contact(RUI)])])
    return found


def seen(cast: Cast, live: Connection, *tickets: Any) -> None:
    """Enter readings of tickets, one after the other."""
    for one in tickets:
        enter(cast, live, [Recorded("tickets", [one])])


def talked(cast: Cast, live: Connection, *conversations: Any) -> None:
    enter(cast, live, [Recorded("conversations", list(conversations))])


# --- the table and the codes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("2", "open"),
        ("3", "waiting_on_requester"),
        ("4", "resolved"),
        ("5", "closed"),
        ("6", "waiting_on_requester"),
        ("7", "waiting_on_third_party"),
    ],
)
def test_the_statuses_of_the_table_are_sure(status: str, state: str) -> None:
    guess = FRESHDESK.guess_state(status)
    assert guess is not None
    assert (guess.meaning, guess.confidence) == (state, 1.0)


def test_a_status_of_the_sites_own_is_never_guessed_and_changes_nothing(
    cast: Cast, live: Connection
) -> None:
    assert FRESHDESK.guess_state("8") is None
    seen(cast, live, f.SEEN[0], ticket(11, day("09:00:00"), 8, status_updated=day("09:00:00")))
    assert item_of(cast, live, "11").state == "open"
    with reading(cast):
        flaw = TicketFlaw.objects.get(ticket__connection=live)
        assert (flaw.kind, flaw.detail) == ("unmapped_state", "8")


def test_is_escalated_means_a_missed_promise_and_no_escalation(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, *f.SEEN)
    assert f.SEEN[0]["is_escalated"]
    assert f.SEEN[0]["fr_escalated"]
    with reading(cast):
        assert not Escalation.objects.filter(work_item__ticket__connection=live).exists()
        assert not TicketEvent.objects.filter(type=EventType.ESCALATED).exists()


# --- readings and history -------------------------------------------------------------------------


def test_the_history_is_what_successive_readings_differ_in(cast: Cast, live: Connection) -> None:
    seen(cast, live, *f.SEEN)
    talked(cast, live, *f.TALK)
    item = item_of(cast, live, "11")
    assert (item.opened_at, item.outcome, item.ended_at) == (
        at("08:00:00"), "resolved", at("11:00:00", 3),
    )  # fmt: skip
    first, second = resolutions_of(cast, live, "11")
    assert first == (at("10:30:00"), at("09:00:01", 3), "counted", True)
    assert second[0] == at("11:00:00", 3)
    assert item.paused_s > 0
    with reading(cast):
        told_as = set(
            TicketEvent.objects.filter(ticket__connection=live, type=EventType.SNAPSHOT)
            .values_list("fidelity", flat=True)
        )  # fmt: skip
        assert told_as == {"derived_from_snapshot_diff"}


def test_a_resolution_belongs_to_whoever_had_it_then_and_not_to_a_later_reading(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, *f.SEEN)
    talked(cast, live, *f.TALK)
    with reading(cast):
        found = Resolution.objects.filter(ticket__connection=live).order_by("at")
        assert list(found.values_list("group", "severity")) == [
            (str(FIRST_LINE), "low"), (str(NETWORK), "high"),
        ]  # fmt: skip
    assert item_of(cast, live, "11").reassignments == 1


def test_what_was_resolved_and_reopened_before_we_first_looked_is_read_off_its_instants(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, f.SEEN[3])
    (first,) = resolutions_of(cast, live, "11")
    assert first == (at("10:30:00"), at("09:00:01", 3), "counted", True)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_readings_tell_the_same_story_in_any_order(
    cast: Cast, live: Connection, order: tuple[int, ...]
) -> None:
    talked(cast, live, *f.TALK)
    seen(cast, live, *(f.SEEN[2:][n] for n in order))
    assert [r[:3] for r in resolutions_of(cast, live, "11")] == [
        (at("10:30:00"), at("09:00:01", 3), "counted"), (at("11:00:00", 3), None, ""),
    ]  # fmt: skip


def test_two_readings_within_one_second_are_told_as_their_statuses_began(
    cast: Cast, live: Connection
) -> None:
    before = ticket(11, day("10:30:00"), 2)
    after = ticket(11, day("10:30:00"), 4, status_updated=day("10:30:00"), resolved=day("10:30:00"))
    for first, second in ((before, after), (after, before)):
        seen(cast, live, first, second)
        assert item_of(cast, live, "11").outcome == "resolved"
        assert resolutions_of(cast, live, "11") == [(at("10:30:00"), None, "", False)]


def test_closing_what_is_resolved_is_no_second_resolution_and_no_reopen(
    cast: Cast, live: Connection
) -> None:
    closed = ticket(11, day("10:00:00", 5), 5, status_updated=day("10:00:00", 5),
                    resolved=day("10:30:00"), closed=day("10:00:00", 5))  # fmt: skip
    seen(cast, live, *f.SEEN[:3], closed)
    assert resolutions_of(cast, live, "11") == [(at("10:30:00"), None, "", False)]


def test_a_thank_you_that_reopened_is_a_courtesy_as_its_instants_say(
    cast: Cast, live: Connection
) -> None:
    thanked = ticket(11, day("11:00:02"), 2, status_updated=day("11:00:01"),
                     resolved=day("10:30:00"), reopened=day("11:00:01"),
                     requester_responded=day("11:00:00"))  # fmt: skip
    again = ticket(11, day("11:20:00"), 4, status_updated=day("11:20:00"),
                   resolved=day("11:20:00"), reopened=day("11:00:01"),
                   requester_responded=day("11:00:00"))  # fmt: skip
    seen(cast, live, *f.SEEN[:3], thanked, again)
    (only,) = resolutions_of(cast, live, "11")
    assert only == (at("10:30:00"), at("11:00:01"), "courtesy", False)


def test_a_reopen_nobody_answered_before_is_counted(cast: Cast, live: Connection) -> None:
    """The control of the courtesy: the same instants without the requester's message."""
    taken_back = ticket(11, day("11:00:02"), 2, status_updated=day("11:00:01"),
                        resolved=day("10:30:00"), reopened=day("11:00:01"))  # fmt: skip
    again = ticket(11, day("11:20:00"), 4, status_updated=day("11:20:00"),
                   resolved=day("11:20:00"), reopened=day("11:00:01"))  # fmt: skip
    seen(cast, live, *f.SEEN[:3], taken_back, again)
    assert resolutions_of(cast, live, "11")[0][2:] == ("counted", True)


def test_spam_is_left_out_until_it_is_taken_out_of_the_folder(cast: Cast, live: Connection) -> None:
    seen(cast, live, f.SPAM)
    with reading(cast):
        assert Ticket.objects.get(connection=live).left_out == "spam"
    seen(cast, live, {**f.SPAM, "spam": False, "updated_at": day("10:00:00")})
    with reading(cast):
        assert Ticket.objects.get(connection=live).left_out == ""


def test_a_deleted_ticket_is_left_out_until_it_is_restored(cast: Cast, live: Connection) -> None:
    seen(cast, live, f.GONE)
    with reading(cast):
        assert Ticket.objects.get(connection=live).left_out == "deleted"
    seen(cast, live, ticket(13, day("10:00:00")))
    with reading(cast):
        assert Ticket.objects.get(connection=live).left_out == ""


def test_without_a_promise_none_is_kept(cast: Cast, live: Connection) -> None:
    seen(cast, live, ticket(11, day("08:00:00"), due_by=None), ticket(14, day("08:00:00")))
    with reading(cast):
        flaws = TicketFlaw.objects.filter(ticket__connection=live, kind="no_promise")
        assert [flaw.ticket.external_id for flaw in flaws] == ["11"]


# --- what is a reply ------------------------------------------------------------------------------


def test_notes_automatic_answers_and_holding_texts_are_not_the_help_that_came_later(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, *f.SEEN[:3])
    talked(cast, live, *f.TALK[:4])
    item = item_of(cast, live, "11")
    assert item.first_response_at == at("08:10:00")  # neither 08:00:30 (automatic) nor 08:05 (note)
    assert item.first_meaningful_at == at("09:00:00")  # not the holding text


@pytest.mark.parametrize(
    ("hidden", "why"),
    [
        ({"private": True, "source": 2}, "a note"),
        ({"auto_response": True}, "sent by itself"),
        ({"source": 6}, "feedback given in a survey"),
        ({"user_id": RUI}, "the requester's, though Freshdesk calls it outgoing"),
        ({"user_id": None}, "nobody's"),
    ],
)
def test_what_is_no_agents_public_reply_stops_no_clock(
    cast: Cast, live: Connection, hidden: dict[str, Any], why: str
) -> None:
    seen(cast, live, f.SEEN[0])
    talked(cast, live, {**said(1, 11, day("08:30:00"), HELP), **hidden})
    assert item_of(cast, live, "11").first_response_at is None, why
    talked(cast, live, said(2, 11, day("09:30:00"), HELP))  # the control
    assert item_of(cast, live, "11").first_response_at == at("09:30:00")


def test_freshdesks_own_first_response_is_not_taken_for_a_reply(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, ticket(11, day("09:00:00"), first_responded=day("08:00:01")))
    assert item_of(cast, live, "11").first_response_at is None


def test_feedback_in_a_survey_is_no_message_of_the_requester_either(
    cast: Cast, live: Connection
) -> None:
    seen(cast, live, f.SEEN[0])
    talked(cast, live, said(1, 11, day("12:00:00"), "Great!", RUI, source=6, incoming=True))
    assert item_of(cast, live, "11").requester_messages == 0


def test_an_outbound_mail_is_opened_by_an_agent() -> None:
    (news,) = told("tickets", [ticket(11, day("08:00:00"), source=10)]).tickets
    (created,) = (event for event in news.events if event.type is EventType.CREATED)
    assert created.actor_kind is ActorKind.AGENT
    assert created.data["channel"] == "outbound email"


def test_an_agent_who_became_a_contact_was_an_agent_before(cast: Cast, live: Connection) -> None:
    enter(cast, live, [Recorded("contacts", [contact(ARJUN, day("00:00:00", 5))])])
    seen(
        cast, live, f.SEEN[0], {**ticket(12, day("09:00:00", 6)), "created_at": day("08:00:00", 6)}
    )
    talked(
        cast, live, said(1, 11, day("09:00:00"), HELP, ARJUN),
        said(2, 12, day("09:00:00", 6), HELP, ARJUN),
    )  # fmt: skip
    assert item_of(cast, live, "11").first_response_at == at("09:00:00")
    assert item_of(cast, live, "12").first_response_at is None


# --- ratings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (103, ("freshdesk", 103)),
        (100, ("freshdesk", 100)),
        (-103, ("freshdesk", -103)),
        (1, ("csat_1_3", 3)),
        (2, ("csat_1_3", 2)),
        (3, ("csat_1_3", 1)),
    ],
)
def test_ratings_have_codes_and_of_the_classic_kind_one_is_happy(
    value: int, expected: tuple[str, int]
) -> None:
    (one,) = told("ratings", [rating(1, value, feedback="Fine")]).ratings
    assert (one.scale, one.score) == expected
    assert (one.raw, one.remark, one.ticket) == (str(value), "Fine", "11")


def test_the_first_question_is_satisfaction_and_the_others_are_kept_beside_it() -> None:
    answers = {"default_question": 103, "question_1": -101, "question_2": 7, "question_3": None}
    made = told("ratings", [rating(1, 103, ratings=answers, feedback="Fine")])
    satisfied, other = made.ratings
    assert (satisfied.question, satisfied.score, satisfied.remark) == (
        "default_question",
        103,
        "Fine",
    )
    assert (other.question, other.score, other.remark) == ("question_1", -101, "")
    assert [one.agent for one in made.ratings] == [str(AGNES)] * 2
    assert [remark.field for remark in made.remarks] == ["ratings.question_2"]
    source = Connection(kind="freshdesk", options={})
    kept = [ToldRating(question=one.question, alone=one.alone) for one in made.ratings]
    assert [is_satisfaction(one, source) for one in kept] == [True, False]


def test_without_its_first_question_a_survey_rates_no_satisfaction() -> None:
    made = told("ratings", [rating(1, 103, ratings={"question_1": 103}), rating(2, 101)])
    assert [one.question for one in made.ratings] == ["default_question"]
    assert [remark.field for remark in made.remarks] == ["rating 1: ratings.default_question"]


def test_a_code_of_no_scale_is_a_remark() -> None:
    made = told("ratings", [rating(1, 7), rating(2, 101)])
    assert [one.raw for one in made.ratings] == ["101"]
    assert [remark.field for remark in made.remarks] == ["rating 1: ratings.default_question"]


# --- webhooks and asking --------------------------------------------------------------------------


def test_a_webhook_without_id_or_signature_is_only_a_hint(cast: Cast, live: Connection) -> None:
    assert FRESHDESK.scheme is None
    assert FRESHDESK.delivery({}, json.dumps(f.HOOK).encode()).id == ""
    assert told("hook", f.HOOK) == Told(fetch=["11"])
    with pytest.raises(Unusable):
        told("hook", {"freshdesk_webhook": {"ticket_status": "Closed"}})
    enter(cast, live, [Recorded("hook", f.HOOK)])
    with reading(cast):
        assert list(FetchWork.objects.values_list("external_id", flat=True)) == ["11"]
        assert not Ticket.objects.filter(connection=live).exists()


def test_a_hint_fetches_the_ticket_whole_and_nothing_where_it_is_gone() -> None:
    http = open_http(FRESHDESK, f.desk(), secrets=f.SECRETS)
    pages = list(FRESHDESK.fetch(http, "11", options={}))
    assert [page.topic for page in pages] == ["tickets", "conversations", "conversations"]
    (news,) = told("tickets", json.loads(pages[0].raw)).tickets
    assert news.external_id == "11"
    assert list(FRESHDESK.fetch(http, "999", options={})) == []


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    """Two tickets a page and five pages: what 100 and 300 are, only sooner."""
    monkeypatch.setattr("tickets.connectors.freshdesk.PER_PAGE", 2)
    monkeypatch.setattr("tickets.connectors.freshdesk.LAST_PAGE", 5)
    return 5


def test_beyond_the_last_page_the_window_moves_on_and_none_is_lost(small_pages: int) -> None:
    rows = [ticket(n, day(f"09:{n // 2:02}:00")) for n in range(60)]
    desk = f.desk(tickets=rows, talk={}, last_page=small_pages)
    pages, _ = pulled(FRESHDESK, open_http(FRESHDESK, desk, secrets=f.SECRETS), NOW)
    found = {
        row["id"]
        for page in pages
        if (page.stream, page.topic) == ("tickets", "tickets")
        for row in json.loads(page.raw)["tickets"]
    }
    assert found == set(range(60))
    listed = [a for a in desk.asked if a.path == "/api/v2/tickets" and "filter" not in a.query]
    assert len(listed) > small_pages
    assert max(int(one.query["page"]) for one in listed) <= small_pages


def test_more_tickets_of_one_second_than_are_listed_stop_the_pull_with_a_sentence(
    small_pages: int,
) -> None:
    rows = [ticket(n, day("09:00:00")) for n in range(60)]
    desk = f.desk(tickets=rows, talk={}, last_page=small_pages)
    with pytest.raises(HttpTrouble, match="More than 10 tickets changed at 2026-03-02T09:00:00Z"):
        pulled(FRESHDESK, open_http(FRESHDESK, desk, secrets=f.SECRETS), NOW)


def test_a_list_longer_than_freshdesk_shows_is_told_and_goes_on_with_what_changes(
    small_pages: int,
) -> None:
    desk = f.desk(tickets=[], talk={})
    http = open_http(FRESHDESK, desk, secrets=f.SECRETS)
    pages, cursor = pulled(FRESHDESK, http, NOW)
    contacts = [page for page in pages if page.stream == "contacts"]
    assert [page.topic for page in contacts] == ["contacts"] * small_pages + ["cut"]
    with pytest.raises(Unusable, match="contacts: Freshdesk shows the first 10 contacts since"):
        FRESHDESK.tell("cut", contacts[-1].raw, Context())
    assert cursor["contacts"] == {"since": (NOW - FRESHDESK.overlap).isoformat()}
    # The agents end before the last page: nothing is said of them.
    assert [page.stream for page in pages if page.topic == "cut"] == ["contacts", "ratings"]
    # One that has stopped at the last page in an earlier version goes on as well.
    stopped = {"since": NOW.isoformat(), "page": small_pages + 1}
    again, cursor = pulled(FRESHDESK, http, NOW, cursor={**cursor, "contacts": stopped})
    assert [page.topic for page in again if page.stream == "contacts"] == ["cut"]
    assert "page" not in cursor["contacts"]


def test_many_tickets_of_one_second_are_paged_within_it() -> None:
    rows = [ticket(n, day("09:00:00")) for n in range(250)]
    desk = f.desk(tickets=rows, talk={})
    pages, _ = pulled(FRESHDESK, open_http(FRESHDESK, desk, secrets=f.SECRETS), NOW)
    found = {
        row["id"]
        for page in pages
        if (page.stream, page.topic) == ("tickets", "tickets")
        for row in json.loads(page.raw)["tickets"]
    }
    assert len(found) == 250


def test_a_ticket_that_changes_while_it_is_paged_pushes_no_other_over_a_border() -> None:
    rows = [ticket(n, day(f"09:{n // 60:02}:{n % 60:02}")) for n in range(250)]
    desk = f.desk(tickets=rows, talk={})
    http = open_http(FRESHDESK, desk, secrets=f.SECRETS)
    found: set[int] = set()
    for page in FRESHDESK.pull(http, {}, options={}, now=NOW):
        if (page.stream, page.topic) == ("tickets", "tickets"):
            found |= {row["id"] for row in json.loads(page.raw)["tickets"]}
            rows[0]["updated_at"] = day("11:00:00")  # to the end: all behind it move up by one
    assert found == set(range(250))


def test_a_ticket_deleted_before_its_conversations_are_read_stops_nothing() -> None:
    desk = f.desk(tickets=f.SEEN[-1:])
    desk.before("/api/v2/tickets/11/conversations", Reply({}, 404))
    pages, _ = pulled(FRESHDESK, open_http(FRESHDESK, desk, secrets=f.SECRETS), NOW)
    assert "ratings" in {page.topic for page in pages}


def test_the_key_goes_as_the_user_name() -> None:
    desk = f.desk()
    answer = FRESHDESK.check(open_http(FRESHDESK, desk, secrets=f.SECRETS), options={})
    assert answer.endswith("satisfaction ratings can be read.")
    assert desk.asked[0].headers["authorization"] == "Basic azN5Olg="  # k3y:X


def test_an_agent_who_sees_only_some_tickets_is_told_so() -> None:
    desk = f.desk().before("/api/v2/agents/me", {**agent(AGNES), "ticket_scope": 3})
    with pytest.raises(HttpTrouble, match="Global access"):
        FRESHDESK.check(open_http(FRESHDESK, desk, secrets=f.SECRETS), options={})


# --- recorded payloads ----------------------------------------------------------------------------


def sample(name: str) -> Any:
    with (PAYLOADS / "python_freshdesk_samples" / name).open() as file:
        return json.load(file)


@there
def test_sample_tickets_conversations_agents_and_contacts_are_read_without_a_remark() -> None:
    for topic, name, count in (
        ("tickets", "ticket_1.json", 1),
        ("conversations", "conversations.json", 2),
        ("agents", "agents.json", 2),
        ("contacts", "contacts.json", 2),
    ):
        made = told(topic, sample(name))
        assert not made.remarks, name
        assert len(made.tickets) + len(made.accounts) == count, name


@there
def test_a_recorded_webhook_names_its_ticket() -> None:
    with (PAYLOADS / "webhook_zulip_status_changed.json").open() as file:
        assert told("hook", json.load(file)) == Told(fetch=["11"])


class TestNames:
    """Statuses, groups and products are numbers; people read what they are called."""

    def test_a_page_of_tickets_says_what_its_numbers_are_called(self) -> None:
        desk = f.desk(tickets=[ticket(11, day("09:00:00"), 8)], talk={})
        pages, _ = pulled(FRESHDESK, open_http(FRESHDESK, desk, secrets=f.SECRETS), NOW)
        [page] = [one for one in pages if (one.stream, one.topic) == ("tickets", "tickets")]
        assert json.loads(page.raw)["names"] == {
            "status": {"8": "Waiting for parts"},
            "group_id": {str(FIRST_LINE): "First line"},
            "product_id": {},
        }
        [news] = FRESHDESK.tell("tickets", page.raw, Context()).tickets
        [stands] = [event for event in news.events if "facets" in event.data]
        assert stands.data["state_said"] == "8 · Waiting for parts"
        assert stands.data["severity_said"] == "1 · Low"
        assert stands.data["facets"]["group"] == f"{FIRST_LINE} · First line"

    def test_lists_of_names_are_asked_for_once_a_session(self) -> None:
        rows = [ticket(n, day(f"09:{n // 60:02}:{n % 60:02}")) for n in range(250)]
        desk = f.desk(tickets=rows, talk={})
        pulled(FRESHDESK, open_http(FRESHDESK, desk, secrets=f.SECRETS), NOW)
        asked = [one.path for one in desk.asked]
        assert asked.count("/api/v2/groups") == asked.count("/api/v2/ticket_fields") == 1

    def test_an_agent_who_may_not_read_them_reads_numbers_and_the_events_are_the_same(self) -> None:
        desk = f.desk(tickets=[ticket(11, day("09:00:00"), 8)], talk={})
        for path in ("groups", "products", "ticket_fields"):
            desk.before(f"/api/v2/{path}", Reply({}, 403))
        http = open_http(FRESHDESK, desk, secrets=f.SECRETS)
        raw = next(FRESHDESK.fetch(http, "11", options={})).raw
        bare = FRESHDESK.tell("tickets", raw, Context()).tickets[0].events
        assert {event.data.get("state_said") for event in bare} >= {"8"}
        named = json.dumps(
            json.loads(raw)
            | {"names": {"status": {"8": "Parts"}, "group_id": {str(FIRST_LINE): "First"}}}
        )
        told = FRESHDESK.tell("tickets", named.encode(), Context()).tickets[0].events
        assert [event.key for event in told] == [event.key for event in bare]
        assert [event.data for event in told] != [event.data for event in bare]

    @pytest.mark.parametrize(
        ("word", "meaning"),
        [
            ("6 · Warten auf Kunden", "waiting_on_requester"),
            ("8 · Waiting on third party", "waiting_on_third_party"),
            ("8", None),
        ],
    )
    def test_its_own_numbers_are_guessed_whatever_they_are_called_and_others_by_name(
        self, word: str, meaning: str | None
    ) -> None:
        guess = FRESHDESK.guess_state(word)
        assert (guess.meaning if guess else None) == meaning


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"association_type": 4, "associated_tickets_list": [55]}, "55"),
        ({"association_type": 2, "associated_tickets_list": [55]}, ""),
        ({"association_type": None}, ""),
        ({"association_type": 4}, None),
        ({}, None),
    ],
)
def test_a_ticket_related_to_a_tracker_shares_it_and_a_child_shares_nothing(
    fields: dict[str, Any], problem: str | None
) -> None:
    [one] = told("tickets", [ticket(1, day("09:00:00"), **fields)]).tickets
    said_of_it = {e.data["problem"] for e in one.events if "problem" in e.data}
    assert said_of_it == (set() if problem is None else {problem})
