"""NUL and halves of surrogate pairs in what help desks answer: replaced, and nothing else lost."""

from __future__ import annotations

import json
import re

import pytest

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.connectors import chatwoot, freshdesk, github, zendesk
from tests.tickets.connectors.desk import Reply
from tests.tickets.connectors.entering import connected, entered
from tests.tickets.connectors.test_pull_to_facts import Installation
from tickets.connectors import CONNECTORS
from tickets.connectors.records import compact, document
from tickets.models import Ticket
from tickets.storable import decoded, storable

HALF = b"\xed\xa0\xbd"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (b'"a' + HALF + b'"', "a\ufffd"),
        (b'"a' + HALF + b'\xed\xb8\x80"', "a\U0001f600"),
        (rb'"a\u0000b"', "a\ufffdb"),
        (rb'{"\ud83d": ["\u0000"]}', {"\ufffd": ["\ufffd"]}),
        ('"a\ud83d"'.encode("utf-16", "surrogatepass"), "a\ufffd"),
        (rb'"\\ud83d and \\u0000"', "\\ud83d and \\u0000"),
        ('"한글 \U0001f600"'.encode(), "한글 \U0001f600"),
    ],
)
def test_what_is_decoded_can_be_stored(raw: bytes, said: object) -> None:
    assert decoded(raw) == document(raw) == said
    assert storable(said) == said
    compact({"said": json.loads(raw)}).decode()  # a page that is put together is UTF-8


def test_without_it_a_page_could_not_be_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr("tickets.connectors.records.storable", lambda text: text)
    with pytest.raises(UnicodeEncodeError):
        compact({"said": "\ud83d"})


def test_a_page_with_half_a_character_in_its_bytes_is_told_whole(cast: Cast) -> None:
    connection = connected(cast, "zendesk", zendesk.WORDS)
    rows = [
        {
            "id": n, "subject": "HERE", "requester_id": 5, "status": "open",
            "created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-10T10:00:00Z",
        }
        for n in range(1, 10)
    ]  # fmt: skip
    raw = json.dumps({"tickets": rows}).encode().replace(b"HERE", b"x" + HALF, 1)
    entered(connection, [("tickets", raw, {})])
    with acting(cast.acme.pk):
        subjects = sorted(Ticket.objects.values_list("subject", flat=True))
        assert subjects == ["HERE"] * 8 + ["x\ufffd"]


@pytest.mark.parametrize("half", [rb"\\ud83d", HALF], ids=["escaped", "as bytes"])
@pytest.mark.parametrize("desk", [github, freshdesk], ids=["github", "freshdesk"])
def test_half_a_character_stops_no_pull(cast: Cast, desk: object, half: bytes) -> None:
    made = Installation(cast, desk)  # type: ignore[arg-type]
    answer = made.desk._reply

    def with_half(asked: object) -> Reply:
        reply = answer(asked)  # type: ignore[arg-type]
        raw = re.sub(rb'("(?:subject|title)": ")', rb"\1" + half, reply.raw)
        return Reply(raw, reply.status, reply.headers)

    made.desk._reply = with_half  # type: ignore[method-assign, assignment]
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert made.visited() > 0
        assert made.stored.trouble == ""
        subjects = list(Ticket.objects.values_list("subject", flat=True))
        assert subjects
        assert all(subject.startswith("\ufffd") for subject in subjects if subject)


def test_a_dumped_record_with_half_a_character_is_a_message() -> None:
    record = chatwoot.DUMP["conversations"][0] | {"note": "\ud83d"}
    [(_, raw)] = CONNECTORS["chatwoot"].dumped("conversations", [record])
    assert json.loads(raw)["conversation"]["note"] == "\ufffd"
