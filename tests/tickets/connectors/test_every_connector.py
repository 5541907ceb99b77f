"""What every connector keeps to, whichever help desk it reads: one battery over `CONNECTORS`.

A connector brings a module of its own, tests/tickets/connectors/<key>.py (recorded.py says what it
holds). Here it is asked about everything that can go wrong while pulling, and whether the same set
of deliveries, however permuted, repeated and split, gives a byte-identical state.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from tests.factories import Cast
from tests.faults import tries
from tests.tickets.connectors.desk import (
    NO_JSON,
    TIMED_OUT,
    Desk,
    Reply,
    open_http,
    pulled,
)
from tests.tickets.connectors.recorded import (
    NOW,
    Recorded,
    connect,
    reading,
    receive,
    state_of,
    stored_state,
    sweep,
    tell,
)
from tickets.canonical import EventType
from tickets.connectors import CONNECTORS
from tickets.connectors.base import WRONG_SHAPE, Connector, Context, Unusable
from tickets.connectors.http import HttpTrouble
from tickets.lens import Words
from tickets.models import InboundMessage, InboundOutcome
from tickets.news import Told
from tickets.reading import Unread, read_one

VENDORS = dict(CONNECTORS)
#: The generic source is asked by nobody.
PULLED = [key for key, one in VENDORS.items() if one.pulls]
#: Streams of deliveries over all connectors together; of every hundredth the stored state is asked.
STREAMS = 10_000
STORED = STREAMS // 100


def module_of(key: str) -> ModuleType:
    """The test module of a connector."""
    name = f"tests.tickets.connectors.{key}"
    assert find_spec(name) is not None, f"{key} has no {name}: see recorded.py for what it holds"
    return importlib.import_module(name)


def deliveries_of(key: str) -> list[Recorded]:
    """Its recorded deliveries; (topic, bytes, headers) means one received at `NOW`."""
    return [
        one if isinstance(one, Recorded) else Recorded(one[0], one[1], headers=one[2])
        for one in module_of(key).DELIVERIES
    ]


def options_of(key: str) -> Mapping[str, Any]:
    return dict(getattr(module_of(key), "OPTIONS", {}))


def connected(key: str, desk: Desk) -> Any:
    """The connector's session on a desk."""
    secrets = getattr(module_of(key), "SECRETS", {})
    return open_http(VENDORS[key], desk, secrets=secrets, options=options_of(key))


def pull(key: str, desk: Desk, **more: Any) -> Any:
    return pulled(VENDORS[key], connected(key, desk), NOW, options=options_of(key), **more)


def said(key: str, pages: Iterable[Any]) -> set[tuple[Any, ...]]:
    """Everything that pages tell, whichever page it stands on."""
    found: set[tuple[Any, ...]] = set()
    for page in pages:
        told = _told(key, page)
        found |= {
            (news.external_id, event) for news in told.tickets for event in map(repr, news.events)
        }
        found |= set(map(repr, (*told.ratings, *told.accounts)))
    return found


# --- what it declares -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", VENDORS)
def test_it_says_who_it_is_what_it_asks_for_and_which_rights_it_needs(key: str) -> None:
    one = VENDORS[key]
    assert one.key == key
    assert one.name
    assert one.pulls or one.hooks
    names = [asked.name for asked in one.asks]
    assert len(names) == len(set(names))
    assert all(asked.label for asked in one.asks)
    if one.pulls:
        assert one.rights
        assert any(asked.secret for asked in one.asks)


@pytest.mark.parametrize("key", VENDORS)
def test_every_option_that_is_read_or_described_can_be_entered(key: str) -> None:
    """An option that no page asks for cannot be set by anybody."""
    one = VENDORS[key]
    asked = {asked.name for asked in one.asks}
    source = Path(inspect.getfile(type(one))).read_text("utf-8")
    read = set(re.findall(r'options\.get\(\s*"(\w+)"', source))
    read |= {name for name, constant in (("zone", "options.get(ZONE)"),) if constant in source}
    read |= {"since"} if one.pulls else set()
    read |= {"acknowledgements"} if "helped(" in source else set()
    assert read, "the way in which options are read has changed"
    assert read <= asked
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section_of(one.name), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} <= asked


def section_of(name: str) -> str:
    """What docs/connecting.md says of a help desk; empty where it says nothing."""
    text = (Path(__file__).parents[3] / "docs" / "connecting.md").read_text("utf-8")
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("key", VENDORS)
def test_how_to_connect_it_is_described_in_steps_with_its_rights(key: str) -> None:
    one, section = VENDORS[key], section_of(VENDORS[key].name)
    steps = [int(step) for step in re.findall(r"^(\d)\. ", section, re.MULTILINE)]
    assert steps == [*range(1, len(steps) + 1)]
    assert len(steps) > 3
    assert re.search(r"^\d\. .*(webhook|hint)", section, re.MULTILINE | re.IGNORECASE | re.DOTALL)
    assert re.search(r"role|scope|permission|read-only", section, re.IGNORECASE)
    for secret in (asked for asked in one.asks if asked.secret):
        assert re.search(secret.label.split()[-1], section, re.IGNORECASE)


def _helped(key: str, options: Mapping[str, Any]) -> dict[str, str]:
    """The words of messages that say whether they helped, and what they say."""
    found = {}
    for delivery in deliveries_of(key):
        for news in tell(VENDORS[key], delivery, options).tickets:
            for event in news.events:
                if event.data.get("meaning") and event.key in news.texts:
                    found[news.texts[event.key]] = str(event.data["meaning"])
    return found


@pytest.mark.parametrize("key", VENDORS)
def test_texts_of_ones_own_help_nobody_whichever_help_desk_sends_them(key: str) -> None:
    """As a page sends them: in lines that end with two characters."""
    before = _helped(key, options_of(key))
    text = next(text for text, meaning in before.items() if meaning == "meaningful")
    entered = f"We have it.\r\n\r\n{text}\r\n\r\nBear with us."
    after = _helped(key, {**options_of(key), "acknowledgements": entered})
    assert after == {**before, text: "not_meaningful"}


@pytest.mark.parametrize("key", VENDORS)
def test_it_guesses_among_our_words_with_a_reason_or_not_at_all(key: str) -> None:
    words = Words.parse(module_of(key).WORDS)
    for word in words.states:
        guess = VENDORS[key].guess_state(word)
        assert guess is None or (guess.why and 0 < guess.confidence <= 1)
    for word in words.severities:
        guess = VENDORS[key].guess_severity(word)
        assert guess is None or (guess.why and 0 < guess.confidence <= 1)
    assert VENDORS[key].guess_state("qwertz") is None


# --- asking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PULLED)
def test_a_check_that_passes_says_so_in_a_sentence(key: str) -> None:
    answer = VENDORS[key].check(connected(key, module_of(key).desk()), options=options_of(key))
    assert answer.endswith(".")
    assert answer[0].isupper()


@pytest.mark.parametrize("key", PULLED)
@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (Reply({}, 401), "credentials"),
        (Reply({}, 403), "rights"),
        (Reply({}, 404), "check the address"),
        (Reply({}, 302, {"Location": "https://elsewhere.example"}), "enter the address"),
        (Reply({}, 503), "later"),
        (NO_JSON, "not with JSON"),
        (TIMED_OUT, "in time"),
        (Reply(failure=requests.ConnectionError("refused")), "cannot be reached"),
    ],
)
def test_a_check_that_fails_says_why_in_a_sentence(key: str, reply: Reply, hint: str) -> None:
    desk = module_of(key).desk()
    desk.always = reply
    with pytest.raises(HttpTrouble, match=hint) as trouble:
        VENDORS[key].check(connected(key, desk), options=options_of(key))
    said = str(trouble.value)
    assert said.endswith((".", "?"))
    assert "Traceback" not in said
    assert desk.hosts == {"desk.example.org"}


@pytest.mark.parametrize("key", PULLED)
def test_a_pull_follows_its_cursors_ends_and_asks_no_other_host(key: str) -> None:
    desk = module_of(key).desk()
    pages, cursor = pull(key, desk)
    streams = [page.stream for page in pages]
    assert any(streams.count(stream) > 1 for stream in streams), "no stream has a second page"
    assert set(cursor) == set(streams)
    assert desk.hosts == {"desk.example.org"}
    told = [tell(VENDORS[key], Recorded(p.topic, p.raw), options_of(key)) for p in pages]
    assert any(one.tickets for one in told)
    again, _ = pull(key, desk, cursor=cursor)
    assert said(key, again) <= said(key, pages)


@pytest.mark.parametrize("key", PULLED)
def test_a_pull_that_is_stopped_after_any_page_goes_on_and_loses_none(key: str) -> None:
    whole, _ = pull(key, module_of(key).desk())
    everything, number = said(key, whole), len(whole)
    after = range(number) if number <= 60 else sorted(random.Random(7).sample(range(number), 60))
    for stop in after:
        before, cursor = pull(key, module_of(key).desk(), stop_after=stop)
        rest, _ = pull(key, module_of(key).desk(), cursor=cursor)
        assert said(key, before) | said(key, rest) == everything, f"stopped after page {stop}"


@pytest.mark.parametrize("key", PULLED)
def test_a_pull_that_fails_at_any_request_loses_none(key: str) -> None:
    """The help desk goes away instead of the worker: what was committed is where it goes on."""
    everything = said(key, pull(key, module_of(key).desk())[0])
    requests_made = len(_asked(key))
    chosen = sorted(random.Random(11).sample(range(requests_made), min(25, requests_made)))
    for fails_at in chosen:
        desk, kept, stands = module_of(key).desk(), [], {}
        http = connected(key, desk)
        answer = desk._reply
        desk._reply = lambda asked, n=fails_at, d=desk, a=answer: (
            Reply({}, 401) if len(d.asked) > n else a(asked)
        )
        try:
            for page in VENDORS[key].pull(http, {}, options=options_of(key), now=NOW):
                kept.append(page)
                stands[page.stream] = json.loads(json.dumps(dict(page.cursor)))
        except HttpTrouble as trouble:
            assert str(trouble).endswith(".")  # noqa: PT017 - a pull may need no more requests
        rest, _ = pull(key, module_of(key).desk(), cursor=stands)
        assert said(key, kept) | said(key, rest) == everything, f"request {fails_at} failed"


def _asked(key: str) -> list[Any]:
    desk = module_of(key).desk()
    pull(key, desk)
    return desk.asked


@pytest.mark.parametrize("key", PULLED)
def test_a_refusal_is_waited_out_and_a_long_one_ends_the_pull_with_its_length(key: str) -> None:
    desk = module_of(key).desk()
    desk.first = [Reply({}, 429, {"Retry-After": "7"})]
    pages, _ = pull(key, desk)
    assert desk.slept[0] == 7.0
    assert said(key, pages) == said(key, pull(key, module_of(key).desk())[0])
    desk = module_of(key).desk()
    desk.first = [Reply({}, 429, {"Retry-After": "3600"})]
    with pytest.raises(HttpTrouble, match="slow down") as trouble:
        pull(key, desk)
    assert trouble.value.retry_after == 3600
    assert desk.slept == []


@pytest.mark.parametrize("key", PULLED)
@pytest.mark.parametrize("body", [{}, [], None, 7, "text", [7], {"error": "no"}])
def test_an_answer_of_another_shape_ends_a_pull_with_a_sentence(key: str, body: Any) -> None:
    desk = module_of(key).desk()
    desk.always = Reply(body)
    try:
        pages, _ = pull(key, desk)
    except HttpTrouble as trouble:
        said_ = str(trouble)
    else:
        said_ = "nothing to tell." if not said(key, pages) else ""
    assert said_.endswith((".", "?"))


@pytest.mark.parametrize("key", PULLED)
def test_reconciling_tells_again_what_the_pull_told(key: str) -> None:
    desk = module_of(key).desk()
    http = connected(key, desk)
    since = NOW - timedelta(days=30)
    pages = list(VENDORS[key].reconcile(http, since=since, options=options_of(key), now=NOW))
    whole, _ = pull(key, module_of(key).desk())
    tickets = {n.external_id for p in pages for n in _told(key, p).tickets}
    assert tickets == {n.external_id for p in whole for n in _told(key, p).tickets}
    assert desk.hosts == {"desk.example.org"}


def _told(key: str, page: Any) -> Told:
    return tell(VENDORS[key], Recorded(page.topic, page.raw), options_of(key))


# --- telling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", VENDORS)
@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b"null", b"7", b'"text"'])
def test_what_is_no_message_is_refused_with_a_reason_or_tells_nothing(key: str, raw: bytes) -> None:
    topics = {one.topic for one in deliveries_of(key)} | {"hook", "no such topic"}
    for topic in topics:
        try:
            told = tell(VENDORS[key], Recorded(topic, raw), options_of(key))
        except Unusable as refused:
            reasons = [error["reason"] for error in refused.errors]
        except WRONG_SHAPE as error:  # the door keeps it for a person, with this as its reason
            reasons = [type(error).__name__]
        else:
            reasons = ["it tells nothing"] if not any(vars_of(told)) else []
        assert reasons, (topic, raw)
        assert all(reasons), (topic, raw)


def vars_of(told: Told) -> list[Any]:
    return [told.tickets, told.ratings, told.accounts, told.usage, told.fetch]


@pytest.mark.parametrize("key", VENDORS)
def test_telling_is_pure_and_holds_every_word_of_ours_back(key: str) -> None:
    """A status, priority or category goes into the log as the help desk's own word."""
    for one in deliveries_of(key):
        first, second = (tell(VENDORS[key], one, options_of(key)) for _ in range(2))
        assert first == second
        for news in first.tickets:
            for event in news.events:
                if event.type is EventType.PRIORITY_CHANGED:
                    assert "said" in event.data
                assert "severity" not in event.data
                assert "capability" not in event.data
                assert event.at.tzinfo is not None
                assert len(event.sequence) <= 38  # a letter is added, and 40 are kept


#: Hooks that name a ticket, as those who know the address may send them.
HINTS: dict[str, Any] = {
    "zendesk": lambda name: {"ticket_id": name},
    "freshdesk": lambda name: {"freshdesk_webhook": {"ticket_id": name}},
    "jira": lambda name: {"webhookEvent": "jira:issue_updated", "issue": {"id": name}},
    "servicenow": lambda name: {"sys_id": name},
    "zammad": lambda name: {"ticket": {"id": name}},
    "github": lambda name: {
        "action": "opened", "issue": {"number": name}, "repository": {"full_name": "acme/support"},
    },
    "gitlab": lambda name: {
        "object_kind": "issue", "object_attributes": {"iid": name},
        "project": {"path_with_namespace": "acme/support"},
    },
    "chatwoot": lambda name: {"event": "conversation_updated", "id": name},
}  # fmt: skip
ELSEWHERE = ["../users/5?x=", "1/../../users/5", "5?expand=", "5#", "%2e%2e", "picker", "9" * 5_000]


def hinted(key: str, name: str, *, signed: bool) -> Told:
    """What is believed of a hook that names a ticket."""
    context = Context(options_of(key), {"x-github-event": "issues"}, NOW, signed=signed)
    raw = json.dumps(HINTS[key](name)).encode()
    return read_one(Unread(key, "hook", raw, context)).told or Told()


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("key", PULLED)
def test_a_hint_asks_for_tickets_only_whatever_path_it_names(key: str, signed: bool) -> None:
    """A ticket's id stands in an address that is asked with our credentials."""
    ticket = "a" * 32 if key == "servicenow" else "5"
    assert len(hinted(key, ticket, signed=signed).fetch) == 1
    for name in ELSEWHERE:
        for found in hinted(key, name, signed=signed).fetch:
            number = found.rpartition("#")[2]  # Freshdesk takes the digits out of what is said
            assert number.isdecimal(), f"{found[:60]!r} leads elsewhere"
            assert len(number) < 20


# --- order ----------------------------------------------------------------------------------------


def streams(key: str, number: int) -> Iterable[list[list[int]]]:
    """Permuted, repeated and split: batches of positions among the connector's deliveries."""
    dice = random.Random(f"streams of {key}")
    every = range(len(deliveries_of(key)))
    for _ in range(number):
        stream = [*every, *dice.choices(every, k=dice.randrange(len(every) + 1))]
        dice.shuffle(stream)
        cuts = sorted(dice.sample(range(len(stream)), dice.randrange(len(stream))))
        edges = [0, *cuts, len(stream)]
        yield [stream[a:b] for a, b in pairwise(edges) if a < b]


def batched(told: Sequence[Told], batches: Iterable[Iterable[int]]) -> Iterable[Told]:
    """What the batches say, one `Told` a batch, as the sweep puts them together."""
    for batch in batches:
        together = Told()
        for position in batch:
            together.extend(told[position])
        yield together


def by_arrival(told: Iterable[Told]) -> bytes:
    """The negative control: a reducer that lets whatever arrives last stand."""
    state: dict[str, dict[str, Any]] = {}
    for one in told:
        for news in one.tickets:
            now = state.setdefault(news.external_id, {"reopens": 0, "messages": 0})
            for event in news.events:
                word = event.data.get("said", event.data.get("state_said"))
                if word is not None:
                    now["reopens"] += now.get("word") not in (None, word)
                    now["word"] = word
                now["messages"] += event.type is EventType.MESSAGE
    return json.dumps(state, sort_keys=True).encode()


def share(total: int) -> int:
    """The streams of each connector, so that all together are no fewer than `total`."""
    return -(-total // len(VENDORS))


@pytest.mark.faults
@pytest.mark.parametrize("key", VENDORS)
def test_deliveries_in_any_order_split_and_repeated_give_one_state(key: str) -> None:
    told = [tell(VENDORS[key], one, options_of(key)) for one in deliveries_of(key)]
    words = Words.parse(module_of(key).WORDS)
    straight = state_of(told, words)
    assert json.loads(straight)["timelines"], "the deliveries tell no ticket whole"
    for batches in streams(key, share(tries(STREAMS))):
        assert state_of(batched(told, batches), words) == straight, batches


@pytest.mark.parametrize("key", VENDORS)
def test_a_reducer_by_arrival_would_not(key: str) -> None:
    told = [tell(VENDORS[key], one, options_of(key)) for one in deliveries_of(key)]
    found = {by_arrival(batched(told, batches)) for batches in streams(key, 50)}
    assert len(found) > 1


@pytest.mark.faults
@pytest.mark.parametrize("key", VENDORS)
def test_the_stored_state_is_one_too(cast: Cast, key: str) -> None:
    """The same through the door: received by the web role, folded by the worker, batch by batch."""
    deliveries, words = deliveries_of(key), module_of(key).WORDS
    seen: dict[bytes, list[list[int]]] = {}
    every = list(range(len(deliveries)))
    number = share(tries(STORED))
    for nth, batches in enumerate([[every], *streams(key, number)]):
        connection = connect(cast, VENDORS[key], words, options_of(key), f"{key}-{nth}")
        for batch in batches:
            receive(cast, connection, [deliveries[position] for position in batch])
            sweep()
        state = stored_state(cast, connection)
        seen.setdefault(state, batches)
        assert len(seen) == 1, batches
    with reading(cast):
        outcomes = InboundOutcome.objects.filter(
            message__in=InboundMessage.objects.filter(connection__kind=key)
        )
        assert set(outcomes.values_list("status", flat=True)) == {"folded"}
    assert json.loads(next(iter(seen)))["items"]


# --- dumped records -------------------------------------------------------------------------------


def dumps(key: str, dice: random.Random | None = None) -> list[Recorded]:
    """The connector's dump as deliveries; with dice, lines and files in any order, cut anywhere."""
    parts: list[tuple[str, list[Any]]] = []
    for stream, records in module_of(key).DUMP.items():
        lines = list(records)
        while lines:
            if dice is not None:
                dice.shuffle(lines)
            size = dice.randrange(1, len(lines) + 1) if dice is not None else len(lines)
            parts.append((stream, lines[:size]))
            lines = lines[size:]
    if dice is not None:
        dice.shuffle(parts)
    return [
        Recorded(topic, raw)
        for stream, records in parts
        for topic, raw in VENDORS[key].dumped(stream, records)
    ]


def told_by(key: str, deliveries: Iterable[Recorded]) -> list[Told]:
    return [tell(VENDORS[key], one, options_of(key)) for one in deliveries]


def events_in(told: Iterable[Told]) -> dict[tuple[str, int], Any]:
    return {
        (news.external_id, event.key): event
        for one in told
        for news in one.tickets
        for event in news.events
    }


def pulled_whole(key: str) -> list[Told]:
    """What its recorded pages say, without webhooks."""
    return told_by(key, (one for one in deliveries_of(key) if one.topic != "hook"))


def work_in(state: bytes) -> Any:
    """The figures' ground: what happened to each ticket."""
    return json.loads(state)["timelines"]


def essentials(state: bytes, tickets: Iterable[str]) -> dict[str, Any]:
    """What every source has to tell of a ticket, whatever it knows of who did it."""
    return {
        one["ticket"]: [
            (
                *(item[name] for name in ("number", "opened_at", "severity", "capability")),
                item["resolutions"][0]["at"] if item["resolutions"] else None,
            )
            for item in one["work_items"]
        ]
        for one in work_in(state)
        if one["ticket"] in tickets
    }


@pytest.mark.parametrize("key", VENDORS)
def test_it_names_the_streams_of_extractors_that_it_reads(key: str) -> None:
    topics = {topic for topic, _ in VENDORS[key].streams.values()}
    assert topics
    assert topics == {VENDORS[key].streams[stream][0] for stream in module_of(key).DUMP}
    assert all(len(topic) <= 60 for topic in topics)


@pytest.mark.parametrize("key", VENDORS)
def test_every_dumped_stream_is_told_alone(key: str) -> None:
    for stream, records in module_of(key).DUMP.items():
        if not records:
            continue
        deliveries = [Recorded(*made) for made in VENDORS[key].dumped(stream, records)]
        told = told_by(key, deliveries)
        assert any(any(vars_of(one)) for one in told), stream
        for remark in (remark for one in told for remark in one.remarks):
            assert remark.reason, stream


@pytest.mark.faults
@pytest.mark.parametrize("key", VENDORS)
def test_a_dump_in_any_order_of_lines_and_files_gives_one_state(key: str) -> None:
    words, dice = Words.parse(module_of(key).WORDS), random.Random(f"dumps of {key}")
    straight = state_of(told_by(key, dumps(key)), words)
    assert json.loads(straight)["timelines"], "the dump tells no ticket whole"
    for _ in range(max(20, share(tries(STREAMS)) // 10)):
        told = told_by(key, dumps(key, dice))
        repeated = [*told, *dice.choices(told, k=dice.randrange(len(told) + 1))]
        assert state_of(repeated, words) == straight


@pytest.mark.parametrize("key", VENDORS)
def test_what_a_dump_and_a_pull_both_know_is_one_event(key: str) -> None:
    pulled_, dumped = events_in(pulled_whole(key)), events_in(told_by(key, dumps(key)))
    both = pulled_.keys() & dumped.keys()
    assert {pulled_[one].type for one in both} >= {EventType.MESSAGE}
    for one in both:
        mine, theirs = dumped[one], pulled_[one]
        assert (mine.type, mine.at, mine.public) == (theirs.type, theirs.at, theirs.public)


@pytest.mark.parametrize("key", VENDORS)
def test_a_dump_alone_tells_when_tickets_were_opened_and_resolved(key: str) -> None:
    words = Words.parse(module_of(key).WORDS)
    pulled_ = state_of(pulled_whole(key), words)
    dumped = state_of(told_by(key, dumps(key)), words)
    known = {one["ticket"] for one in work_in(pulled_)}
    assert essentials(dumped, known) == essentials(pulled_, known)


@pytest.mark.parametrize("key", VENDORS)
def test_a_dump_is_stored_once(cast: Cast, key: str) -> None:
    """Through the door, in another order and cut otherwise: nothing is written a second time."""
    connection = connect(cast, VENDORS[key], module_of(key).WORDS, options_of(key), key)
    receive(cast, connection, dumps(key))
    sweep()
    state = stored_state(cast, connection)
    assert json.loads(state)["items"]
    receive(cast, connection, dumps(key, random.Random(key)))
    sweep()
    assert stored_state(cast, connection) == state
    with reading(cast):
        outcomes = InboundOutcome.objects.filter(message__connection=connection)
        assert set(outcomes.values_list("status", flat=True)) == {"folded"}


@pytest.mark.parametrize("key", VENDORS)
def test_a_pull_after_a_dump_counts_nothing_twice(key: str) -> None:
    """In whichever order they come: what the pages say stands."""
    words = Words.parse(module_of(key).WORDS)
    pulled_, dumped = pulled_whole(key), told_by(key, dumps(key))
    known = {one["ticket"] for one in work_in(state_of(pulled_, words))}
    after, before = state_of([*dumped, *pulled_], words), state_of([*pulled_, *dumped], words)
    assert work_in(after) == work_in(before)
    mine = [one for one in work_in(after) if one["ticket"] in known]
    assert mine == work_in(state_of(pulled_, words))


def test_the_list_of_connectors_holds_each_key_once() -> None:
    assert all(isinstance(one, Connector) for one in CONNECTORS.values())
    assert [one.key for one in CONNECTORS.values()] == list(CONNECTORS)
