"""A reading as a card: its sentence, how far it may be trusted, and everything it is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from governance.guarding import but_see
from metrics import words
from metrics.charts import Plotted, Rule
from metrics.data_quality import flaws_in_words, lower_first
from metrics.definitions import find
from metrics.kinds import Unit
from metrics.measure import Guard, Reading
from metrics.restated import restated_in_words
from metrics.scales import SCALES
from metrics.small_numbers import SMALLEST
from metrics.trends import Course
from portal.drawing import Point, Series
from tickets.leaving_out import OF_NO_SERVICE, REASONS


@dataclass(frozen=True, slots=True)
class Pill:
    """A word with the class that gives it its shape."""

    words: str
    css: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One view in the table of its card, and as a sentence of its own."""

    anchor: str
    name: str
    sentence: str
    value: str
    counted: str
    interval: str
    notes: str = ""
    #: Where its tickets are listed; empty: it leads to none, or not for this reader.
    tickets_url: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead somewhere."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Told:
    """A row of evidence with the tickets it is about."""

    text: str
    source: str = ""
    tickets: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Beside:
    """A kind of evidence beside a figure; `shown_at` where the page shows it already."""

    title: str
    rows: tuple[Told, ...] = ()
    words: str = ""
    shown_at: Link | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A metric as a page shows it: the sentence of its first view, and all of them in a table."""

    anchor: str
    label: str
    sentence: str
    method_url: str
    #: The version of its definition; None: it has none.
    version: int | None = None
    status: Pill | None = None
    standing: Pill | None = None
    flags: tuple[str, ...] = ()
    #: The flaws of the data behind it in one line, and where they are mended; empty: none known.
    data_quality: str = ""
    quality_url: str = ""
    figures: tuple[Figure, ...] = ()
    definitions: tuple[tuple[str, str], ...] = ()
    series: Series | None = None
    #: What to do where its target could not be told three months in a row; empty: nothing.
    proposal: str = ""
    evidence: Sequence[Beside] = field(default_factory=tuple)
    #: Over which days it is told, where those are not the page's.
    period: str = ""

    @property
    def figure(self) -> str:
        """The number a sentence begins with, to be set large; empty where it begins with a word."""
        found = _FIGURE.match(self.sentence)
        return found.group() if found else ""

    @property
    def rest(self) -> str:
        """The sentence after its figure."""
        return self.sentence[len(self.figure) :]

    @property
    def rows(self) -> SafeString:
        """All views as rows of a table; joined here, because a template takes ten times as long."""
        return figure_rows(self.figures)

    @property
    def counted_heading(self) -> str:
        """What stands above what was counted."""
        return counted_heading(self.figures)

    @property
    def terms(self) -> SafeString:
        """What the figure is made of, as entries of a list of definitions."""
        return format_html_join("", "<dt>{}<dd>{}", self.definitions)

    @property
    def further(self) -> tuple[Figure, ...]:
        """The other views of the metric."""
        return self.figures[1:]


def figure_rows(figures: Sequence[Figure]) -> SafeString:
    """Figures as rows of a table, in the order of their sentences.

    A page has a hundred: what HTML lets one leave out (ends of cells and rows, the scope of a head
    in a column of heads) would be a tenth of it.
    """
    return format_html_join(
        "",
        "<tr><th>{}<td>{}<td>{}<td>{}<td>{}",
        ((f.name, f.value, _counted_cell(f), f.interval, f.notes) for f in figures),
    )


def counted_heading(figures: Iterable[Figure]) -> str:
    """What stands above what was counted: where it leads to tickets, that it does."""
    return "Counted, and its tickets" if any(f.tickets_url for f in figures) else "Counted"


def _counted_cell(figure: Figure) -> str:
    """What was counted, leading to the tickets behind it where there are some to be seen.

    Its row and column say where it leads: the figure, and `Card.counted_heading`.
    """
    if not figure.tickets_url:
        return figure.counted
    return format_html('<a href="{}">{}</a>', figure.tickets_url, figure.counted)


#: "53.8 %", "3 of 7", "12".
_FIGURE = re.compile(r"\d[\d.,]*(?: %| of \d+)?(?=\s)")

_STANDINGS = {
    "suppressed": Pill("too few answers to show", "unknown"),
    "rate_unknown": Pill("response rate unknown", "unknown"),
    "unreliable": Pill("unreliable: too few answered", "unreliable"),
    "limited_high_volume": Pill("low response rate", "low-response-rate"),
    "limited_low_volume": Pill("few answers", "few-answers"),
    "reliable": Pill("reliable", "reliable"),
}
MET_BUT = Pill("Met, but see its guardrail", "cannot-tell")
_STATUSES = {
    "met": Pill("Met", "met"),
    "not_met": Pill("Not met", "not-met"),
    "cannot_tell_yet": Pill("Cannot tell yet", "cannot-tell"),
}


def card(
    readings: Sequence[Reading],
    *,
    method_url: str,
    quality_url: str = "",
    label: str = "",
    series: Series | None = None,
    proposal: str = "",
    evidence: Sequence[Beside] = (),
    period: str = "",
    tickets: Callable[[Reading], str] = lambda reading: "",
) -> Card:
    """The card of readings of one metric and slice; the first of them leads.

    `tickets` says where the tickets behind a reading are listed; `period` over which days they are
    told where those are not the page's.
    """
    reading = readings[0]
    return Card(
        anchor=anchor(reading),
        label=label or reading.name,
        sentence=reading.sentence + _kept_words(reading),
        method_url=f"{method_url}#{reading.key.partition('.')[0]}",
        version=reading.definition_version,
        status=_status(reading),
        standing=_STANDINGS.get(reading.reliability_state or ""),
        flags=_flags(reading),
        data_quality=flaws_in_words(reading),
        quality_url=quality_url,
        figures=tuple(replace(figure(one), tickets_url=tickets(one)) for one in readings),
        definitions=tuple(_definitions(readings)),
        series=series,
        proposal=proposal,
        evidence=evidence,
        period=period,
    )


def figure(reading: Reading) -> Figure:
    """A reading as one row: its value with what a value is never shown without (1.14)."""
    _, view = find(reading.key)
    notes = [pill.words for pill in (_status(reading), _STANDINGS.get(reading.reliability_state or
             "")) if pill]  # fmt: skip
    return Figure(
        anchor=anchor(reading),
        name=reading.name,
        sentence=reading.sentence + _kept_words(reading),
        value=_value(reading, view.unit),
        counted=counted_words(reading),
        interval=interval_words(reading),
        notes="; ".join((*notes, *_flags(reading), *_restated(reading))),
    )


def _value(reading: Reading, unit: Unit) -> str:
    """The value with its unit, or what is known where a duration is not reached."""
    longest = reading.beside.get("more_than")
    if longest is not None:
        return f"more than {value_words(longest, unit)}"
    if reading.value is None:
        return "unknown"
    few = unit is Unit.SHARE and reading.numerator is not None
    if few and (reading.denominator or 0) < SMALLEST:
        return counted_words(reading)  # of tickets: so few answers have no value (1.11)
    return value_words(reading.value, unit)


def anchor(reading: Reading) -> str:
    """Where a reading stands on its page."""
    return anchor_of(reading.key) + _suffix(reading)


def anchor_of(name: str) -> str:
    """Where the reading of a view stands that is told over all severities."""
    return name.replace(".", "-").replace("_", "-")


def counted_words(reading: Reading) -> str:
    """Numerator and denominator, or n; nothing where even n is not told."""
    if reading.denominator is None:
        return ""
    if reading.numerator is None:
        return f"n = {reading.denominator}"
    return f"{reading.numerator} of {reading.denominator}"


def interval_words(reading: Reading) -> str:
    """The interval with its unit; nothing where there is none."""
    _, view = find(reading.key)
    low, high = reading.interval.lower, reading.interval.upper
    if low is None and high is None:
        return ""
    if view.unit is Unit.SECONDS and low is not None and high is not None:
        return f"{words.business(low)} to {value_words(high, view.unit)}"
    return f"{_limit(low, view.unit)} to {_limit(high, view.unit)}"


def _flags(reading: Reading) -> tuple[str, ...]:
    return reading.flags + (("provisional",) if reading.provisional else ())


def _restated(reading: Reading) -> tuple[str, ...]:
    """What was told otherwise after the period was over; the tickets behind it list which."""
    told = restated_in_words(reading.restated)
    return (f"restated since: {told}",) if told else ()


def _suffix(reading: Reading) -> str:
    severity = reading.slice["severity"]
    return f"-{severity}" if severity else ""


def _kept_words(reading: Reading) -> str:
    """What a target in force makes of it: the fact first, then what it promises (1.13)."""
    if reading.target is None:
        return ""
    target = reading.target["words"]
    open_still = reading.status == "cannot_tell_yet"
    if reading.kept is not None:
        verdict = "Kept" if reading.kept else "Not kept"
        told = f" {verdict}: the target is {target}"
        return f"{told}; too few to promise the same next time." if open_still else f"{told}."
    more = reading.beside.get("answers_to_settle")
    if open_still and more is not None:
        return (
            f" Against the target, {target}, that proves nothing yet: about"
            f" {words.count(int(more), 'more answer', 'more answers')} would settle it."
        )
    return ""


def _status(reading: Reading) -> Pill | None:
    if reading.target is None:
        return None
    if reading.status == "met" and but_see(reading):
        return MET_BUT
    if reading.status is not None:
        return _STATUSES[reading.status]
    if reading.target["state"] in ("proposed", "partially signed"):
        return Pill("Target proposed, not signed", "proposed")
    return Pill("Target signed, not in force in this period", "signed")


def _definitions(readings: Sequence[Reading]) -> list[tuple[str, str]]:
    """What figures are made of; their period and the settings are the page's, and stand above.

    What the first of them says, the others do not say again.
    """
    reading = readings[0]
    metric, _ = find(reading.key)
    told: list[tuple[str, str]] = []
    if metric.from_answers:
        rate = reading.response_rate
        told.append(("Response rate", words.percent(rate) if rate is not None else "unknown"))
    if reading.target is not None:
        told.append(("Target", f"{reading.target['words']} ({reading.target['state']})"))
    if reading.status is not None:
        outlook = {"met": "met", "not_met": "not met", "cannot_tell_yet": "cannot tell yet"}
        told.append(("Status", outlook[reading.status]))
    if reading.kept is not None:
        told.append(("Kept in this period", "yes" if reading.kept else "no"))
    mine = _around(reading)
    told += mine
    for further in readings[1:]:
        more = [one for one in _around(further) if one not in mine]
        told += [(f"{further.name}: {lower_first(term)}", said) for term, said in more]
        mine += more
    if len(reading.data_quality) > 1:  # one alone stands in the card's own line
        told += [(f"Flaw: {lower_first(flaw.title)}", flaw.extent) for flaw in reading.data_quality]
    if reading.data_quality_hint is not None:
        told.append(("Check by Little's law", reading.data_quality_hint.sentence))
    told += [("Guardrail", guard_words(one)) for one in reading.guardrail]
    return told


def _around(reading: Reading) -> list[tuple[str, str]]:
    """What stands around one figure: what still changes, is left out, or follows besides."""
    _, view = find(reading.key)
    told: list[tuple[str, str]] = []
    if reading.so_far is not None:
        told.append(("So far, everything counted", words.so_far(reading.so_far)))
    if reading.still_open:
        told.append(("Still open", str(reading.still_open)))
    told += [
        (f"Left out: {reason}", str(count))
        for reason, count in reading.left_out.items()
        if reason.removesuffix(OF_NO_SERVICE) not in REASONS  # the page says those once
    ]
    told += [
        (_BESIDE.get(name, str(capfirst(name.replace("_", " ")))), _beside(name, value, view.unit))
        for name, value in reading.beside.items()
        if value is not None and name != "more_than"  # that stands for its value
    ]
    return told


def guard_words(guard: Guard) -> str:
    """A figure of the guardrail with its value and what it is made of."""
    if guard.value is None:
        return f"{guard.name}: {lower_first(guard.sentence)}"
    _, view = find(guard.key)
    of = f"{guard.numerator} of {guard.denominator}"
    counted = of if guard.numerator is not None else f"n = {guard.denominator}"
    return f"{guard.name}: {value_words(guard.value, view.unit)} ({counted})"


_BESIDE = {
    "neutral": "Neutral",
    "dissatisfied": "Dissatisfied",
    "delivered": "Delivered",
    "within_the_hour": "Asked within the hour",
    "inactivity": "Closed for inactivity",
    "past_target": "Past their promised time",
    "new": "New",
    "open": "In work",
    "waiting_on_requester": "Waiting for the requester",
    "waiting_on_third_party": "Waiting for somebody else",
    "age_of_period": "Since the period ended",
    "age_p90": "Nine in ten open for at most",
    "mean": "Group changes, on average",
    "if_the_silent_were": "If all who are silent were satisfied",
    "if_the_silent_were_not": "If nobody who is silent were satisfied",
    "answers_to_settle": "More answers that would settle it, if they are alike",
    "needed_of_the_silent": "The silent would need, for the target",
    "if_unclassified_helped": "If every reply nobody classified had helped",
    "requester_elapsed": "As the calendar counts it",
    "pause_share": "Share of the time that was paused",
    "promoters": "Would recommend (9, 10)",
    "passives": "Neither (7, 8)",
    "detractors": "Would not (0 to 6)",
    "margin": "Margin",
    "ease_pomp": "Percent of the greatest ease",
    "pomp": "Percent of the highest rating",
    "claimed_not_verified": "Closed as solved at first contact, and was not",
    "early": "Early estimate, from what is watched so far",
    "p90": "Invitations, nine in ten people at most",
    "median": "Messages, half at most",
    "completed_then_asked": "Completed, and asked us all the same",
    "third_try_or_later": "Tried for the third time or more",
    "raw_index": "Raw index (0 to 1)",
    "auc": "How well the classes tell answers apart (AUC)",
    "resolved_a_day": "Resolved a business day",
    "corrected": "Corrected by the double-check",
    "read_again": "Read by a second person",
    "read_agreeing": "Where they agree with the flag",
    "read_unclear": "Read, and the words did not say",
    "negative_found": "Of what two people read as negative, suggested as negative",
    "others_spared": "Of what two people read as positive, not suggested as negative",
    "read_unlike": "Read by two people, who do not read the same",
    "sensitivity": "Of what is routine, flagged",
    "specificity": "Of what is not, not flagged",
    "cohort_within_target": "Of what was opened, resolved within the promised time",
    "resolved_within_target": "Seen to be resolved in time",
    "policy_of_dissatisfied": "Of all dissatisfied answers, about a policy",
    "dissatisfied_in_all": "Dissatisfied answers in all",
    **{
        f"{key}{ending}": f"{text} the scale {scale.name}"
        for key, scale in SCALES.items()
        for ending, text in (
            ("", "Satisfied on"),
            ("_from", "Satisfied at least, on"),
            ("_to", "Satisfied at most, on"),
            ("_answers", "Answers on"),
            ("_response_rate", "Response rate on"),
        )
    },
}


#: What is a share of 1 among them.
_SHARES = frozenset(
    {
        "pause_share", "early", "claimed_not_verified", "cohort_within_target",
        "corrected", "read_agreeing", "sensitivity", "specificity",
        "negative_found", "others_spared", "policy_of_dissatisfied",
        *(f"{key}{ending}" for key in SCALES for ending in ("", "_from", "_to", "_response_rate")),
    }
)  # fmt: skip


def _beside(name: str, value: float, unit: Unit) -> str:
    if name.startswith("age_") or name == "requester_elapsed":
        return words.calendar(value)
    if name == "if_unclassified_helped":
        return value_words(value, unit)
    if name == "needed_of_the_silent":
        return _needed(value)
    if name.startswith(("if_", "dissatisfied: ")) or name in _SHARES:
        return words.percent(value)
    return words.rounded(value, 1) if isinstance(value, float) else str(value)


def _needed(share: float) -> str:
    if share <= 0:
        return "none: the target is kept whatever they think"
    if share > 1:
        return "more than all of them: the target is out of reach whatever they think"
    return words.percent(share)


def value_words(value: float, unit: Unit) -> str:
    """A value with its unit."""
    if unit is Unit.SHARE:
        return words.percent(value)
    if unit is Unit.SECONDS:
        return f"{words.business(value)} of business time"
    if unit is Unit.RATIO:
        return words.percent(value)
    if unit is Unit.SCALE_POINTS:
        return words.rounded(value, 2)
    if unit in (Unit.NET_POINTS, Unit.DAYS):
        return words.rounded(value, 1)
    return f"{value:,.0f}"


def _limit(limit: float | None, unit: Unit) -> str:
    return "not determined" if limit is None else value_words(limit, unit)


_RULES = {
    Rule.BEYOND_LIMITS: "outside the usual range",
    Rule.RUN_OF_EIGHT: "part of a long run on one side",
    Rule.THREE_OF_FOUR: "one of several close to a limit",
}


def series(title: str, course: Course) -> Series:
    """A course with what it usually does; periods with fewer than ten are gaps."""
    readings = course.readings
    metric, view = find(readings[0].key)
    factor = {Unit.SHARE: 100.0, Unit.SECONDS: 1 / 3600}.get(view.unit, 1.0)
    target = readings[-1].target
    points = []
    for index, (period, reading) in enumerate(zip(course.periods, readings, strict=True)):
        plotted = course.plotted.get(index)
        points.append(
            Point(
                period.label,
                plotted.value * factor if plotted else None,
                reading.denominator,
                note=_note(course, index),
                usual=_usual(plotted, factor),
                asks=bool(plotted and plotted.signals),
                anew=index in course.breaks,
                happened=course.happened.get(index, ""),
            )
        )
    return Series(
        title=title,
        points=points,
        unit={Unit.SHARE: "%", Unit.SECONDS: "h"}.get(view.unit, ""),
        target=float(str(target["value"])) * factor if target is not None else None,
        counted="answers" if metric.from_answers else "items",
    )


def _usual(point: Plotted | None, factor: float) -> tuple[float, float, float] | None:
    if point is None or point.lower is None or point.mean is None or point.upper is None:
        return None
    return point.lower * factor, point.mean * factor, point.upper * factor


def _note(course: Course, index: int) -> str:
    """What a reader must know of a period: why it asks for a look, why the series begins anew."""
    told = [course.breaks[index]] if index in course.breaks else []
    point = course.plotted.get(index)
    if point is not None:
        told += [_RULES[rule] for rule in Rule if rule in point.signals]
    return "; ".join(told)
