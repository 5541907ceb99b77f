"""Pulling when a help desk misbehaves: its trouble is its own, is told, and ends."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from types import ModuleType
from typing import Any

import pytest
import requests
from django.db import connection as database

from portal.tenancy import due
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.tickets.connectors import chatwoot, jira, servicenow, zammad, zendesk
from tests.tickets.connectors.desk import Asked, Desk, Reply, open_http
from tests.tickets.connectors.entering import NOW, connected
from tests.tickets.connectors.test_pull_to_facts import Installation
from tickets import fetching, inbound, pulling
from tickets.connectors import CONNECTORS, http
from tickets.connectors.base import Context, Unusable
from tickets.connectors.http import MOST_PATIENCE, Http, HttpTrouble
from tickets.connectors.records import instant
from tickets.models import Connection, ConnectionCheck, FetchWork, InboundMessage, InboundOutcome
from tickets.reading import Unread, read_one

ZAMMAD = CONNECTORS["zammad"]
BROKEN_OFF = requests.exceptions.ChunkedEncodingError("IncompleteRead(5 read, 995 expected)")
DEEP = Reply(b"[" * 200_000)


class Two:
    """Two help desks of one organisation: the first misbehaves, the second is well."""

    def __init__(self, cast: Cast) -> None:
        self.first = connected(cast, "zammad", zammad.WORDS, options={"since": 60})
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            self.second = ConnectionFactory(
                tenant=cast.acme,
                name="zzz",
                kind="zammad",
                base_url="https://desk.example.org",
                options={"since": 60},
            )
        self.desk, self.other = zammad.desk(), zammad.desk()
        self.https = {
            self.first.pk: open_http(ZAMMAD, self.desk, secrets=zammad.SECRETS),
            self.second.pk: open_http(ZAMMAD, self.other, secrets=zammad.SECRETS),
        }
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            due.note(cast.acme.pk, fetching.PULL, NOW)

    def visited(self, minutes: float = 0) -> int:
        with roles.as_role(roles.WORKER):
            return pulling.sweep(
                NOW + timedelta(minutes=minutes), opened=lambda one: self.https[one.pk]
            )

    @property
    def trouble(self) -> str:
        return Connection.objects.get(pk=self.first.pk).trouble


@pytest.fixture
def two(cast: Cast) -> Iterator[Two]:
    made = Two(cast)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        yield made


# --- a trouble is one connection's ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(failure=BROKEN_OFF), "broke off"),
        (Reply(failure=requests.exceptions.InvalidHeader("a line break")), "InvalidHeader"),
        (DEEP, "not with JSON"),
        (Reply({}, 429, {"Retry-After": "99999999999999"}), "slow down"),
        (Reply(failure=LookupError("a mistake of ours")), "LookupError"),
    ],
)
def test_whatever_goes_wrong_is_told_and_keeps_no_other_waiting(
    two: Two, reply: Reply, said: str
) -> None:
    two.desk.always = reply
    assert two.visited() == 2
    assert said in two.trouble
    assert Connection.objects.get(pk=two.second.pk).trouble == ""
    two.desk.always = None
    assert two.visited(MOST_PATIENCE / 60 + 61) == 2
    assert two.trouble == ""


def test_what_nobody_foresaw_is_in_the_log_with_its_place(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    two.desk.always = Reply(failure=LookupError("a mistake of ours"))
    two.visited()
    [record] = [one for one in caplog.records if one.exc_info]
    assert "a mistake of ours" in str(record.exc_info)


class Kept(Desk):
    """Something in between that keeps the first answer to each path, whatever is asked of it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._kept = desk, dict[str, Reply]()

    def _reply(self, asked: Asked) -> Reply:
        return self._kept.setdefault(asked.path, self._desk._reply(asked))


@pytest.mark.parametrize(
    ("module", "said"), [(chatwoot, "same page"), (jira, "same page"), (servicenow, "no end")]
)
def test_a_list_that_never_ends_keeps_no_worker(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, module: ModuleType, said: str
) -> None:
    """Its first page says that there is more, and so does every other: it is the same one.

    The desk itself gives up behind 2,000 requests, as nobody else would.
    """
    monkeypatch.setattr(http, "MOST_REQUESTS", 500)
    installation = Installation(cast, module)
    kept = Kept(installation.desk)
    for scheme in ("https://", "http://"):
        installation.http._session.mount(scheme, kept)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        installation.visited()
        assert said in installation.stored.trouble
        assert len(kept.asked) <= 500


def test_each_ticket_that_a_hint_names_is_counted_from_its_own_beginning(
    installation: Installation,
) -> None:
    installation.http._requests = http.MOST_REQUESTS
    asked_for(installation, "1", minute=2)
    installation.visited(minutes=2)
    assert installation.stored.trouble == ""
    assert not FetchWork.objects.exists()


def test_a_cursor_that_cannot_be_kept_is_trouble(cast: Cast) -> None:
    installation = Installation(cast, zendesk)
    users = {"users": [], "after_cursor": "a\0b", "end_of_stream": True}
    installation.desk.before("/api/v2/incremental/users/cursor.json", users)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert installation.visited() == 0
        assert "DataError" in installation.stored.trouble


def test_words_of_a_help_desk_that_no_database_takes_are_told_all_the_same(two: Two) -> None:
    two.desk.always = Reply(failure=HttpTrouble("It says \0 and \ud83d."))
    assert two.visited() == 2
    assert two.trouble == "It says \ufffd and \ufffd."


def test_a_check_that_fails_as_nobody_foresaw_is_answered(two: Two) -> None:
    with roles.as_role(roles.OWNER):
        ConnectionCheck.objects.create(
            tenant_id=two.first.tenant_id, connection=two.first, asked_at=NOW
        )
    two.desk.always = Reply(failure=LookupError("a mistake of ours"))
    two.visited()
    check = ConnectionCheck.objects.get()
    assert (check.answered_at, check.passed) == (NOW, False)
    assert "LookupError" in check.answer


def test_an_answer_that_is_cut_off_is_asked_for_again() -> None:
    """Over a socket, since what a cut raises is the libraries' own."""
    server = socket.create_server(("127.0.0.1", 0))
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n"
    bodies = [b'{"a"', b'{"a": 77}']

    def serve() -> None:
        for body in bodies:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(head + body)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    slept: list[float] = []
    http = Http(f"http://127.0.0.1:{server.getsockname()[1]}", sleep=slept.append)
    http.reach([ip_network("127.0.0.0/8")])
    with server, closing(http):
        assert http.get("/x").json() == {"a": 77}
        thread.join(5)
    assert len(slept) == 1


# --- a record is one record -----------------------------------------------------------------------

_STAMPS = {"created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-10T10:00:00Z"}


@pytest.mark.parametrize(
    ("key", "topic", "records", "odd"),
    [
        (
            "zendesk",
            "tickets",
            [{"id": n, "subject": "x", "requester_id": 5, "status": "open"} for n in (1, 2, 3)],
            {"metric_set": [1]},
        ),
        (
            "zendesk",
            "survey_responses",
            [
                {
                    "id": f"01HZZZZZZ{n}0000000000000000",
                    "subjects": [{"zrn": "zen:ticket:1"}],
                    "answers": [{"type": "rating_scale", "rating": 5, **_STAMPS}],
                }
                for n in (1, 2, 3)
            ],
            {"id": "Z" * 26},
        ),
        (
            "freshdesk",
            "tickets",
            [{"id": n, "status": 2, "priority": 1, "stats": {}} for n in (1, 2, 3)],
            {"custom_fields": ["a"]},
        ),
    ],
)
def test_an_odd_record_is_a_remark_and_takes_no_other_along(
    key: str, topic: str, records: list[dict[str, Any]], odd: dict[str, Any]
) -> None:
    """Its page's cursor has moved on: what is left out here would not come again."""

    def told(*rows: dict[str, Any]) -> Any:
        context = Context(received_at=NOW, options={"fields": "cf_service"})
        raw = json.dumps({topic: rows}).encode()
        read = read_one(Unread(key, topic, raw, context))
        assert read.told is not None, read.errors
        return read.told

    rows = [{**_STAMPS, **row} for row in records]
    whole, [first, _, last] = told(*rows), rows
    assert not whole.remarks
    spoilt, without = told(first, {**rows[1], **odd}, last), told(first, last)
    kept = [news for news in spoilt.tickets if not news.left_out]
    assert (kept, spoilt.ratings) == (without.tickets, without.ratings)
    assert (without.tickets, without.ratings) != (whole.tickets, whole.ratings)
    [remark] = spoilt.remarks
    assert remark.reason.endswith("left out")


@pytest.mark.parametrize(
    "said",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", float("nan"), 1e300, "yesterday"],
)
def test_an_instant_that_no_calendar_holds_is_refused_with_its_field(said: object) -> None:
    with pytest.raises(Unusable, match=r"changed: .* is no instant"):
        instant(said, "changed")


# --- one ticket is one ticket ---------------------------------------------------------------------


def asked_for(installation: Installation, ticket: str, *, minute: int) -> None:
    fetching.ask(installation.connection, [ticket], at=NOW + timedelta(minutes=minute))


def fetches(installation: Installation, ticket: str) -> int:
    return sum(ticket in asked.path.split("/") for asked in installation.desk.asked)


def pulls(installation: Installation) -> int:
    return sum(asked.path.endswith("/search") for asked in installation.desk.asked)


@pytest.fixture
def installation(cast: Cast) -> Iterator[Installation]:
    made = Installation(cast, zammad)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        made.visited()
        yield made


#: 500 may be the help desk's own trouble: the pull that works says it is not.
@pytest.mark.parametrize("status", [403, 422, 500])
def test_a_ticket_that_cannot_be_fetched_stops_no_pull_and_ends_as_a_dead_letter(
    installation: Installation, status: int
) -> None:
    installation.desk.before("/api/v1/tickets/999", Reply({"error": "no"}, status))
    asked_for(installation, "999", minute=1)
    asked_for(installation, "1", minute=2)
    before = pulls(installation)
    for visits in range(1, 12):
        installation.visited(minutes=6 * visits)
        assert installation.stored.trouble == ""
        assert pulls(installation) == before + visits
        if not FetchWork.objects.exists():
            break
    each_try = 4 if status == 500 else 1
    assert fetches(installation, "999") == pulling.TICKET_TRIES * each_try
    letters = InboundMessage.objects.in_status(inbound.QUARANTINED)
    [error] = InboundOutcome.objects.filter(message=letters.get()).latest("pk").errors
    assert error["field"] == "ticket"
    assert str(status) in error["reason"]


def test_a_ticket_in_back_off_is_not_asked_for_at_each_visit(installation: Installation) -> None:
    installation.desk.before("/api/v1/tickets/999", Reply({}, 403))
    asked_for(installation, "999", minute=1)
    for minute in (1, 2, 3):
        asked_for(installation, "1", minute=minute)
        installation.visited(minute)
    assert fetches(installation, "999") == 2


def test_a_replayed_dead_letter_asks_for_its_ticket_again(installation: Installation) -> None:
    refused = Reply({}, 403)
    installation.desk.before("/api/v1/tickets/2", lambda _: refused)
    asked_for(installation, "2", minute=1)
    for visits in range(1, 8):
        installation.visited(minutes=6 * visits)
    letter = InboundMessage.objects.in_status(inbound.QUARANTINED).get()
    refused = Reply(zammad.FORGOTTEN["ticket"])
    later = NOW + timedelta(minutes=60)
    inbound.replay(tenant_id=letter.tenant_id, message_id=letter.pk, at=later)
    asked = fetches(installation, "2")
    for minute in (60, 61):
        installation.visited(minute)
    assert fetches(installation, "2") > asked
    assert not FetchWork.objects.exists()
    assert not InboundMessage.objects.in_status(inbound.QUARANTINED).exists()


def test_a_help_desk_that_is_away_costs_no_ticket_its_tries(installation: Installation) -> None:
    asked_for(installation, "1", minute=1)
    installation.desk.always = Reply({}, 503)
    for hour in range(1, 8):
        installation.visited(minutes=61 * hour)
    assert FetchWork.objects.get().tries == 0
    installation.desk.always = None
    installation.visited(minutes=61 * 9)
    assert not FetchWork.objects.exists()


def test_hints_that_never_end_do_not_put_off_the_pull(installation: Installation) -> None:
    before = pulls(installation)
    for minute in range(1, 12):
        asked_for(installation, "1", minute=minute)
        installation.visited(minute)
    assert pulls(installation) == before + 2


# --- what a help desk says of its limits ----------------------------------------------------------


def limited(status: int, headers: Mapping[str, object]) -> tuple[HttpTrouble, list[float]]:
    """What a session meets that is answered so each time, and its pauses until then."""
    desk = Desk()
    desk.always = Reply({}, status, {name: str(said) for name, said in headers.items()})
    http = open_http(ZAMMAD, desk, secrets=zammad.SECRETS)
    with pytest.raises(HttpTrouble) as met:
        http.get("/x")
    return met.value, desk.slept


@dataclass(frozen=True)
class FromNow:
    """An instant, written when the test runs."""

    seconds: float
    form: str = ""

    def __str__(self) -> str:
        at = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return at.strftime(self.form) if self.form else str(int(at.timestamp()))


DATE = "%a, %d %b %Y %H:%M:%S"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"Retry-After": "1800"}),
        (503, {"Retry-After": "1800"}),
        (429, {"Retry-After": FromNow(1800, f"{DATE} GMT")}),
        (429, {"Retry-After": FromNow(1800, DATE)}),
        (429, {"RateLimit-Reset": FromNow(1800)}),
        (429, {"rate-limit-reset": "1800"}),
        (429, {"X-RateLimit-Reset": FromNow(1800)}),
        (429, {"X-RateLimit-Reset": FromNow(1800, "%Y-%m-%dT%H:%MZ")}),
        (403, {"Retry-After": "1800", "X-RateLimit-Remaining": "4000"}),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": FromNow(1800)}),
    ],
)
def test_a_limit_is_waited_for_however_it_is_told(status: int, headers: dict[str, Any]) -> None:
    trouble, slept = limited(status, headers)
    assert trouble.retry_after == pytest.approx(1800, abs=90)
    assert trouble.status == (429 if status == 403 else status)
    assert slept == []


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        # A reset stands on every answer of GitHub's: of a failure it says nothing.
        (502, {"X-RateLimit-Remaining": "4000", "X-RateLimit-Reset": FromNow(1800)}),
        (429, {"Retry-After": "soon"}),
    ],
)
def test_what_tells_no_pause_is_tried_again_as_we_think(
    status: int, headers: dict[str, Any]
) -> None:
    assert limited(status, headers)[1] == [2, 4, 8]


def test_a_refusal_that_is_no_limit_is_none() -> None:
    headers = {"X-RateLimit-Remaining": "4000", "X-RateLimit-Reset": FromNow(1800)}
    trouble, slept = limited(403, headers)
    assert (trouble.status, trouble.retry_after, slept) == (403, None, [])


@pytest.mark.parametrize("said", ["99999999999999", "99999999", FromNow(10**9)])
def test_a_help_desk_is_taken_at_its_word_for_a_day(said: object) -> None:
    assert limited(429, {"Retry-After": said})[0].retry_after == MOST_PATIENCE


def test_what_is_known_to_be_used_up_is_not_asked_for() -> None:
    desk = Desk()
    http = open_http(ZAMMAD, desk, secrets=zammad.SECRETS)
    used_up = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20"}
    desk.first = [Reply({}, 200, used_up), Reply({}), Reply({})]
    for _ in range(3):
        http.get("/x")
    assert desk.slept == [20]
    desk.first = [Reply({}, 200, {**used_up, "X-RateLimit-Reset": "1800"})]
    http.get("/x")
    with pytest.raises(HttpTrouble, match="slow down") as trouble:
        http.get("/x")
    assert trouble.value.retry_after == 1800
    assert len(desk.asked) == 4


def test_no_hint_asks_before_the_help_desk_lets_us(installation: Installation) -> None:
    installation.desk.always = Reply({}, 429, {"Retry-After": "3600"})
    installation.visited(6)
    asked = len(installation.desk.asked)
    asked_for(installation, "1", minute=7)
    for minute in (8, 30, 65):
        installation.visited(minute)
    assert len(installation.desk.asked) == asked
    installation.desk.always = None
    installation.visited(67)
    assert installation.stored.not_before is None
    assert not FetchWork.objects.exists()
    assert len(installation.desk.asked) > asked


def test_a_pause_counts_from_when_it_is_said(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull may take hours before it is told to pause."""
    desk = installation.desk
    monkeypatch.setattr("tickets.pulling.monotonic", desk.clock)

    def slowly(_: Any) -> Reply:
        desk.time += 7200
        return Reply({}, 429, {"Retry-After": "1800"})

    desk.before("/api/v1/tickets/search", slowly)
    installation.visited(6)
    assert installation.stored.not_before == NOW + timedelta(minutes=6, hours=2.5)


# --- one worker a connection ----------------------------------------------------------------------


class Elsewhere:
    """Another worker's session, which tries to visit a connection."""

    def __init__(self, connection: Connection) -> None:
        self.pk, self.session = connection.pk, database.copy()

    def _ask(self, function: str) -> bool:
        with self.session.cursor() as cursor:
            cursor.execute(f"SELECT {function}({pulling.LOCK})", [self.pk])
            return bool(cursor.fetchone()[0])

    def takes(self) -> bool:
        return self._ask("pg_try_advisory_lock")

    def leaves(self) -> None:
        assert self._ask("pg_advisory_unlock")


@pytest.fixture
def elsewhere(two: Two) -> Iterator[Elsewhere]:
    made = Elsewhere(two.first)
    yield made
    made.session.close()


def test_what_another_worker_visits_is_left_to_it_and_looked_at_again_soon(
    two: Two, elsewhere: Elsewhere
) -> None:
    assert elsewhere.takes()
    assert two.visited() == 2
    assert (len(two.desk.asked), bool(two.other.asked)) == (0, True)
    elsewhere.leaves()
    assert two.visited(1) == 2


def test_a_connection_is_held_while_it_is_pulled_however_long_that_is(
    two: Two, elsewhere: Elsewhere
) -> None:
    """The lease on the organisation's row ends after five minutes; a first pull takes hours."""
    taken: list[bool] = []
    answer = two.desk._reply

    def reply(asked: Any) -> Reply:
        taken.append(elsewhere.takes())
        return answer(asked)

    two.desk._reply = reply
    assert two.visited() == 4
    assert taken
    assert not any(taken)
    assert elsewhere.takes()


def test_a_connection_that_fails_is_let_go(two: Two, elsewhere: Elsewhere) -> None:
    two.desk.always = Reply(failure=LookupError("a mistake of ours"))
    two.visited()
    assert elsewhere.takes()


def test_who_comes_after_another_worker_does_not_pull_what_it_has_pulled(two: Two) -> None:
    before = Connection.objects.get(pk=two.first.pk)
    two.visited()
    asked = len(two.desk.asked)
    found, again = pulling._visit(before, NOW, lambda one: two.https[one.pk], lambda: NOW)
    assert (found, again) == (0, NOW + pulling.INTERVAL)
    assert len(two.desk.asked) == asked
