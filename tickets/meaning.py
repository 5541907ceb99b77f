"""Did a reply help? What is left of its words when courtesies are taken away (METRICS.md M13).

Pure. A public human reply is meaningful if it is no acknowledgement and still holds a question, a
link or an attachment, or at least 40 characters of its own; whoever reads it may correct the class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from html.parser import HTMLParser

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


def meaning_of(
    text: str,
    *,
    templates: Sequence[str] = (),
    links: int = 0,
    attachments: int = 0,
) -> Meaning:
    """The class of a public human reply by its own words. `links` beside those in the text."""
    own = own_words(text)
    if any(similarity(own, template) >= SIMILAR for template in templates):
        return Meaning.NOT_MEANINGFUL
    left = without_holding(own)
    if "?" in left or links or attachments or _LINK.search(left):
        return Meaning.MEANINGFUL
    return Meaning.MEANINGFUL if len(left) >= OWN_CHARACTERS else Meaning.NOT_MEANINGFUL


def plain_text(html: str) -> str:
    """The words of a message that came as HTML; block elements end a line, quotes begin with >."""
    reader = _Words()
    reader.feed(html)
    reader.close()
    return "".join(reader.parts).strip()


class _Words(HTMLParser):
    """Collects the text of a message."""

    _BLOCKS = frozenset({"br", "p", "div", "li", "tr", "h1", "h2", "h3", "blockquote"})
    _SILENT = frozenset({"script", "style", "head", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silent = self.quoted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in self._SILENT
        self.quoted += tag == "blockquote"
        if tag in self._BLOCKS:
            self.parts.append("\n> " if self.quoted else "\n")
        if tag == "a" and (link := dict(attrs).get("href")):
            self.parts.append(f" {link} ")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in self._SILENT and self.silent > 0
        self.quoted -= tag == "blockquote" and self.quoted > 0
        if tag in self._BLOCKS and tag != "br":
            self.parts.append("\n> " if self.quoted else "\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(data)


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


def _collapsed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().lower()
