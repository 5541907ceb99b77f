"""One number: page, API, export and command say the same of every view of every metric."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from io import BytesIO, StringIO
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metrics import columns, definitions
from metrics.intervals import Interval
from metrics.measure import Guard, Hint, Reading, Restated, RestsOn
from metrics.words import business, percent
from portal import cards
from portal.catalogue.severity import Severity
from portal.exporting import COLUMNS, as_csv, as_xlsx
from portal.people.api_keys import create_key
from portal.people.roles import Scope
from portal.tenancy.context import acting
from surveys.models import SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    DAY,
    MONDAY,
    add_written_line,
    asked,
    asked_of_blocks,
    enter,
    month,
    moved,
    news,
    promise,
    replied,
    used,
)
from tickets.canonical import EventType
from tickets.segments import DIMENSIONS, Segments, Tenure, Usage
from tickets.timeline import HandledBy

PERIOD = {"from": "2026-03-01", "until": "2026-04-01"}
SEVERITIES = [severity.value for severity in Severity]
EXACT = ("value", "numerator", "denominator")


@pytest.fixture
def few(cast: Cast) -> Cast:
    """Some tickets of both services."""
    add_written_line(cast)
    month(cast, 12)
    return cast


@pytest.fixture
def told(cast: Cast) -> Cast:
    """A month of the network: tickets, denials, and answers on three kinds of question."""
    promise(cast)
    add_written_line(cast)
    month(cast, 60)
    denied = (0.5, EventType.FLAGGED, {"flag": "policy_denial"})
    enter(cast, *(news(f"denied {n}", denied, moved(2, "resolved")) for n in range(6)))
    for number, score in enumerate((5, 4, 4, 2, 1, 5, 5, 4, 3, 5, 4, 5)):
        at = MONDAY + number * DAY
        asked(cast, score, at=at)
        asked(cast, score, at=at, policy_denial=True)
        asked(cast, score, at=at, scale="ces_ease")
        asked(cast, min(10, 2 * score), at=at, scale="nps_0_10")
    asked(cast)  # nobody answered
    used(cast)
    return cast


def browser(cast: Cast, person: str = "olga") -> Client:
    client = Client()
    client.force_login(getattr(cast, person))
    return client


def key(cast: Cast) -> dict[str, str]:
    now = timezone.now()
    with acting(cast.acme.pk):
        _, secret = create_key(
            tenant_id=cast.acme.pk,
            name=f"reader {uuid4()}",
            scopes=[Scope.READ_INTERNAL],
            expires_at=now + 30 * DAY,
            by=cast.ada,
            at=now,
        )
    return {"authorization": f"Bearer {secret}"}


def questions() -> list[tuple[str, str | None]]:
    """Every view of every metric: over all severities where that can be, else of one."""
    return [
        (f"{metric.key}.{view.key}", "medium" if view.per_severity else None)
        for metric in definitions.BY_KEY.values()
        for view in metric.views
    ]


def by_api(cast: Cast) -> dict[tuple[str, str | None], Any]:
    headers, found = key(cast), {}
    for name, severity in questions():
        more = {"severity": severity} if severity else {}
        answer = Client(headers=headers).get(
            reverse("api_readings"), {"metric": name, "capability": "network", **PERIOD, **more}
        )
        assert answer.status_code == 200, answer.content
        found[name, severity] = answer.json()
    return found


def table(answer: Any) -> dict[tuple[str, str | None], dict[str, str]]:
    """The rows of an exported CSV by what they are about."""
    assert answer.status_code == 200, answer.content
    text = b"".join(answer).decode("utf-8-sig") if answer.streaming else answer.content.decode()
    rows = csv.DictReader(StringIO(text.removeprefix("\ufeff")))
    return {(row["metric"], row["severity"] or None): row for row in rows}


def number(cell: str) -> float | None:
    """A cell of an exported CSV as a number again."""
    return float(cell.removeprefix("'")) if cell else None


def by_command(name: str, severity: str | None, *more: str, period: dict[str, str] = PERIOD) -> Any:
    out = StringIO()
    where = ["--where=capability=network", *([f"--where=severity={severity}"] if severity else [])]
    with roles.as_role(roles.WORKER):
        call_command(
            "read",
            "--organisation=acme",
            f"--metric={name}",
            f"--from={period['from']}",
            f"--until={period['until']}",
            "--json",
            *where,
            *more,
            stdout=out,
        )
    return json.loads(out.getvalue())


def as_reading(told_by_api: Any) -> Reading:
    interval = Interval(told_by_api["interval"]["lower"], told_by_api["interval"]["upper"])
    lists: dict[str, Any] = {
        name: tuple(told_by_api[name]) for name in ("flags", "paired_evidence")
    }
    lists["data_quality"] = tuple(RestsOn(**flaw) for flaw in told_by_api["data_quality"])
    lists["guardrail"] = tuple(Guard(**one) for one in told_by_api["guardrail"])
    lists["restated"] = tuple(Restated(**one) for one in told_by_api["restated"])
    hint = told_by_api["data_quality_hint"]
    lists["data_quality_hint"] = Hint(**hint) if hint else None
    return Reading(**(told_by_api | lists | {"interval": interval}))


def test_page_api_export_and_command_tell_the_same_of_every_view(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = timezone.now()  # what is open grows older between two questions
    monkeypatch.setattr(timezone, "now", lambda: moment)
    expected = by_api(told)
    known = [name for name, reading in expected.items() if reading["value"] is not None]
    assert len(known) > 30  # the comparison is about figures, not about unknowns
    shows_the_same(browser(told).get("/acme/capabilities/network/", PERIOD), expected)
    exported = table(browser(told).get("/acme/capabilities/network/export/", PERIOD))
    by_key = table(
        Client(headers=key(told)).get(
            reverse("api_readings_export"), {"capability": "network", **PERIOD}
        )
    )
    for (name, severity), reading in expected.items():
        for rows in (exported, by_key):
            row = rows[name, severity]
            assert [number(row[field]) for field in EXACT] == [reading[f] for f in EXACT], name
            for end in ("lower", "upper"):
                assert number(row[f"interval_{end}"]) == reading["interval"][end], name
            assert row["sentence"].removeprefix("'") == reading["sentence"]
            guards = "; ".join(one["sentence"] for one in reading["guardrail"])
            assert row["guardrail"].removeprefix("'") == guards
        again = by_command(name, severity)
        assert datetime.fromisoformat(again.pop("as_of")) == moment
        assert again == {k: v for k, v in reading.items() if k != "as_of"}, name


def shows_the_same(answer: Any, expected: dict[tuple[str, str | None], Any]) -> None:
    page = Shown(answer.content.decode())
    for (name, _), reading in expected.items():
        as_shown = cards.figure(as_reading(_of_the_page(reading)))
        cells = page.rows[as_shown.anchor]
        assert cells[1:4] == [as_shown.value, as_shown.counted, as_shown.interval], name
        assert _words(as_shown.sentence) in _words(page.text_of[as_shown.anchor]), name


def _of_the_page(reading: Any) -> Any:
    """The page names its slice by ids; where a reading stands depends on the severity alone."""
    return reading | {"slice": {"severity": reading["slice"]["severity"]}}


class Shown(HTMLParser):
    """What a page says: the cells of its rows of figures, and the text inside each id.

    Rows of a table of figures are in the order of the sentences above it, which have the ids.
    """

    VOID = frozenset({"input", "meta", "link", "br", "img", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, list[str]] = {}
        self.text_of: dict[str, str] = {}
        self._open: list[tuple[str, str | None]] = []
        self._row: str | None = None
        self._above: list[str] = []
        self._in_figures = False
        self.feed(page)
        assert not self._above, f"{self._above} stand in no row"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in self.VOID:
            return
        told = dict(attributes)
        figures = tag == "table" and bool(told.get("aria-label"))  # a chart's has a caption
        self._open.append((tag, "figures" if figures else told.get("id")))
        if told.get("id") and (tag == "p" or "card" in (told.get("class") or "").split()):
            self._above.append(told["id"])
        if tag in ("table", "tbody"):
            self._in_figures = tag == "tbody" and any(
                tag == "table" and name == "figures" for tag, name in self._open
            )
        if tag == "tr":
            self._row = self._above.pop(0) if self._in_figures else None
            if self._row:
                assert self._row not in self.rows, f"{self._row} stands twice on the page"
                self.rows[self._row] = []
        if tag in ("td", "th") and self._row:
            self.rows[self._row].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, name in self._open:
            if name:
                self.text_of[name] = self.text_of.get(name, "") + data
        if self._row and any(tag in ("td", "th") for tag, _ in self._open):
            self.rows[self._row][-1] += data


def _words(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize("field", ["numerator", "denominator"])
def test_a_page_that_tells_another_number_is_found(
    few: Cast, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """The negative control: one more, on the page alone."""
    question = {"metric": "reopen_rate.rate", "capability": "network", **PERIOD}
    reading = Client(headers=key(few)).get(reverse("api_readings"), question).json()
    expected = {("reopen_rate.rate", None): reading}
    shows_the_same(browser(few).get("/acme/capabilities/network/", PERIOD), expected)
    figure = cards.figure
    with monkeypatch.context() as patched:
        patched.setattr(
            "portal.cards.figure",
            lambda reading: figure(replace(reading, **{field: (getattr(reading, field) or 0) + 1})),
        )
        page = browser(few).get("/acme/capabilities/network/", PERIOD)
    with pytest.raises(AssertionError):
        shows_the_same(page, expected)


# --- segments -------------------------------------------------------------------------------------

SPRING = {"from": "2026-04-01", "until": "2026-05-01"}
AGAIN = (moved(48, "open"), replied(49), moved(50, "resolved"))
#: A figure over tickets, one from answers, and a duration with its severity.
OF_A_PART = [
    ("reopen_rate.rate", None),
    ("csat_share.share", None),
    ("resolution_time.cohort_median", "medium"),
]


@pytest.fixture
def segmented(cast: Cast) -> Cast:
    """In March and in April: tickets of new and of old users, and answers of all sorts of people.

    Answers are enough of the experienced, too few of the established, and enough of the new, who
    are hidden with those so that nobody finds the few by subtraction.
    """
    long_ago = MONDAY - 400 * DAY
    answers = {Tenure.EXPERIENCED: 14, Tenure.ESTABLISHED: 3, Tenure.NEW: 12}
    enter(
        cast,
        *(
            news(f"first {n}", moved(1, "resolved"), opened_at=long_ago, requester=f"old {n}")
            for n in range(12)
        ),
    )
    for month_, at in enumerate((MONDAY, MONDAY + 42 * DAY)):
        enter(
            cast,
            *(
                news(
                    f"{who} {month_} {n}",
                    moved(2 + n, "resolved"),
                    *(AGAIN if n < 4 else ()),
                    opened_at=at,
                    requester=f"{who} {n}" if who == "old" else f"{who} {month_} {n}",
                )
                for who in ("old", "new")
                for n in range(12)
            ),
        )
        for tenure, number in answers.items():
            for n in range(number):
                who = Segments(tenure, Usage.HEAVY, n % 2 == 0, HandledBy.PERSON)
                asked(cast, 5 if n % 3 else 1, at=at, segments=who.packed)
    return cast


def told_of(cast: Cast, name: str, severity: str | None, segment: str) -> Any:
    more = {"severity": severity} if severity else {}
    question = {"metric": name, "capability": "network", "segment": segment, **SPRING, **more}
    answer = Client(headers=key(cast)).get(reverse("api_readings"), question)
    assert answer.status_code == 200, answer.content
    return answer.json()


def compared(cast: Cast, name: str, severity: str | None, by: str) -> dict[str, str]:
    """What the page of comparisons shows of each part of the period, by its name."""
    question = {"metric": name, "capability": "network", "by": by, **SPRING}
    page = browser(cast).get(
        "/acme/compare/", question | ({"severity": severity} if severity else {})
    )
    changes = page.content.decode().split('id="differences"')[0]
    rows = re.findall(
        r'<th scope="row">(.*?)</th>\s*<td[^>]*>.*?</td>\s*<td[^>]*>(.*?)</td>', changes, re.DOTALL
    )
    assert rows
    return {part: _words(after) for part, after in rows}


def in_a_cell(reading: Any) -> str | None:
    """How that page words what the API tells; None where the part does not stand there."""
    if reading["reliability_state"] == "suppressed":
        return None
    if reading["unit"] == "seconds":
        if not reading["denominator"]:
            return "nothing"
        low, high = (business(reading["interval"][end]) for end in ("lower", "upper"))
        return f"{business(reading['value'])} [{low}, {high}] ({reading['denominator']} items)"
    if reading["value"] is None:
        return "unknown"
    return f"{percent(reading['value'])} ({reading['numerator']} of {reading['denominator']})"


@pytest.mark.parametrize("by", list(DIMENSIONS))
@pytest.mark.parametrize(("name", "severity"), OF_A_PART)
def test_page_api_export_and_command_tell_the_same_of_every_segment(
    segmented: Cast, monkeypatch: pytest.MonkeyPatch, name: str, severity: str | None, by: str
) -> None:
    moment = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: moment)
    readings = {
        value: told_of(segmented, name, severity, f"{by}:{value}") for value in DIMENSIONS[by]
    }
    assert any(reading["value"] is not None for reading in readings.values())
    page = compared(segmented, name, severity, by)
    cells = {value: in_a_cell(reading) for value, reading in readings.items()}
    assert page == {value: cell for value, cell in cells.items() if cell is not None}
    of_severity = {"severity": severity} if severity else {}
    question = {"metric": name, "capability": "network", "split": by, **SPRING, **of_severity}
    as_table = Client(headers=key(segmented)).get(reverse("api_readings_export"), question)
    text = as_table.content.decode("utf-8-sig")
    rows = {row["segment"]: row for row in csv.DictReader(StringIO(text))}
    [head, *cells] = sheet(
        Client(headers=key(segmented))
        .get(reverse("api_readings_export"), question | {"format": "xlsx"})
        .content
    )
    in_sheet = {row[head.index("segment")]: row for row in cells}
    by_line = {
        one["slice"]["segment"]: one
        for one in by_command(name, severity, f"--split={by}", period=SPRING)
    }
    for value, reading in readings.items():
        segment = f"{by}:{value}"
        assert reading["slice"]["segment"] == segment
        assert [number(rows[segment][field]) for field in EXACT] == [reading[f] for f in EXACT]
        assert rows[segment]["sentence"].removeprefix("'") == reading["sentence"]
        told = in_sheet[segment][head.index("denominator")]
        assert (float(told) if told else None) == reading["denominator"]
        for again in (
            by_line[segment],
            by_command(name, severity, f"--where=segment={segment}", period=SPRING),
        ):
            assert again | {"as_of": None} == reading | {"as_of": None}


def test_few_answers_of_a_segment_take_the_next_smallest_along(segmented: Cast) -> None:
    few = told_of(segmented, "csat_share.share", None, "tenure:established")
    beside = told_of(segmented, "csat_share.share", None, "tenure:new")
    enough = told_of(segmented, "csat_share.share", None, "tenure:experienced")
    assert (enough["numerator"], enough["denominator"]) == (9, 14)
    for hidden in (few, beside):
        assert hidden["reliability_state"] == "suppressed"
        assert [hidden[field] for field in EXACT] == [None, None, None]
        assert hidden["response_rate"] is None
    # the reason is the same for both: another one would tell how many answered
    assert few["sentence"] == beside["sentence"]
    # the control: without the few nobody is hidden
    with roles.as_role(roles.OWNER), acting(segmented.acme.pk):
        segment = Segments(Tenure.ESTABLISHED, Usage.HEAVY, False, HandledBy.PERSON)
        for one in (True, False):
            packed = replace(segment, advanced=one).packed
            SurveyedEvent.objects.filter(segments=packed).update(capability=segmented.accounts)
    assert told_of(segmented, "csat_share.share", None, "tenure:new")["denominator"] == 12


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"segment": "tenure:young"}, "there are tenure:unknown, tenure:new"),
        ({"segment": "tenure:new", "split": "usage"}, "one of tenure, usage, advanced, handled_by"),
        ({"split": ["tenure", "usage"]}, "one of tenure, usage, advanced, handled_by"),
        ({"metric": "recurrence", "segment": "tenure:new"}, "not told by segment"),
    ],
)
def test_segments_that_cannot_be_told_are_refused_in_words(
    few: Cast, more: dict[str, Any], word: str
) -> None:
    refused = exported(few, **more)
    assert refused.status_code == 400
    assert word in refused.content.decode()


def test_everything_there_is_of_a_segment_says_what_is_not_told_by_segment(few: Cast) -> None:
    rows = exported(few, segment="tenure:unknown", format="json").json()
    assert {row["key"] for row in rows} == set(definitions.names())
    without = {row["key"].partition(".")[0] for row in rows if "told by segment" in row["sentence"]}
    assert {"self_service_completion", "recurrence"} <= without
    assert not {"reopen_rate", "csat_share", "resolution_time"} & without


# --- the table itself -----------------------------------------------------------------------------


def exported(cast: Cast, **more: Any) -> Any:
    return Client(headers=key(cast)).get(reverse("api_readings_export"), {**PERIOD, **more})


def test_an_export_is_a_file_to_keep_in_three_formats(few: Cast) -> None:
    as_file = {
        how: exported(few, metric=["reopen_rate", "csat_mean"], format=how)
        for how in ("csv", "xlsx", "json")
    }
    for how, answer in as_file.items():
        assert answer.status_code == 200
        kept = f'attachment; filename="readings-2026-03-01-2026-04-01.{how}"'
        assert answer.headers["Content-Disposition"] == kept
    assert as_file["csv"].headers["Content-Type"] == "text/csv; charset=utf-8"
    assert as_file["csv"].content.startswith(b'\xef\xbb\xbf"metric","name"')
    [whole, mean] = as_file["json"].json()
    assert (whole["key"], mean["key"]) == ("reopen_rate.rate", "csat_mean.mean")
    [head, row, _] = sheet(as_file["xlsx"].content)
    assert head == list(COLUMNS)
    assert float(row[head.index("value")]) == pytest.approx(whole["value"], rel=1e-15)
    assert row[head.index("sentence")] == whole["sentence"]


def parsed(part: bytes) -> ET.Element:
    """A part of a workbook that the product wrote itself."""
    return ET.fromstring(part)  # noqa: S314 - not from anybody else


def sheet(book: bytes) -> list[list[str]]:
    """The cells of a workbook's only sheet."""
    spaces = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with ZipFile(BytesIO(book)) as parts:
        shared = [
            "".join(one.itertext())
            for one in parsed(parts.read("xl/sharedStrings.xml")).findall("s:si", spaces)
        ]
        root = parsed(parts.read("xl/worksheets/sheet1.xml"))
    assert root.findall(".//s:f", spaces) == []  # nothing is computed
    found: list[list[str]] = []
    for row in root.iterfind(".//s:row", spaces):
        cells = [""] * len(COLUMNS)
        for cell in row.iterfind("s:c", spaces):
            letters = re.match("[A-Z]+", cell.attrib["r"])
            assert letters
            at = 0
            for letter in letters[0]:
                at = 26 * at + ord(letter) - 64
            said = cell.findtext("s:v", "", spaces)
            cells[at - 1] = shared[int(said)] if cell.get("t") == "s" else said
        found.append(cells)
    return found


def test_an_export_is_split_as_the_command_splits(few: Cast) -> None:
    rows = exported(
        few, metric="reopen_rate", split=["capability", "severity"], format="json"
    ).json()
    assert [(r["slice"]["capability"], r["slice"]["severity"]) for r in rows] == [
        (capability, severity) for capability in ("accounts", "network") for severity in SEVERITIES
    ]
    whole = exported(few, metric="reopen_rate", format="json").json()
    assert sum(row["denominator"] for row in rows) == whole[0]["denominator"] > 0


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"metric": "resolution_time"}, "never pooled across severities"),
        ({"metric": "happiness"}, "There is no metric"),
        ({"split": "agent"}, "not a valid choice"),
        ({"capability": "plumbing"}, "no capability"),
        ({"agent": "agnes"}, "Unknown parameter"),
    ],
)
@pytest.mark.parametrize("how", ["csv", "xlsx", "json"])
def test_an_export_that_cannot_be_told_is_refused_in_words(
    few: Cast, more: dict[str, str], word: str, how: str
) -> None:
    refused = exported(few, format=how, **more)
    assert refused.status_code == 400
    assert refused["content-type"] == "application/problem+json"
    assert word in refused.content.decode()


HOSTILE = [f"{sign}cmd|' /C calc'!A0" for sign in ("=", "+", "-", "@", "\t", "\r", "\0")]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_begins_as_a_formula(few: Cast, text: str) -> None:
    [plain] = exported(few, metric="reopen_rate", format="json").json()
    hostile = replace(as_reading(plain), sentence=text, flags=(text, "-1"), value=-0.5)
    [_, row] = csv.reader(StringIO(as_csv([hostile]).decode("utf-8-sig"), newline=""))
    assert row[list(COLUMNS).index("sentence")] == f"'{text}"
    assert row[list(COLUMNS).index("value")] == "'-0.5"
    assert not [cell for cell in row if cell.startswith(tuple("=+-@\t\r\0"))]
    if text[0] not in "\r\0":  # what XML cannot hold is written in its own escapes
        [head, cells] = sheet(as_xlsx([hostile]))
        assert cells[head.index("sentence")] == f"'{text}"
        assert float(cells[head.index("value")]) == -0.5


def test_a_scorecard_is_taken_away_by_those_who_read_it(few: Cast) -> None:
    address = "/acme/capabilities/network/export/"
    everything = table(browser(few).get(address, PERIOD))
    assert {name for name, _ in everything} == set(definitions.names())
    policy = table(browser(few, "pia").get(address, PERIOD))
    assert {name for name, _ in policy} == {"policy_denial_satisfaction.share"}
    for person in ("rui", "agnes", "ada"):
        assert browser(few, person).get(address, PERIOD).status_code == 404
    assert browser(few).get(address, {**PERIOD, "format": "pdf"}).status_code == 404


def test_columns_are_fetched_once_whatever_is_exported(
    few: Cast, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    headers, fetched = key(few), asked_of_blocks(monkeypatch)
    for more, count in (
        ({"metric": "reopen_rate"}, 1),
        ({"split": ["capability", "severity"]}, 2 * 4 * len(definitions.names())),
    ):
        fetched.clear()
        question = {**PERIOD, "format": "json", **more}
        with django_assert_max_num_queries(27):  # what is restated and left out, once each
            told = Client(headers=headers).get(reverse("api_readings_export"), question).json()
        assert len(told) == count
        # Of each kind what is packed and the facts of other days; and what is open.
        assert len(fetched) <= 2 * len(columns.KINDS) + 1


def test_a_scorecard_reads_each_kind_once(
    few: Cast, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    client = browser(few)
    fetched = asked_of_blocks(monkeypatch)
    # Of all kinds at once what is packed, and other days unless they are kept; and what is open.
    for statements in (3, 2):
        fetched.clear()
        with django_assert_max_num_queries(60):
            assert client.get("/acme/capabilities/network/", PERIOD).status_code == 200
        assert len(fetched) == statements
