"""Did a reply help? What is left of its words when courtesies are taken away (METRICS.md M13).

Pure. A public human reply is meaningful if it is no acknowledgement and still holds a question, a
link or an attachment, or at least 40 characters of its own; whoever reads it may correct the class.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from html import unescape
from math import inf

from tickets.canonical import Meaning

#: A reply this similar to one of the organisation's acknowledgements is one.
SIMILAR = 0.9
#: Characters of its own that a reply needs if it asks nothing and links to nothing.
OWN_CHARACTERS = 40

#: Words that hold somebody instead of helping, by language; an organisation edits them.
HOLDING: dict[str, tuple[str, ...]] = {
    "en": (
        "we are looking into it",
        "we're looking into it",
        "i am looking into it",
        "looking into it",
        "we are on it",
        "we're on it",
        "thank you for your patience",
        "thank you for contacting us",
        "we will get back to you",
        "we have received your request",
        "your ticket has been assigned to an agent",
        "ticket received",
        "please bear with us",
    ),
    "de": (
        "wir kümmern uns darum",
        "wir schauen uns das an",
        "vielen dank für ihre geduld",
        "vielen dank für ihre anfrage",
        "wir melden uns",
        "ihre anfrage ist eingegangen",
    ),
}
_GREETING = re.compile(
    r"^(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|guten (?:tag|morgen)"
    r"|liebe[rs]?|sehr geehrte[rs]?)\b[^,.!\n]{0,40}[,.!\n]\s*",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(
    r"(?:\n--\s.*|\n?(?:kind|best|warm) regards\b.*|\n?(?:viele|freundliche|beste) grüße\b.*"
    r"|\n?mit freundlichen grüßen\b.*)$",
    re.IGNORECASE | re.DOTALL,
)
_QUOTED = re.compile(r"^>.*$", re.MULTILINE)
_LINK = re.compile(r"https?://\S+")


class _TooSlow(Exception):
    """A text took longer than it may."""


class Untold(StrEnum):
    """Said in place of a meaning; tickets/keepable.py makes a flaw of it."""

    UNREAD = "unread"


class Unread(str):
    """What is said for words that took too long to read: nothing."""

    __slots__ = ()


@dataclass
class _Limit:
    """Seconds of the processor that a text may take, and that all texts may still take."""

    each: float = inf
    left: float = inf


_limit = _Limit()


def limit_time(*, each: float, together: float) -> None:
    """From now on a text that takes longer is not read, nor one that comes when time is used up.

    For the main thread of a process that reads deliveries (tickets/apart.py), which calls it for
    each of them. The clock counts what this process works, not what it waits.
    """

    def stop(*_: object) -> None:
        raise _TooSlow

    signal.signal(signal.SIGVTALRM, stop)
    _limit.each, _limit.left = each, together


def no_limit() -> None:
    """Texts take the time they take, as they do where nobody limited it."""
    _limit.each = _limit.left = inf


def _in_time[T, U](read: Callable[[], T], unread: U) -> T | U:
    """What reading gives, or `unread` where it took too long."""
    if _limit.each == inf:
        return read()
    if _limit.left <= 0:
        return unread
    allowed, began = min(_limit.each, _limit.left), time.process_time()
    used = 0.0
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, allowed)
        return read()
    except _TooSlow:
        used = allowed  # the two clocks differ by a little: what was allowed is used up
        return unread
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        _limit.left -= max(used, time.process_time() - began)


def meaning_of(
    text: str,
    *,
    templates: Sequence[str] = (),
    links: int = 0,
    attachments: int = 0,
) -> Meaning | Untold:
    """The class of a public human reply by its own words. `links` beside those in the text.

    UNREAD where that took longer than it may (`limit_time`).
    """
    if isinstance(text, Unread):
        return Untold.UNREAD
    beside = links + attachments
    return _in_time(lambda: _meaning_of(text, templates, beside), Untold.UNREAD)


def _meaning_of(text: str, templates: Sequence[str], beside: int) -> Meaning:
    own = own_words(text)
    if any(_is_like(own, template) for template in templates):
        return Meaning.NOT_MEANINGFUL
    left = without_holding(own)
    if "?" in left or beside or _LINK.search(left):
        return Meaning.MEANINGFUL
    return Meaning.MEANINGFUL if len(left) >= OWN_CHARACTERS else Meaning.NOT_MEANINGFUL


def plain_text(html: str) -> str:
    """The words of a message that came as HTML; block elements end a line, quotes begin with >.

    The time it takes grows with the length and no faster, whatever is left open in it. `Unread`
    where that was longer than it may (`limit_time`).
    """
    return _in_time(lambda: _plain_text(html), Unread())


def _plain_text(html: str) -> str:
    words, at = _Words(), 0
    last, last_comment = html.rfind(">"), html.rfind("-->")
    while (opens := html.find("<", at)) >= 0:
        words.say(html[at:opens])
        markup = _MARKUP.match(html, opens)
        if markup is None or opens > last:
            words.say("<")
            at = opens + 1
            continue
        ends = _end_of(html, markup, last_comment)
        at = ends + 1
        if name := (markup["name"] or "").lower():
            attributes = html[markup.end() : min(ends, markup.end() + _LONGEST_TAG)]
            words.meet(name, attributes, closes=bool(markup["closes"]))
        if name in _CODE and not markup["closes"]:
            code_ends = _CODE_ENDS.search(html, at)
            at = code_ends.start() if code_ends else len(html)
    words.say(html[at:])
    return "".join(words.parts).strip()


_MARKUP = re.compile(r"<(?:(?P<comment>!--)|[!?]|(?P<closes>/?)(?P<name>[a-zA-Z][^\s/>]{0,30}))")
#: Characters of a tag in which quotes are heeded; a longer one ends at the next >.
_LONGEST_TAG = 4096
_TAG_ENDS = re.compile(r"""[^>"']*+(?:(?:"[^"]*+"|'[^']*+')[^>"']*+)*+>""")
_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[a-zA-Z][a-zA-Z0-9]{0,31});?")
_HREF = re.compile(
    r"""(?:^|\s)href\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.IGNORECASE
)
_BLOCKS = frozenset({"br", "p", "div", "li", "tr", "h1", "h2", "h3", "blockquote"})
_SILENT = frozenset({"script", "style", "head", "title"})
#: In these < begins no tag until they end.
_CODE = frozenset({"script", "style"})
_CODE_ENDS = re.compile(r"</(?:script|style)", re.IGNORECASE)


def _end_of(html: str, markup: re.Match[str], last_comment: int) -> int:
    """Where a tag or comment ends: the place of its >, of which there is one behind `markup`."""
    if markup["comment"] and last_comment >= markup.end():
        return html.find("-->", markup.end()) + 2
    ends = _TAG_ENDS.match(html, markup.end(), markup.end() + _LONGEST_TAG)
    return ends.end() - 1 if ends else html.find(">", markup.end())


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda found: unescape(found[0]), text)


class _Words:
    """Collects the text of a message."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.silent = self.quoted = 0

    def say(self, text: str) -> None:
        """Take in text as it stands between two tags."""
        if text and not self.silent:
            self.parts.append(_unescaped(text))

    def meet(self, tag: str, attributes: str, *, closes: bool) -> None:
        """Take in a tag."""
        step = -1 if closes else 1
        if tag in _SILENT:
            self.silent = max(0, self.silent + step)
        if tag == "blockquote":
            self.quoted = max(0, self.quoted + step)
        if tag in _BLOCKS and not (closes and tag == "br"):
            self.parts.append("\n> " if self.quoted else "\n")
        if tag == "a" and not closes and (link := _HREF.search(attributes)):
            self.parts.append(f" {_unescaped(link[1] or link[2] or link[3] or '')} ")


def own_words(text: str) -> str:
    """The reply without quoted text, greeting and signature; lower case, white space collapsed."""
    plain = _SIGNATURE.sub("", _QUOTED.sub("", text).strip())
    return _collapsed(_GREETING.sub("", plain))


def without_holding(own: str, languages: Iterable[str] = HOLDING) -> str:
    """What is left when holding phrases are taken away, the longest first."""
    phrases = sorted((p for lang in languages for p in HOLDING[lang]), key=len, reverse=True)
    for phrase in phrases:
        own = own.replace(phrase, " ")
    return _collapsed(own).strip(" .,!;:-")


def similarity(own: str, template: str) -> float:
    """0 to 1, as difflib's ratio."""
    return SequenceMatcher(None, own, _collapsed(template)).ratio()


def _is_like(own: str, template: str) -> bool:
    """Whether a reply is an acknowledgement. Bounds of the ratio take less and are asked first."""
    match = SequenceMatcher(None, own, _collapsed(template))
    return (
        match.real_quick_ratio() >= SIMILAR
        and match.quick_ratio() >= SIMILAR
        and match.ratio() >= SIMILAR
    )


def _collapsed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().lower()
