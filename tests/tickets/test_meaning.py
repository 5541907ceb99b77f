"""Words of messages that came as HTML, in time that grows with their length."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.tickets.connectors import zammad
from tickets.canonical import Meaning
from tickets.connectors import CONNECTORS
from tickets.connectors import zammad as connector
from tickets.connectors.base import Context
from tickets.connectors.records import compact
from tickets.meaning import meaning_of, plain_text

PIECE = 250_000
#: Pieces of HTML that leave something open, over and over.
HOSTILE = (
    *("<", "<a ", "<a", "</", "<!", "<!--", "<!-- > ", '<a "', "<a '\">", '<a ">"', '<a href="'),
    *("&", "&#9", "<p", "<script>", "<script></script>", "<blockquote>", "<br>", "<a href "),
)


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>Hello</p><p>there</p>", "Hello\n\nthere"),
        ("a &amp; b &lt; c&nbsp;d &#8364; &#x20ac;", "a & b < c\xa0d € €"),
        ("1 < 2 and 3 > 2, <3", "1 < 2 and 3 > 2, <3"),
        (
            'see <a class="x>y" href="https://e.x/?a=1&amp;b">this</a>',
            "see  https://e.x/?a=1&b this",
        ),
        ("<a href='/a'>x</a> <A HREF=/b>y</A>", "/a x  /b y"),
        ("<blockquote>quoted<br>twice</blockquote>mine", "> quoted\n> twice\nmine"),
        ("<head><title>no</title><style>p > a {}</style></head>yes", "yes"),
        ("<script>if (a<b && c>d) '<p>'</script>yes", "yes"),
        ("a<!-- b > <p> -->c<!doctype html>d", "acd"),
        ("<!-- never closed> still said", "still said"),
        ('<img alt="5 > 3" src="data:x">kept', "kept"),
        (f'<img src="{"A" * 9000}">kept', "kept"),
        (f"&#{'9' * 10_000};", "\ufffd" + "9" * 9_992 + ";"),
        ("<table><tr><td>a</td></tr></table>", "a"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_tags_go_and_words_stay(html: str, words: str) -> None:
    assert plain_text(html) == words


def seconds(read: Callable[[str], object], html: str) -> float:
    began = time.process_time()
    read(html)
    return time.process_time() - began


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("end", ["", ">", "-->", '"'])
def test_a_long_body_is_read_in_seconds_whatever_is_left_open(piece: str, end: str) -> None:
    assert seconds(plain_text, piece * (PIECE // len(piece)) + end) < 10


def test_a_reader_that_looks_for_every_end_takes_the_square() -> None:
    """The negative control: four times as long, far more than four times the seconds."""
    naive = re.compile("<[^>]*>").sub
    short, long = (seconds(lambda html: naive("", html), "<a " * n) for n in (3_000, 12_000))
    assert long > 8 * short


def test_zammad_reads_what_the_requester_can_see_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def counting(html: str) -> str:
        read.append(html)
        return plain_text(html)

    monkeypatch.setattr(connector, "plain_text", counting)
    whole = zammad.WHOLE | {
        "articles": [
            *zammad.WHOLE["articles"],
            zammad.article(18, "03T09:00:00", "Agent", zammad.AGENT, "<a secret", internal=True),
        ]
    }
    [news] = CONNECTORS["zammad"].tell("ticket", compact(whole), Context()).tickets
    assert read
    assert "<a secret" not in read
    assert not any("secret" in text for text in news.texts.values())
    hidden = [event for event in news.events if "message" in event.type and not event.public]
    assert hidden
    assert not any("meaning" in event.data for event in hidden)


def test_what_a_reply_means_is_read_off_its_words() -> None:
    assert meaning_of(plain_text("<p>Ticket received.</p>")) is Meaning.NOT_MEANINGFUL
    assert meaning_of(plain_text("<p>Which floor?</p>")) is Meaning.MEANINGFUL
