"""Words that take too long to read are left out by themselves: their ticket is kept."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.connectors import freshdesk as desk
from tests.tickets.connectors.entering import NOW, connected
from tickets import apart, inbound, meaning
from tickets.canonical import EventType, Meaning
from tickets.connectors.base import Context
from tickets.connectors.records import compact
from tickets.flaws import FlawKind
from tickets.models import InboundOutcome, MessageText, TicketEvent, TicketFlaw, WorkItem
from tickets.reading import Reading, Unread

SLOW = "Please wait while this is read to its end, which takes its time."


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One text never ends; a text may take a fifth of a second, a delivery two seconds."""
    read = meaning._meaning_of

    def reading(text: str, *more: Any) -> Meaning:
        while text == SLOW:
            pass
        return read(text, *more)

    monkeypatch.setattr(meaning, "_meaning_of", reading)
    monkeypatch.setattr(apart, "SECONDS", 2)
    monkeypatch.setattr(apart, "TEXT_SECONDS", 0.2)
    yield
    meaning.no_limit()


PAGE = compact(
    {
        "conversations": [
            desk.said(1, 11, desk.day("08:30:00"), SLOW, user_id=desk.AGNES),
            desk.said(2, 11, desk.day("09:00:00"), desk.HELP, user_id=desk.AGNES),
        ]
    }
)


def forked() -> tuple[list[Reading], str]:
    """What a fork of this process reads of the page, and of what it died."""
    unread = Unread("freshdesk", "conversations", PAGE, Context(received_at=NOW))
    frames, died = apart._fork(pickle.dumps([unread]))
    return [pickle.loads(frame) for frame in frames], died  # noqa: S301 - our own fork wrote it


def test_one_text_is_left_out_and_the_others_are_read() -> None:
    [reading], died = forked()
    assert (died, reading.errors) == ("", [])
    assert reading.told is not None
    said = {event.type: event for news in reading.told.tickets for event in news.events}
    assert set(said) == {EventType.MESSAGE, EventType.OBSERVED}
    slow, help_ = (news for news in reading.told.tickets)
    assert (slow.events[0].data["meaning"], slow.texts) == ("unknown", {})
    assert slow.events[1].data["value"] == FlawKind.UNREAD_TEXT
    assert (help_.events[0].data["meaning"], len(help_.texts)) == ("meaningful", 1)
    [remark] = reading.told.remarks
    assert "took too long to read" in remark.reason


def test_without_the_limit_the_whole_delivery_would_be_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meaning, "limit_time", lambda **_: None)
    assert forked() == ([], "took longer than 2 seconds")


def test_the_ticket_is_kept_with_a_flaw_and_its_reply(cast: Cast) -> None:
    live = connected(cast, "freshdesk", desk.WORDS)
    agents = compact({"agents": desk.WHO})
    pages = [("tickets", compact({"tickets": [desk.SEEN[2]]})), ("conversations", PAGE)]
    with roles.as_role(roles.WORKER):
        for topic, raw in [("agents", agents), *pages]:
            with acting(cast.acme.pk):
                inbound.receive(
                    tenant_id=cast.acme.pk, connection=live, delivery_id=topic, topic=topic,
                    raw=raw, at=NOW,
                )  # fmt: skip
        inbound.sweep(NOW, read=_apart)
        with acting(cast.acme.pk):
            assert set(InboundOutcome.objects.values_list("status", flat=True)) == {"folded"}
            flaw = TicketFlaw.objects.get(kind=FlawKind.UNREAD_TEXT)
            assert flaw.ticket.external_id == "11"
            assert WorkItem.objects.get().ticket_id == flaw.ticket_id
            texts = set(MessageText.objects.values_list("text", flat=True))
            assert (texts, TicketEvent.objects.filter(type="ticket.message").count()) == (
                {desk.HELP},
                2,
            )


def _apart(batch: Any) -> list[Reading]:
    frames, died = apart._fork(pickle.dumps(list(batch)))
    assert died == ""
    return [pickle.loads(frame) for frame in frames]  # noqa: S301 - our own fork wrote it


def test_texts_together_have_a_limit_as_well() -> None:
    meaning.limit_time(each=0.1, together=0.15)
    assert [meaning.meaning_of(SLOW) for _ in range(2)] == [meaning.Untold.UNREAD] * 2
    assert meaning.meaning_of(desk.HELP) is meaning.Untold.UNREAD  # the time is used up
    meaning.limit_time(each=0.1, together=0.15)
    assert meaning.meaning_of(desk.HELP) is Meaning.MEANINGFUL


def test_html_that_takes_too_long_has_no_words_and_no_meaning() -> None:
    meaning.limit_time(each=0.05, together=10)
    html = meaning.plain_text("<p>" * 3_000_000)
    assert (html, meaning.meaning_of(html)) == ("", meaning.Untold.UNREAD)
    assert meaning.plain_text("<p>Short</p>") == "Short"


def test_a_long_text_is_not_compared_with_a_short_acknowledgement() -> None:
    """The comparison grows with the square of the lengths: what cannot be alike is seen at once."""
    meaning.no_limit()
    long, template = "ab" * 200_000, "ba" * 400
    began = time.process_time()
    assert meaning.meaning_of(long, templates=[template] * 20) is Meaning.MEANINGFUL
    assert time.process_time() - began < 5
    assert meaning.meaning_of(template, templates=[template]) is Meaning.NOT_MEANINGFUL
