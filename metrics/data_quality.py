"""Which flaws of the data a figure rests on: the flag that stands beside a reading."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Set
from dataclasses import replace

from metrics import words
from metrics.littles_law import by_littles_law
from metrics.measure import Agreeing, Reader, Reading, RestsOn, Slice
from tickets.flaws import ERROR_BARS, FLAWS, FlawKind
from tickets.quality import HIDING

_REPLIES = frozenset({"first_response", "first_meaningful_response"})
_TIMES = _REPLIES | {"resolution_time", "sla_attainment", "backlog"}
_HELD = frozenset({"reopen_rate", "fcr"})
#: Figures of what people do without us: no ticket's flaw can change them.
WITHOUT_TICKETS = frozenset({"self_service_completion", "telemetry_proxy"})

#: Metrics that a kind of flaw can change; one that is not listed can change every figure.
CONCERNS: dict[FlawKind, frozenset[str]] = {
    FlawKind.UNKNOWN_ACTOR: _REPLIES | _HELD | {"requester_returns"},
    FlawKind.AMBIGUOUS_DATE: _TIMES | _HELD,
    FlawKind.REOPENS_DIFFER: _HELD,
    FlawKind.BULK_CHANGE: _HELD | {"resolution_time", "sla_attainment"},
    FlawKind.NO_PROMISE: _REPLIES | {"sla_attainment"},
    FlawKind.NEGATIVE_DURATION: _TIMES,
    FlawKind.TIMES_READ: _TIMES - _REPLIES,
    FlawKind.COARSE_TIMES: _TIMES,
    FlawKind.UNREAD_TEXT: frozenset({"first_meaningful_response", "sla_attainment"}),
}


def with_data_quality(reading: Reading, cut: Slice, reader: Reader) -> Reading:
    """The reading with the flaws it may rest on, the most frequent first, and a hint at others.

    Counted are tickets that were alive in the period, as their flaws are known now. The counts of a
    period are fetched once, whatever is read of it.
    """
    metric = reading.key.partition(".")[0]
    if metric in WITHOUT_TICKETS:
        return reading
    found: Counter[FlawKind] = Counter()
    bars: dict[FlawKind, set[str]] = defaultdict(set)
    for (kind, severity, bar), tickets in reader.flaws(cut).items():
        if metric not in CONCERNS.get(kind, {metric}):
            continue
        if cut.severity in (None, severity) or kind in HIDING:
            found[kind] += tickets
            bars[kind].add(bar)
    return replace(
        reading,
        data_quality=tuple(
            RestsOn(kind.value, FLAWS[kind].title, tickets, _widest(kind, bars[kind]))
            for kind, tickets in sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
        ),
        data_quality_hint=by_littles_law(cut, reader) if metric == "backlog" else None,
    )


def _widest(kind: FlawKind, bars: Set[str]) -> str:
    """The widest of some error bars; empty where a kind of flaw has none."""
    return next((bar for bar in reversed(ERROR_BARS.get(kind, ())) if bar in bars), "")


def flaws_in_words(reading: Reading) -> str:
    """The most frequent flaw with its tickets, how many more kinds there are, and the error bars.

    A check that differs is said behind them. Empty where nothing is known to be wrong. How far
    times may be off is always said: a figure in minutes would promise more than its data hold.
    """
    bars = [flaw for flaw in reading.data_quality if flaw.error_bar]
    others = [flaw for flaw in reading.data_quality if not flaw.error_bar]
    said = [f"{lower_first(flaw.title)}: {flaw.extent}" for flaw in bars]
    if others:
        first, *more = others
        kinds = f", and {words.count(len(more), 'more kind', 'more kinds')}" if more else ""
        said.insert(0, f"Flaws in the data: {lower_first(first.title)} ({first.extent}){kinds}")
    told = "; ".join(said)
    hint = reading.data_quality_hint
    sentences = [told[:1].upper() + told[1:]] if told else []
    if hint is not None and hint.outcome == Agreeing.DIFFERS:
        sentences.append(hint.sentence)
    return ". ".join(sentences)


def lower_first(sentence: str) -> str:
    """A title as it stands inside a sentence."""
    return sentence[:1].lower() + sentence[1:]
