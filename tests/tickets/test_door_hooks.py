"""Webhooks at their address: who is believed, what is stored, refused and never logged."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from portal.audit.models import AuditEntry
from portal.audit.trail import SYSTEM
from portal.logs import MaskTokens
from portal.tenancy.context import acting
from portal.tenancy.models import Door
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.portal.test_permissions import told
from tickets import connecting, hooks, inbound
from tickets.connecting import NewHook, open_hook, retire_hook, rotate_secret
from tickets.connectors import CONNECTORS
from tickets.connectors import signatures as scheme
from tickets.connectors.base import Connector, Context, Delivery
from tickets.models import (
    Connection,
    FetchWork,
    HookSecret,
    InboundBody,
    InboundMessage,
    InboundOutcome,
    Ticket,
)
from tickets.news import TicketNews, Told

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Desk(Connector):
    """A help desk whose hooks tell a ticket, whether they should or not."""

    key, name = "desk", "Desk"
    pulls = hooks = True
    ticket_id = re.compile(r"[\w-]*")

    def __init__(self, how: scheme.Scheme | None) -> None:
        self.scheme = how

    def delivery(self, headers: Any, raw: bytes) -> Delivery:
        kept = {name: headers[name] for name in headers if name.startswith("x-")}
        return Delivery(headers.get("webhook-id", ""), "hook", kept)

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        ticket = str(json.loads(raw)["ticket"])
        return Told(tickets=[TicketNews(ticket)], fetch=[f"{ticket}-child"])


class Poor(Desk):
    """One that cannot be pulled."""

    pulls = False


def standard(raw: bytes, at: datetime, secret: str = SECRET, id_: str = "d1") -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{id_}.{stamp}.".encode() + raw, "sha256")
    return {
        "webhook-id": id_,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


def zendesk(raw: bytes, at: datetime, secret: str = SECRET, stamp: str = "") -> dict[str, str]:
    stamp = stamp or at.strftime("%Y-%m-%dT%H:%M:%SZ")
    mac = hmac.digest(secret.encode(), stamp.encode() + raw, "sha256")
    return {
        "x-zendesk-webhook-signature": base64.b64encode(mac).decode(),
        "x-zendesk-webhook-signature-timestamp": stamp,
    }


def chatwoot(raw: bytes, at: datetime, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + raw, "sha256").hexdigest()
    return {"x-chatwoot-signature": f"sha256={mac}", "x-chatwoot-timestamp": stamp}


def hub(header: str, algorithm: str) -> Callable[..., dict[str, str]]:
    def sign(raw: bytes, at: datetime, secret: str = SECRET) -> dict[str, str]:
        return {header: f"{algorithm}={hmac.new(secret.encode(), raw, algorithm).hexdigest()}"}

    return sign


SIGNERS: dict[str, tuple[scheme.Scheme, Callable[..., dict[str, str]]]] = {
    "standard": (scheme.STANDARD, standard),
    "zendesk": (scheme.ZENDESK, zendesk),
    "chatwoot": (scheme.CHATWOOT, chatwoot),
    "jira": (scheme.JIRA, hub("x-hub-signature", "sha256")),
    "zammad": (scheme.ZAMMAD, hub("x-hub-signature", "sha1")),
    "github": (scheme.GITHUB, hub("x-hub-signature-256", "sha256")),
    "gitlab": (scheme.GITLAB, standard),
}
TIMESTAMPED = ["standard", "zendesk", "chatwoot", "gitlab"]


@pytest.fixture
def at_noon() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def opened(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, at_noon: time_machine.Coordinates
) -> Callable[..., tuple[Connection, NewHook]]:
    """Open a hook of a desk with this way of signing."""

    def open_(how: scheme.Scheme | None, desk: type[Desk] = Desk) -> tuple[Connection, NewHook]:
        monkeypatch.setitem(CONNECTORS, "desk", desk(how))
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            connection = ConnectionFactory(tenant=cast.acme, name="hooked", kind="desk")
        with acting(cast.acme.pk):
            hook = open_hook(connection=connection, by=SYSTEM, at=NOW, secret=SECRET if how else "")
        return connection, hook

    return open_


def post(hook: NewHook, raw: bytes, headers: dict[str, str] | None = None) -> Any:
    path = hook.url[hook.url.index("/hooks/") :]
    return Client().post(path, raw, content_type="application/json", headers=headers or {})


def stored(cast: Cast) -> int:
    with acting(cast.acme.pk):
        return int(InboundMessage.objects.count())


def a_body(size: int = 0) -> bytes:
    return json.dumps({"ticket": "T1", "text": "x" * size}).encode()


# --- signatures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SIGNERS))
def test_a_signed_webhook_is_stored_as_it_came_and_its_replay_has_no_effect(
    cast: Cast, opened: Any, name: str
) -> None:
    how, sign = SIGNERS[name]
    _, hook = opened(how)
    raw = a_body(100)
    first, again = (post(hook, raw, sign(raw, NOW)) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["status"] == "created"
    assert again.json() == {"message": first.json()["message"], "status": "duplicate"}
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        message = InboundMessage.objects.get()
        assert (message.pk, message.signature) == (first.json()["message"], "valid")
        assert bytes(InboundBody.objects.get().raw) == raw


@pytest.mark.parametrize("name", sorted(SIGNERS))
def test_a_request_of_two_kilobytes_with_any_one_byte_flipped_is_not_signed(name: str) -> None:
    how, sign = SIGNERS[name]
    raw = a_body(2048)
    headers = sign(raw, NOW)
    assert how.verify(headers, raw, [SECRET], NOW), "the control: as it was signed"
    for bit in (0x01, 0x20, 0x80):
        for place in range(len(raw)):
            flipped = bytearray(raw)
            flipped[place] ^= bit
            assert not how.verify(headers, bytes(flipped), [SECRET], NOW), (bit, place)
    for header, value in headers.items():
        for place in range(len(value)):
            for bit in (0x01, 0x20):
                other = value[:place] + chr(ord(value[place]) ^ bit) + value[place + 1 :]
                assert not how.verify({**headers, header: other}, raw, [SECRET], NOW), other


@pytest.mark.faults
@pytest.mark.parametrize("name", ["standard", "zammad"])
def test_a_request_with_any_one_byte_flipped_is_answered_401_and_stores_nothing(
    cast: Cast, opened: Any, name: str
) -> None:
    from tests.faults import tries

    how, sign = SIGNERS[name]
    _, hook = opened(how)
    raw = a_body(2048)
    headers = sign(raw, NOW)
    step = max(1, len(raw) // tries(len(raw)))
    for place in range(0, len(raw), step):
        flipped = raw[:place] + bytes([raw[place] ^ 0x01]) + raw[place + 1 :]
        assert post(hook, flipped, headers).status_code == 401
    assert stored(cast) == 0
    assert post(hook, raw, headers).status_code == 202


@pytest.mark.parametrize("name", TIMESTAMPED)
@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-300, 202), (300, 202), (301, 401)])
def test_a_timestamp_counts_for_five_minutes_either_way(
    cast: Cast, opened: Any, name: str, seconds: int, status: int
) -> None:
    how, sign = SIGNERS[name]
    _, hook = opened(how)
    raw = a_body()
    headers = sign(raw, NOW + timedelta(seconds=seconds))
    assert post(hook, raw, headers).status_code == status
    assert stored(cast) == (status == 202)


@pytest.mark.parametrize(
    ("stamp", "fits"),
    [
        ("2026-03-02T12:00:00Z", True),
        ("2026-03-02T13:00:00+01:00", True),
        ("2026-03-02T12:00:00.250Z", True),
        ("2026-03-02T12:00:00+01:00", False),
        ("2026-03-02T12:00:00", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59-14:00", False),
        ("1772452800", False),
        ("", False),
    ],
)
def test_a_timestamp_of_zendesk_is_an_instant_with_its_offset(stamp: str, fits: bool) -> None:
    raw = a_body()
    headers = (
        zendesk(raw, NOW, stamp=stamp)
        if stamp
        else zendesk(raw, NOW) | {"x-zendesk-webhook-signature-timestamp": ""}
    )
    assert scheme.ZENDESK.verify(headers, raw, [SECRET], NOW) is fits


@pytest.mark.parametrize("stamp", ["", "-1", "1e9", "nan", "inf", "١٧٧٢٤٥٢٨٠٠", "9" * 400])
def test_a_timestamp_that_is_no_number_of_seconds_is_refused(stamp: str) -> None:
    raw = a_body()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.digest(key, f"d1.{stamp}.".encode() + raw, "sha256")
    signature = "v1," + base64.b64encode(mac).decode()
    headers = {"webhook-id": "d1", "webhook-timestamp": stamp, "webhook-signature": signature}
    assert not scheme.STANDARD.verify(headers, raw, [SECRET], NOW)


def test_one_of_several_signatures_is_enough_while_keys_change(cast: Cast, opened: Any) -> None:
    _, hook = opened(scheme.STANDARD)
    raw = a_body()
    headers = standard(raw, NOW)
    headers["webhook-signature"] = "v1,bm9uZQ== v2,x " + headers["webhook-signature"]
    assert post(hook, raw, headers).status_code == 202


@pytest.mark.parametrize("name", sorted(SIGNERS))
def test_without_any_header_nothing_is_believed(cast: Cast, opened: Any, name: str) -> None:
    _, hook = opened(SIGNERS[name][0])
    answer = post(hook, a_body())
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers
    assert stored(cast) == 0


def test_another_body_under_the_same_id_is_a_conflict_where_it_is_signed(
    cast: Cast, opened: Any
) -> None:
    _, hook = opened(scheme.STANDARD)
    raw, other = a_body(), a_body(1)
    assert post(hook, raw, standard(raw, NOW)).status_code == 202
    answer = post(hook, other, standard(other, NOW))
    assert answer.status_code == 409
    assert hashlib.sha256(other).hexdigest() in answer.json()["detail"]
    assert stored(cast) == 1


# --- what nothing signs --------------------------------------------------------------------------


def sweep() -> int:
    with roles.as_role(roles.WORKER):
        return inbound.sweep(NOW)


def test_an_unsigned_webhook_leads_to_a_fetch_and_to_nothing_else(cast: Cast, opened: Any) -> None:
    connection, hook = opened(None)
    assert post(hook, a_body()).status_code == 202
    assert sweep() == 1
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        asked = FetchWork.objects.filter(connection=connection)
        assert set(asked.values_list("external_id", flat=True)) == {"T1", "T1-child"}
        assert not Ticket.objects.exists()
        assert InboundOutcome.objects.get().status == "folded"


def test_the_same_webhook_signed_is_believed(
    cast: Cast, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test above: the connector does tell a ticket."""
    _, hook = opened(scheme.STANDARD)
    raw, seen = a_body(), []
    monkeypatch.setattr(inbound.ingest, "enter", lambda **given: seen.append(given["told"]))
    post(hook, raw, standard(raw, NOW))
    sweep()
    assert [one.external_id for one in seen[0].tickets] == ["T1"]


def test_a_scheme_without_a_secret_leaves_a_webhook_unsigned(cast: Cast, opened: Any) -> None:
    _, hook = opened(scheme.STANDARD)
    with acting(cast.acme.pk):
        HookSecret.objects.all().delete()
    assert post(hook, a_body()).status_code == 202
    with acting(cast.acme.pk):
        assert InboundMessage.objects.get().signature == "unsigned"


def test_a_secret_that_cannot_be_opened_lets_nobody_in_as_unsigned(
    cast: Cast, opened: Any, settings: Any
) -> None:
    _, hook = opened(scheme.STANDARD)
    raw = a_body()
    settings.SECRET_KEY = "another key altogether, and a long one"
    assert post(hook, raw, standard(raw, NOW)).status_code == 503
    assert stored(cast) == 0


def test_an_unsigned_webhook_of_a_source_that_cannot_be_asked_waits_for_a_person(
    cast: Cast, opened: Any
) -> None:
    _, hook = opened(None, Poor)
    assert post(hook, a_body()).status_code == 202
    sweep()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        outcome = InboundOutcome.objects.get()
        assert outcome.status == "quarantined"
        assert "set a secret" in outcome.errors[0]["reason"]


def test_unsigned_hints_with_an_id_come_once_and_without_one_every_time(
    cast: Cast, opened: Any, at_noon: time_machine.Coordinates
) -> None:
    _, hook = opened(None)
    with_id = {"webhook-id": "w1"}
    assert post(hook, a_body(), with_id).status_code == 202
    assert post(hook, a_body(), with_id).status_code == 200
    assert post(hook, a_body(1), with_id).status_code == 202, "nothing vouches for the id"
    assert post(hook, a_body()).status_code == 202
    at_noon.shift(1)
    assert post(hook, a_body()).status_code == 202, "the ticket may have changed again"
    assert stored(cast) == 4


def test_one_unsigned_webhook_asks_for_a_bounded_number_of_tickets(
    cast: Cast, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, hook = opened(None)
    many = [f"T{number}" for number in range(5000)] + ["", "x" * 201]
    monkeypatch.setattr(Desk, "tell", lambda *_: Told(fetch=many))
    post(hook, a_body())
    sweep()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert FetchWork.objects.count() == 100
        assert "5000 tickets" in InboundOutcome.objects.get().errors[0]["reason"]


def test_a_ticket_asked_for_again_while_it_is_fetched_is_fetched_again(
    cast: Cast, opened: Any, at_noon: time_machine.Coordinates
) -> None:
    connection, hook = opened(None)
    post(hook, a_body())
    sweep()
    later = NOW + timedelta(seconds=5)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        from tickets import fetching

        fetching.ask(connection, ["T1"], at=later)
        assert FetchWork.objects.get(external_id="T1").asked_at == later


# --- the address ---------------------------------------------------------------------------------


def test_what_is_no_address_answers_the_same_whatever_is_asked(cast: Cast, opened: Any) -> None:
    connection, hook = opened(None)
    right = hook.url.rpartition("/hooks/")[2].strip("/")
    with acting(cast.acme.pk):
        retire_hook(connection=connection, by=SYSTEM, at=NOW)
    answers = [
        told(Client().post(f"/hooks/{part}/", a_body(), content_type="application/json"))
        for part in (right, "x" * 43, "short", "ü" * 43, "%00", "x" * 5000)
    ]
    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers)


def test_a_door_of_another_kind_is_no_hook(cast: Cast, opened: Any) -> None:
    _, hook = opened(None)
    with roles.as_role(roles.OWNER):
        Door.objects.filter(kind="hook").update(kind="survey")
    assert post(hook, a_body()).status_code == 404


def test_only_posting_is_understood(cast: Cast, opened: Any) -> None:
    _, hook = opened(None)
    path = hook.url[hook.url.index("/hooks/") :]
    for method in ("get", "put", "delete", "head", "options"):
        answer = getattr(Client(), method)(path)
        assert answer.status_code == 405
        assert told(answer) == told(getattr(Client(), method)(f"/hooks/{'x' * 43}/"))


def test_a_connection_that_became_another_kind_takes_no_hooks(
    cast: Cast, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, hook = opened(None)
    monkeypatch.setattr(Desk, "hooks", False)
    assert post(hook, a_body()).status_code == 404
    with acting(cast.acme.pk), pytest.raises(connecting.TakesNoHooks):
        open_hook(connection=Connection.objects.get(name="hooked"), by=SYSTEM, at=NOW)


def test_an_address_leads_to_its_own_organisation_only(cast: Cast, opened: Any) -> None:
    _, hook = opened(None)
    post(hook, a_body())
    with acting(cast.globex.pk):
        assert not InboundMessage.objects.exists()
    assert stored(cast) == 1


# --- what a body may be --------------------------------------------------------------------------


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    ("raw", "deep"),
    [
        (nested(20), False),
        (nested(21), True),
        (b"[" * 500_000, True),
        (b'{"a": "' + b"[" * 1000 + b'"}', False),
        (b'{"a": "\\"' + b"[" * 1000 + b'"}', False),
        (b'{"a": "\\\\"' + b"[" * 1000, True),
        (b'{"a": "' + b"\\" * 400_001, False),
        (b"[" + b"[]," * 1000 + b"[]]", False),
        (b"plain [[[[[[[[[[[[[[[[[[[[[[[[[", False),
        (b"  \n" + b"[" * 21, True),
        *(
            (nested(levels).decode().encode(encoding), levels > 20)
            for levels in (20, 21)
            for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
        ),
        (b"", False),
        (b"\xff\xfe[", False),
    ],
)
def test_the_depth_of_json_is_counted_without_parsing_it(raw: bytes, deep: bool) -> None:
    began = time.process_time()
    assert hooks.too_deep(raw) is deep
    assert time.process_time() - began < 5  # a pattern that backtracks takes hours


def test_a_deep_body_is_refused_and_a_large_one_is_not_even_read(cast: Cast, opened: Any) -> None:
    _, hook = opened(None)
    assert post(hook, nested(21)).status_code == 400
    assert post(hook, b" " * (1024 * 1024 + 1)).status_code == 413
    assert stored(cast) == 0
    assert post(hook, nested(20)).status_code == 202
    assert post(hook, b" " * 1024 * 1024).status_code == 202


@pytest.mark.parametrize("length", ["", "ten", "-1", "²"])
def test_a_body_of_no_stated_length_is_refused_and_not_acknowledged(
    cast: Cast, opened: Any, length: str
) -> None:
    """Sent in chunks it would be read as an empty one."""
    _, hook = opened(None)
    path = hook.url[hook.url.index("/hooks/") :]
    chunked = {"CONTENT_LENGTH": length, "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = Client().generic("POST", path, a_body(), "application/json", **chunked)
    assert answer.status_code == 411
    assert "Content-Length" in answer.json()["detail"]
    assert stored(cast) == 0


def test_an_empty_body_is_refused_and_not_acknowledged(cast: Cast, opened: Any) -> None:
    _, hook = opened(None)
    path = hook.url[hook.url.index("/hooks/") :]
    answer = Client().generic("POST", path, b"", "application/json", CONTENT_LENGTH="0")
    assert answer.status_code == 400
    assert "empty" in answer.json()["detail"]
    assert stored(cast) == 0
    assert post(hook, a_body()).status_code == 202  # the negative control


def test_a_body_the_connector_cannot_sort_is_kept_for_a_person(
    cast: Cast, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, hook = opened(None)

    def fail(*_: object) -> Delivery:
        raise AttributeError("'list' object has no attribute 'get'")

    monkeypatch.setattr(Desk, "delivery", fail)
    assert post(hook, b"[1]").status_code == 202
    assert stored(cast) == 1


@pytest.mark.parametrize("id_", ["x" * 2000, "a\tb", "é" * 150])
def test_a_strange_id_is_kept_by_its_hash_and_known_again(
    cast: Cast, opened: Any, monkeypatch: pytest.MonkeyPatch, id_: str
) -> None:
    _, hook = opened(None)
    monkeypatch.setattr(Desk, "delivery", lambda *_: Delivery(id_, "hook"))
    assert [post(hook, a_body()).status_code for _ in range(2)] == [202, 200]


def test_headers_are_kept_but_for_what_opens_or_signs(cast: Cast, opened: Any) -> None:
    _, hook = opened(scheme.GITHUB)
    raw = a_body()
    sent = {
        **SIGNERS["github"][1](raw, NOW),
        "x-github-event": "issues",
        "x-api-key": "no",
        "x-gitlab-token": "no",
        "x-authenticated-by": "no",
        "x-long": "y" * 1000,
    }
    post(hook, raw, sent)
    with acting(cast.acme.pk):
        kept = InboundMessage.objects.get().headers
    assert kept == {"x-github-event": "issues", "x-long": "y" * 300}


# --- changing the secret -------------------------------------------------------------------------


def test_the_old_secret_works_in_the_overlap_only(
    cast: Cast, opened: Any, at_noon: time_machine.Coordinates
) -> None:
    connection, hook = opened(scheme.STANDARD)

    def sent(secret: str, id_: str) -> int:
        raw, now = a_body(), datetime.now(UTC)
        return int(post(hook, raw, standard(raw, now, secret, id_)).status_code)

    with acting(cast.acme.pk):
        new = rotate_secret(connection=connection, by=SYSTEM, at=NOW, overlap=timedelta(minutes=10))
    assert new != SECRET
    assert (sent(SECRET, "a"), sent(new, "b")) == (202, 202)
    at_noon.shift(599)
    assert (sent(SECRET, "c"), sent(new, "d")) == (202, 202)
    at_noon.shift(1)
    assert (sent(SECRET, "e"), sent(new, "f")) == (401, 202)


def test_an_overlap_of_nought_ends_every_former_secret(cast: Cast, opened: Any) -> None:
    connection, _ = opened(scheme.STANDARD)
    with acting(cast.acme.pk):
        rotate_secret(connection=connection, by=SYSTEM, at=NOW)
        rotate_secret(connection=connection, by=SYSTEM, at=NOW)
        assert len(connecting.accepted_secrets(connection, NOW)) == 3
        last = rotate_secret(connection=connection, by=SYSTEM, at=NOW, overlap=timedelta(0))
        assert connecting.accepted_secrets(connection, NOW) == [last]


def test_opening_again_ends_the_former_address(cast: Cast, opened: Any) -> None:
    connection, first = opened(None)
    with acting(cast.acme.pk):
        second = open_hook(connection=connection, by=SYSTEM, at=NOW)
    assert post(first, a_body()).status_code == 404
    assert post(second, a_body()).status_code == 202


@pytest.mark.parametrize(
    ("secret", "why"), [("short", "16 to 500"), ("x" * 501, "16"), ("not base64 at all!", "base64")]
)
def test_a_secret_that_cannot_sign_is_refused(
    cast: Cast, opened: Any, secret: str, why: str
) -> None:
    connection, _ = opened(scheme.STANDARD)
    with acting(cast.acme.pk), pytest.raises(connecting.BadSecret, match=why):
        rotate_secret(connection=connection, by=SYSTEM, at=NOW, secret=secret)
    with acting(cast.acme.pk):
        assert connecting.accepted_secrets(connection, NOW) == [SECRET]


def test_without_an_address_there_is_nothing_to_change(in_acme: Cast) -> None:
    for act in (rotate_secret, retire_hook):
        with pytest.raises(connecting.NoHook):
            act(connection=in_acme.desk, by=SYSTEM, at=NOW)


def test_acts_are_in_the_trail_and_no_secret_is(cast: Cast, opened: Any) -> None:
    connection, hook = opened(scheme.STANDARD)
    with acting(cast.acme.pk):
        new = rotate_secret(connection=connection, by=SYSTEM, at=NOW)
        retire_hook(connection=connection, by=SYSTEM, at=NOW)
        entries = list(AuditEntry.objects.order_by("sequence"))
        assert [one.act for one in entries] == [
            "hook.opened",
            "hook.secret_rotated",
            "hook.retired",
        ]
        text = json.dumps([one.detail for one in entries]) + repr(hook)
        part = hook.url.rpartition("/hooks/")[2].strip("/")
        for secret in (SECRET, new, part):
            assert secret not in text
        sealed = b"".join(bytes(one) for one in HookSecret.objects.values_list("sealed", flat=True))
        assert SECRET.encode() not in sealed


# --- what is never written -----------------------------------------------------------------------


@pytest.mark.parametrize("masked", [True, False])
def test_no_log_holds_an_address_and_a_failure_quotes_none(
    cast: Cast, opened: Any, monkeypatch: pytest.MonkeyPatch, masked: bool
) -> None:
    """The negative control is the same without the filter."""
    _, hook = opened(None)
    part = hook.url.rpartition("/hooks/")[2].strip("/")

    def fail(**_: object) -> Any:
        raise RuntimeError(f"at /hooks/{part}/")

    written: list[str] = []

    class Written(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Written()
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    if masked:
        handler.addFilter(MaskTokens())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    Client().get(f"/hooks/{part}/")
    Client().post(f"/hooks/{part}x/", b"", "application/json")
    post(hook, nested(30))
    monkeypatch.setattr(hooks, "receive", fail)
    client = Client(raise_request_exception=False)
    assert client.post(reverse("hook", args=[part]), b"{}", "application/json").status_code == 500
    text = "\n".join(written)
    assert "RuntimeError" in text
    assert ("/hooks/<token>/" in text) is masked
    assert (part in text) is not masked


def test_the_settings_put_the_filter_before_everything_that_is_written(settings: Any) -> None:
    for name in ("gunicorn.error", "gunicorn.access"):
        assert settings.LOGGING["loggers"][name]["handlers"] == ["stderr"]
    assert settings.LOGGING["root"]["handlers"] == ["stderr"]
    assert settings.LOGGING["handlers"]["stderr"]["filters"] == ["tokens"]


# --- the lint ------------------------------------------------------------------------------------

TICKETS = Path(__file__).parents[2] / "tickets"
SECRETIVE = ("secret", "signature", "digest", "token", "given", "accepted", "mac", "credential")


def compared(text: str) -> list[int]:
    """Lines where something named like a secret is compared by `==`, `!=` or `in`.

    Whether it is there at all may be asked: comparing with a constant, or looking for a key.
    """
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        if not any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops):
            continue
        if any(isinstance(side, ast.Constant) for side in sides):
            continue
        named = [
            getattr(part, "attr", getattr(part, "id", ""))
            for side in sides
            for part in ast.walk(side)
            if isinstance(part, ast.Name | ast.Attribute)
        ]
        if any(word in name.lower() for name in named for word in SECRETIVE):
            found.append(node.lineno)
    return found


def test_no_secret_is_compared_by_what_stops_at_the_first_difference() -> None:
    paths = [*sorted((TICKETS / "connectors").glob("*.py")), TICKETS / "hooks.py"]
    paths.append(TICKETS / "connecting.py")
    assert len(paths) > 5
    found = {
        f"{path.name}:{line}: {path.read_text().splitlines()[line - 1].strip()}"
        for path in paths
        for line in compared(path.read_text())
    }
    assert {one for one in found if "signature == Signature.VALID" not in one} == set()


@pytest.mark.parametrize(
    "text", ["given == wanted_digest", "x != secret", "self.token == y", "x in accepted"]
)
def test_the_lint_finds_a_comparison(text: str) -> None:
    assert compared(text) == [1]
    assert compared('"x-signature" in headers') == []
