"""What a connector is: the questions the rest of the product asks of each help desk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tickets.canonical import Severity, State
from tickets.connectors.http import Http, HttpTrouble
from tickets.connectors.signatures import Scheme
from tickets.news import Told


class Unusable(Exception):
    """A message cannot be entered. `errors` name field and reason; the message is kept."""

    def __init__(self, *errors: dict[str, str]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{e['field']}: {e['reason']}" for e in errors))


#: What reading an answer raises that has not the shape the vendor describes.
WRONG_SHAPE = (
    *(Unusable, AttributeError, IndexError, KeyError, TypeError, ValueError),
    *(OverflowError, RecursionError),
)

#: The header of a fetched page that says up to when everything that changed had been read before.
READ_BEFORE = "read-before"

#: The list's name on pages that are made of dumped records.
RECORDS = "records"


@contextmanager
def known_shape() -> Iterator[None]:
    """While a help desk is read: an answer of another shape is a trouble of its connection.

    A proxy's page or another product's must not stop the pulls of all others. Raises HttpTrouble.
    """
    try:
        yield
    except WRONG_SHAPE as error:
        what = f"{type(error).__name__}: {error}"[:200]
        raise HttpTrouble(
            f"The help desk answered in a shape that is not its own ({what}): is this the right"
            " product, and nothing between it and us?"
        ) from error


def in_known_shape(pages: Iterable[Page]) -> Iterator[Page]:
    """Pages as a connector yields them. Raises HttpTrouble as `known_shape` does."""
    with known_shape():
        yield from pages


@contextmanager
def nothing_missing() -> Iterator[None]:
    """While a body is told: one that lacks a field it has to have is unusable, and names it."""
    try:
        yield
    except KeyError as error:
        raise Unusable({"field": str(error.args[0]), "reason": "it is missing"}) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """Something an administrator enters when connecting."""

    name: str
    label: str
    help: str = ""
    secret: bool = False
    required: bool = True
    #: Whether several lines may be entered.
    long: bool = False
    #: Why an answer cannot be used, in a sentence; empty: it can.
    mistake: Callable[[str], str] = lambda answer: ""


def _no_days(answer: str) -> str:
    days = answer.isascii() and answer.isdecimal() and len(answer) < 5
    return "" if days else "Say it in whole days, at most 9999."


def no_zone(answer: str) -> str:
    """Why an answer is no time zone; empty: it is one."""
    try:
        ZoneInfo(answer)
    except (KeyError, ValueError, OSError):
        return "Name a time zone as Europe/Berlin is one."
    return ""


#: What every help desk that can be pulled is asked for besides, and every one that tells messages.
SINCE = Asked(
    "since", "Days that the first pull goes back", "empty: 30", required=False, mistake=_no_days
)
ACKNOWLEDGEMENTS = Asked(
    "acknowledgements",
    "Texts of yours that help nobody",
    "such as the one that says you have received it; an empty line between two of them",
    required=False,
    long=True,
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it was fetched: its bytes, what they are, and the cursor that follows them."""

    stream: str
    topic: str
    raw: bytes
    #: The stream's cursor after this page, committed together with it.
    cursor: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a webhook's request is to be kept."""

    #: The vendor's own id of the delivery, the same when it is sent again; empty: by the body.
    id: str
    topic: str
    #: The few headers the mapper needs.
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guess:
    """What one of the help desk's own words probably means here, and how sure that is (0 to 1)."""

    meaning: str
    confidence: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a mapper may know besides the message: the connection's options and when it came."""

    options: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    received_at: datetime | None = None
    delivery_id: str = ""
    #: The message's number in the order of arrival: a last resort to order equal instants.
    arrival: str = ""
    #: The fetched pages' host, for links.
    base_url: str = ""
    #: Slugs of the organisation's capabilities.
    capabilities: frozenset[str] = frozenset()
    #: Whether it is known who said it. Else only what is to be fetched is believed of it, whatever
    #: the mapper makes of the rest (tickets/reading.py).
    signed: bool = True

    @property
    def read_before(self) -> datetime | None:
        """Up to when everything that had changed was read before this page; None: nobody knows."""
        said = self.headers.get(READ_BEFORE)
        return datetime.fromisoformat(said) if said else None


class Connector:
    """One help desk. Subclasses set the class variables and override what they have."""

    key: str = ""
    name: str = ""
    #: What an administrator enters besides the address (docs/connecting says where to find it).
    asks: tuple[Asked, ...] = ()
    #: The option that names the question which asks for satisfaction, and the help desk's own one
    #: where nobody chose; empty: the only scale of its survey.
    question_option: str = "csat_question"
    satisfaction: str = ""
    #: The least rights the account needs, in the vendor's words.
    rights: str = ""
    #: How its webhooks are signed; None: they are not, and are only hints to fetch.
    scheme: Scheme | None = None
    #: Whether it can be pulled, and takes webhooks.
    pulls: bool = False
    hooks: bool = False
    #: The whole of a ticket's id, which stands in the address of what is fetched: whoever sends an
    #: unsigned hook must not choose another one.
    ticket_id: re.Pattern[str] = re.compile(r"[0-9]{1,19}")
    #: How far the next pull goes back behind the last one's watermark.
    overlap: timedelta = timedelta(minutes=5)
    #: Kinds of words that may name a capability, in the order they are offered.
    facets: tuple[str, ...] = ()
    #: Streams of records that extractors dump: the topic of each, and its list's name there.
    streams: Mapping[str, tuple[str, str]] = {}

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        """The session with which this help desk is asked; `secrets` by the names of `asks`."""
        return Http(base_url)

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Yield pages of what changed since `cursor` (by stream), each with the cursor behind it.

        An empty cursor begins `options["since"]` days ago (30 by default). Stops when there is no
        more; it may be stopped after any page and goes on from that page's cursor.
        """
        raise NotImplementedError

    def begins(self, mark: str | None, options: Mapping[str, Any], now: datetime) -> datetime:
        """Where a pull begins: the overlap before its mark, or the first one's days ago."""
        if mark:
            return datetime.fromisoformat(mark) - self.overlap
        return now - timedelta(days=float(options.get("since") or 30))

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Yield pages of everything that changed since an instant, without touching the cursor."""
        raise NotImplementedError

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        """Yield pages that tell one ticket whole: what a hint asks for."""
        raise NotImplementedError

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        """Try address and credentials; answer in one plain sentence. Raises HttpTrouble."""
        raise NotImplementedError

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        """How a webhook's request is kept; header names are lower case. Raises Unusable."""
        raise NotImplementedError

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        """What a message says, pure. Raises Unusable; a part that cannot be read is a remark."""
        raise NotImplementedError

    def dumped(
        self, stream: str, records: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, bytes]]:
        """Topic and bytes of messages that hold raw records an extractor dumped (tickets/dumps.py).

        As most help desks' pages do: one object with a name over its records. `stream` is one of
        `streams`, and nothing is said of the order in which records and streams come.
        """
        topic, name = self.streams[stream]
        yield topic, json.dumps({name: records}, sort_keys=True).encode()

    def guess_state(self, word: str) -> Guess | None:
        """What a status of this help desk probably means."""
        return guess_among(word, STATE_WORDS)

    def guess_severity(self, word: str) -> Guess | None:
        """Which severity a priority of this help desk probably is."""
        return guess_among(word, SEVERITY_WORDS)


#: Words seen in help desks of all makes, for suggestions that a person confirms.
STATE_WORDS: dict[State, tuple[str, ...]] = {
    State.NEW: ("new", "neu", "to do", "backlog", "nouveau", "nuevo"),
    State.OPEN: (
        *("open", "offen", "in progress", "in bearbeitung", "active", "assigned", "reopened"),
        *("work in progress", "waiting for support", "ouvert", "en cours", "abierto"),
    ),
    State.WAITING_ON_REQUESTER: (
        *("pending", "waiting for customer", "waiting on customer", "awaiting user info"),
        *("waiting for requester", "wartet auf kunden", "pending reminder", "awaiting caller"),
    ),
    State.WAITING_ON_THIRD_PARTY: (
        *("hold", "on hold", "waiting on third party", "awaiting vendor", "awaiting problem"),
        *("pending vendor", "wartet auf dritte", "awaiting evidence", "waiting for third party"),
    ),
    State.RESOLVED: ("resolved", "solved", "done", "gelöst", "erledigt", "fixed", "résolu"),
    State.CLOSED: ("closed", "geschlossen", "close", "fermé", "cerrado", "closed successful"),
    State.WITHDRAWN: ("canceled", "cancelled", "withdrawn", "storniert", "declined"),
    State.DELETED: ("deleted", "removed", "gelöscht"),
}
SEVERITY_WORDS: dict[Severity, tuple[str, ...]] = {
    Severity.CRITICAL: ("urgent", "critical", "highest", "blocker", "1 - critical", "kritisch"),
    Severity.HIGH: ("high", "2 - high", "hoch", "major", "p2"),
    Severity.MEDIUM: ("normal", "medium", "3 - moderate", "moderate", "mittel", "p3"),
    Severity.LOW: (
        *("low", "lowest", "4 - low", "5 - planning", "planning", "niedrig", "minor", "p4"),
        *("trivial",),
    ),
}


def guess_among[W: (State, Severity)](
    word: str, known: Mapping[W, tuple[str, ...]]
) -> Guess | None:
    """The meaning whose words fit best: the same word is sure, one inside the other is not."""
    said = " ".join(word.lower().split())
    for meaning, words in known.items():
        if said in words:
            return Guess(meaning.value, 0.95, "the usual meaning of this word")
    for meaning, words in known.items():
        if any(part in said for part in words if len(part) > 3):
            return Guess(meaning.value, 0.6, "holds a word that usually means this")
    return None
