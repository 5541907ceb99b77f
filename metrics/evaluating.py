"""The evaluations: from columns of a slice to estimates, one function a question.

Pure functions over `Facts`: numpy arrays of the slice's rows, the moment of reading and calendars
for clocks that still run. Nothing here knows where the columns came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from metrics import columns, intervals, scales, survival
from metrics.comparing import Durations
from metrics.kinds import Estimate, SoFar, unknown
from metrics.rows import Rows
from metrics.settings import Settings
from metrics.small_numbers import Shown, proportion
from metrics.standing import Reliability, is_fragile, reliability, silent
from surveys.blind_reading import NOBODY_READ, Agreement
from tickets.canonical import State

OPEN, RESOLVED, WITHDRAWN = (
    columns.OUTCOMES.index(name) + 1 for name in ("open", "resolved", "withdrawn")
)
#: From so many changes of group on, work was passed on often (METRICS.md M20).
OFTEN_MOVED = 2
INVITED, NOT_SENT, IMPORTED = (
    columns.DECISIONS.index(name) + 1 for name in ("invited", "not_sent", "imported")
)
NORMAL = columns.RESOLUTION_KINDS.index("normal") + 1
INACTIVITY = columns.RESOLUTION_KINDS.index("inactivity") + 1
COURTESY = columns.REOPEN_KINDS.index("courtesy") + 1
SYSTEM = columns.REOPEN_KINDS.index("system") + 1
#: Moves back that are no reopen, but are counted (METRICS.md 1.6), each with the resolution that
#: stands. A misclick leaves none: it is counted with the one that follows it (`slips`).
NO_REOPENS = {"courtesy reopens": COURTESY, "reopens by a bulk change": SYSTEM}
IN_AN_HOUR, LATER_THAN_THAT, LIVE, BY_UNKNOWN = range(1, 1 + len(columns.FIRST_CONTACT_KINDS))
UNCLASSIFIED = columns.MEANINGS.index("unknown") + 1
#: The categories of status in which an item is open (METRICS.md M22).
OPEN_STATES = {
    state.value: columns.STATES.index(state.value) + 1 for state in State if state.is_open
}


class RunningClocks(Protocol):
    """Business seconds that depend on the calendar of a capability and severity."""

    def elapsed_many(
        self, capability: int, severity: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Business seconds for pairs of UTC epoch seconds."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a slice ends and the last local month that was over by then; UTC epoch seconds."""

    at: int
    month_from: int
    month_until: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The rows of a slice, by kind, and the moment they are read at (UTC epoch seconds)."""

    rows: Callable[[columns.Kind], Rows]
    #: Items open at the end of the slice's period, whenever they were opened, with that moment.
    backlog: Callable[[], tuple[Rows, int]]
    as_of: int
    clocks: RunningClocks
    #: Rows with those of the days before the period that a kind reaches back to.
    reaching_back: Callable[[columns.Kind], Rows]
    #: The end of the slice's period, or the moment of reading where that comes first.
    ending: Callable[[], Ending]
    #: Capabilities not to be solved at first contact (hardware, approvals, moves).
    not_first_contact: frozenset[int] = frozenset()
    #: Capabilities that people can serve themselves.
    self_service: frozenset[int] = frozenset()
    settings: Settings = field(default_factory=Settings)
    #: By capability, the duration that leaves nobody waiting, milliseconds (M10).
    quick_within_ms: Mapping[int, int] = field(default_factory=dict)
    #: How often suggestions about comments and people agree (M08).
    agreement: Callable[[], Agreement] = lambda: NOBODY_READ
    #: Whether any source has ever told an escalation (M19).
    tells_escalations: Callable[[], bool] = lambda: True
    #: Whether any message of a requester is known around this period, whatever it was about (M20b).
    tells_messages: Callable[[], bool] = lambda: True
    #: Names of the confirmed themes of comments, by id (M08b).
    themes: Callable[[], Mapping[int, str]] = dict
    #: Items resolved a business day, over the 20 business days before the end of the slice's
    #: period; None where that is not known.
    resolved_a_business_day: Callable[[], float | None] = lambda: None


class NotOneFigure(ValueError):
    """What was asked for cannot be told as one figure; the message says why."""


class ScalesPooled(NotOneFigure):
    """Answers on several scales were asked for as one figure."""


class SeveritiesPooled(NotOneFigure):
    """A duration was asked for over several severities."""


class NoSegment(NotOneFigure):
    """What people do without us was asked for by segment, or a past reading was."""


class NoSeverity(NotOneFigure):
    """What people do without us was asked for by severity."""


def trusted(facts: Facts, sent: int | None, answered: int) -> Reliability:
    """How far a figure from answers may be trusted, by the organisation's settings."""
    decided = facts.settings
    return reliability(
        sent,
        answered,
        decided.precision,
        lowest_rate=decided.lowest_rate,
        low_rate=decided.low_rate,
    )


def fragile(facts: Facts, satisfied: int, answered: int) -> tuple[str, ...]:
    """The flag of a share that five more dissatisfied answers would move too far."""
    decided = facts.settings
    return (
        ("fragile",)
        if is_fragile(satisfied, answered, decided.fragile_drop, int(decided.fragile_answers))
        else ()
    )


# --- small tools ---------------------------------------------------------------------------------


def share(
    numerator: int,
    denominator: int,
    *,
    why: str = "nothing of the kind happened in this period",
    **more: Any,
) -> Estimate:
    """A share of tickets with its Wilson interval; `why` it is unknown where there is none yet."""
    if denominator == 0:
        known = {key: more[key] for key in ("so_far", "still_open", "left_out") if key in more}
        return Estimate(None, 0, why=why, **known)
    return Estimate(
        numerator / denominator,
        denominator,
        numerator,
        intervals.wilson(numerator, denominator),
        **more,
    )


def matured(which: NDArray[np.bool_], mature: NDArray[np.bool_], **more: Any) -> Estimate:
    """The share of mature units that are of a kind; of all units, as what is known so far.

    Only mature units enter numerator and denominator: early failures would otherwise be counted
    but not late ones (METRICS.md 1.8).
    """
    return share(
        int((which & mature).sum()),
        int(mature.sum()),
        so_far=SoFar(int(which.sum()), len(which)) if not mature.all() else None,
        still_open=int((~mature).sum()),
        **more,
    )


def _one_severity(rows: Rows) -> None:
    present = np.unique(rows["severity"])
    if len(present) > 1:
        names = ", ".join(columns.SEVERITIES[int(code) - 1] for code in present if code)
        raise SeveritiesPooled(
            f"A duration is never pooled across severities (here: {names}), because averages mix"
            " outages with typos. Ask for one severity, or for attainment."
        )


def is_mature(rows: Rows, facts: Facts) -> NDArray[np.bool_]:
    """Resolutions whose reopen window has closed (METRICS.md 1.8)."""
    return np.asarray(rows["at"] + facts.settings.reopen_days * 86_400 <= facts.as_of)


# --- A. satisfaction -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answers:
    """Counted answers of a slice and the invitations behind them, mature ones apart."""

    rows: Rows
    so_far: Rows
    #: Mature invitations sent; None where ratings came by import and nobody knows who was asked.
    sent: int | None
    still_open: int
    late: int
    waiting: int

    def around(self, so_far: Callable[[Rows], SoFar | None]) -> dict[str, Any]:
        """What stands around a figure from these answers; `so_far` tells it of some of them."""
        left_out = {"answered late": self.late, "waiting for their batch": self.waiting}
        waits = self.still_open or len(self.so_far) != len(self.rows)
        return {
            "so_far": so_far(self.so_far) if waits else None,
            "still_open": self.still_open,
            "left_out": {reason: count for reason, count in left_out.items() if count},
            "sent": self.sent,
        }


#: Scales on which somebody says how satisfied they are.
SATISFACTION = frozenset(scales.SCALES)


def answers(facts: Facts, *, policy_denial: bool, among: frozenset[str] = SATISFACTION) -> Answers:
    """Last answers within their window, released, of one population (METRICS.md M01, M09).

    `among` names the scales of the question; answers to other questions are not looked at.
    """
    rows = facts.rows(columns.SURVEYED)
    rows = rows[rows["policy_denial"] == int(policy_denial)]
    mine = [columns.SCALE_KEYS.index(key) + 1 for key in sorted(among)]
    rows = rows[np.isin(rows["scale"], mine)]
    if len(np.unique(rows["scale"][rows["score"] != columns.NO_SCORE])) > 1:
        raise ScalesPooled(
            "Answers on several scales are shown side by side, never as one figure (M03)."
        )
    asked = (rows["decision"] == INVITED) & (rows["sent"] > 0) & (rows["sent"] <= facts.as_of)
    given = (rows["score"] != columns.NO_SCORE) & (rows["answered"] <= facts.as_of)
    counted = released_in(rows, facts.as_of)
    closed = np.where(asked, rows["window_until"] <= facts.as_of, True)
    imported = bool((rows["decision"] == IMPORTED).any())
    return Answers(
        rows=rows[counted & closed],
        so_far=rows[counted],
        sent=None if imported else int((asked & closed).sum()),
        still_open=int((asked & ~closed & ~given).sum()),
        late=int((given & (rows["late"] == 1)).sum()),
        waiting=int((given & (rows["late"] != 1) & ~counted).sum()),
    )


def released_in(rows: Rows, as_of: int) -> NDArray[np.bool_]:
    """Which events have an answer that came in time and whose batch is released."""
    given = (rows["score"] != columns.NO_SCORE) & (rows["answered"] <= as_of)
    released = (rows["released"] > 0) & (rows["released"] <= as_of)
    return np.asarray(given & released & (rows["late"] != 1))


def _scale(rows: Rows) -> scales.Scale:
    return scales.SCALES[columns.SCALE_KEYS[int(rows["scale"][0]) - 1]]


def satisfied_in(rows: Rows) -> NDArray[np.bool_]:
    """Which answers of one scale say that somebody was satisfied."""
    return (
        np.isin(rows["score"], sorted(_scale(rows).satisfied)) if len(rows) else np.zeros(0, bool)
    )


def dissatisfied_in(rows: Rows) -> NDArray[np.bool_]:
    """Which answers of one scale say that somebody was dissatisfied."""
    if not len(rows):
        return np.zeros(0, bool)
    return np.isin(rows["score"], sorted(_scale(rows).dissatisfied))


def satisfied_share(facts: Facts, *, policy_denial: bool = False) -> Estimate:
    """M01, M09: satisfied of all counted answers, several answers of one person not as several."""
    found = answers(facts, policy_denial=policy_denial)
    rows = found.rows
    around = found.around(lambda so_far: SoFar(int(satisfied_in(so_far).sum()), len(so_far)))
    if not len(rows):
        return Estimate(None, 0, why="no answers are counted in this period yet", **around)
    happy = satisfied_in(rows)
    n, x = len(rows), int(happy.sum())
    state = trusted(facts, found.sent, n)
    flags = fragile(facts, x, n)
    told = of_answers(facts, rows, happy, policy_denial=policy_denial)
    beside = _classes(rows)
    if policy_denial:
        beside |= _of_all_dissatisfied(facts, int(dissatisfied_in(rows).sum()))
    beside |= of_the_silent(found, x, told)
    return Estimate(
        told.value,
        n,
        x,
        told.interval,
        told.effective,
        flags=flags + told.flags,
        reliability=state,
        beside=beside,
        **around,
    )


def of_the_silent(found: Answers, x: int, told: OfAnswers) -> dict[str, float]:
    """What the silent could change: the share if none of them, or all, were among the `x` (1.12).

    Empty over several capabilities, whose shares are weighted, and where nobody knows who was
    asked.
    """
    if not found.sent or told.flags == WEIGHTED:
        return {}
    bounds = silent(found.sent, len(found.rows), x)
    return {"if_the_silent_were_not": bounds.lower, "if_the_silent_were": bounds.upper}


def _of_all_dissatisfied(facts: Facts, denied: int) -> dict[str, float | int | None]:
    """Of all dissatisfied answers, those about a policy's no; of how many (METRICS.md M09).

    Not told where so few answers are about service that their own figure tells none of it.
    """
    try:
        service = answers(facts, policy_denial=False).rows
    except ScalesPooled:
        return {}
    if proportion(len(service), int(facts.settings.suppressed_below)) is not Shown.FULL:
        return {}
    everybody = denied + int(dissatisfied_in(service).sum())
    share_of_them = denied / everybody if everybody else None
    return {"policy_of_dissatisfied": share_of_them, "dissatisfied_in_all": everybody}


def dissatisfied(facts: Facts) -> tuple[int, int, int]:
    """M11: counted answers, the dissatisfied among them, and the eligible events behind them."""
    rows = answers(facts, policy_denial=False).rows
    unhappy = (
        int(np.isin(rows["score"], sorted(_scale(rows).dissatisfied)).sum()) if len(rows) else 0
    )
    eligible = facts.rows(columns.SURVEYED)
    return len(rows), unhappy, int((eligible["policy_denial"] == 0).sum())


#: The flag of a figure over several capabilities.
WEIGHTED = ("weighted by eligible events",)


@dataclass(frozen=True, slots=True)
class OfAnswers:
    """A share or mean of answers, as many as the interval counts them, and how it was formed."""

    value: float
    interval: intervals.Interval
    #: None over several capabilities: the interval is no share's of so many answers.
    effective: float | None
    flags: tuple[str, ...] = ()


def of_answers(
    facts: Facts, rows: Rows, which: NDArray[np.bool_], *, policy_denial: bool = False
) -> OfAnswers:
    """The share of answers, at least one, of which something holds; its interval (METRICS.md 1.9).

    Several answers of one person are not as several, and capabilities are never pooled: a total
    over them is weighted by eligible events (M01).
    """
    parts = [(one, clustered(rows[one], which[one])) for one in _by_capability(rows)]
    if len(parts) == 1:
        [(_, told)] = parts
        return OfAnswers(told.satisfied / told.n, told.interval, told.effective_n)
    value, interval = intervals.weighted_total(
        _weights(facts, [rows[one] for one, _ in parts], policy_denial=policy_denial),
        [told.satisfied / told.n * told.effective_n for _, told in parts],
        [told.effective_n for _, told in parts],
    )
    return OfAnswers(value, interval, None, WEIGHTED)


def mean_of_answers(facts: Facts, rows: Rows, low: float, high: float) -> OfAnswers:
    """The mean of ratings on a scale, as `of_answers` forms a share; at least two answers."""
    parts = [rows[one] for one in _by_capability(rows)]
    if len(parts) == 1:
        return plain_mean(rows, low, high)
    weights = _weights(facts, parts, policy_denial=False)
    spread = float(rows["score"].std(ddof=1))
    told = [_ratings(part) for part in parts]
    value, interval = intervals.weighted_mean(weights, told, spread, low, high)
    return OfAnswers(value, interval, None, WEIGHTED)


def plain_mean(rows: Rows, low: float, high: float) -> OfAnswers:
    """The mean of ratings on a scale with Student's interval; at least two answers."""
    told = _ratings(rows)
    assert told.sd is not None
    interval = intervals.mean_interval(told.mean, told.sd, told.effective_n, low, high)
    return OfAnswers(told.mean, interval, told.effective_n)


def clustered(rows: Rows, which: NDArray[np.bool_]) -> intervals.Clustered:
    """Answers by person, and of how many of each something holds; at least one answer."""
    person = _people(rows)
    holding = np.bincount(person, weights=which.astype(np.float64)).astype(np.int64)
    return intervals.clustered(np.bincount(person), holding)


def _ratings(rows: Rows) -> intervals.Ratings:
    scores = rows["score"].astype(np.float64)
    sd = float(scores.std(ddof=1)) if len(rows) > 1 else None
    return intervals.Ratings(float(scores.mean()), sd, effective_size(rows, scores))


def effective_size(rows: Rows, values: NDArray[np.float64]) -> float:
    """As how many answers those count that tell some values, several of one person being fewer."""
    person = _people(rows)
    sums = np.bincount(person, weights=values)
    effect = intervals.design_effect(np.bincount(person), sums, float(values.var()))
    return len(rows) / max(1.0, effect)


def _people(rows: Rows) -> NDArray[np.int64]:
    """The place of each answer's person among all; somebody unknown is a person of their own."""
    unknown_people = rows["requester"] == 0
    people = np.where(unknown_people, -rows["event"].astype(np.int64), rows["requester"])
    return np.asarray(np.unique(people, return_inverse=True)[1])


def _by_capability(rows: Rows) -> list[NDArray[np.bool_]]:
    return [rows["capability"] == one for one in np.unique(rows["capability"])]


def _weights(facts: Facts, parts: Sequence[Rows], *, policy_denial: bool) -> list[float]:
    """The eligible events of each part's capability."""
    eligible = facts.rows(columns.SURVEYED)
    eligible = eligible[eligible["policy_denial"] == int(policy_denial)]
    return [float((eligible["capability"] == part["capability"][0]).sum()) for part in parts]


def _classes(rows: Rows) -> dict[str, float | int | None]:
    scale = _scale(rows)
    return {
        "neutral": int(np.isin(rows["score"], sorted(scale.neutral)).sum()),
        "dissatisfied": int(np.isin(rows["score"], sorted(scale.dissatisfied)).sum()),
    }


def mean_rating(facts: Facts) -> Estimate:
    """M02: the mean of counted ratings, from ten answers on; a second line under M01.

    Of whatever capabilities they are: the card and the golden month weight shares and not this.
    """
    found = answers(facts, policy_denial=False)
    n = len(found.rows)
    scale = _scale(found.so_far) if len(found.so_far) else None
    if scale is not None and scale.bounds is None:
        return Estimate(None, n, why=f"a mean is not defined on the scale {scale.name}",
                        sent=found.sent)  # fmt: skip
    around = found.around(mean_so_far)
    if n < SMALLEST_MEAN or scale is None or scale.bounds is None:
        return Estimate(None, n, why=NO_MEAN, **around)
    told = plain_mean(found.rows, *scale.bounds)
    return Estimate(
        told.value,
        n,
        interval=told.interval,
        effective=told.effective,
        reliability=trusted(facts, found.sent, n),
        beside={"pomp": scale.pomp(told.value)},
        **around,
    )


#: A mean is shown from so many answers on (METRICS.md M02).
SMALLEST_MEAN = 10
NO_MEAN = f"a mean is shown from {SMALLEST_MEAN} answers on"


def mean_so_far(rows: Rows) -> SoFar | None:
    """The mean of what was answered so far; None of too few answers for one."""
    n = len(rows)
    return SoFar(None, n, float(rows["score"].mean())) if n >= SMALLEST_MEAN else None


def response_rate(facts: Facts) -> Estimate:
    """M06: answered of sent, bounced ones included, mature invitations only."""
    rows = facts.rows(columns.SURVEYED)
    if (rows["decision"] == IMPORTED).any():
        return unknown(
            "response rate unknown: the ratings were imported, nobody knows who was asked"
        )
    rows = rows[(rows["sent"] > 0) & (rows["sent"] <= facts.as_of)]
    closed = rows["window_until"] <= facts.as_of
    answered = answered_in(rows, facts)
    delivered = rows["invitation"] != columns.BOUNCED
    return matured(
        answered,
        closed,
        beside={
            "delivered": int((closed & delivered).sum()),
            "complete": int((closed & answered & (rows["complete"] == 1)).sum()),
        },
        why="no invitation of this period has closed yet",
    )


def answered_in(rows: Rows, facts: Facts) -> NDArray[np.bool_]:
    """Which events were answered in time.

    Who answered is counted at once; what they said waits for its batch (TRUST.md decision 1).
    """
    given = (rows["score"] != columns.NO_SCORE) & (rows["answered"] <= facts.as_of)
    return np.asarray(given & (rows["late"] != 1))


def coverage(facts: Facts) -> Estimate:
    """M07: sent of eligible events, with the reasons why the others were not asked."""
    rows = facts.rows(columns.SURVEYED)
    if (rows["decision"] == IMPORTED).any():
        return unknown("coverage unknown: the ratings were imported, nobody knows who was asked")
    sent = (rows["sent"] > 0) & (rows["sent"] <= facts.as_of)
    reasons = {
        reason.replace("_", " "): int((rows["reason"] == number).sum())
        for number, reason in enumerate(columns.REASONS, start=1)
    }
    in_time = sent & (rows["sent"] - rows["at"] <= 60 * facts.settings.timely_minutes)
    return share(
        int(sent.sum()),
        len(rows),
        left_out={reason: count for reason, count in reasons.items() if count},
        beside={"within_the_hour": int(in_time.sum())},
        why="nothing that could be asked about happened in this period",
    )


# --- B. speed ------------------------------------------------------------------------------------


def running_clocks(rows: Rows, facts: Facts, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Business seconds from opening to `ends`, by each row's own calendar."""
    elapsed = np.zeros(len(rows), dtype=np.int64)
    starts = rows["at"].astype(np.int64)
    pairs = np.stack([rows["capability"].astype(np.int64), rows["severity"].astype(np.int64)], 1)
    for capability, severity in np.unique(pairs, axis=0):
        mine = (pairs[:, 0] == capability) & (pairs[:, 1] == severity)
        elapsed[mine] = facts.clocks.elapsed_many(
            int(capability), columns.SEVERITIES[int(severity) - 1], starts[mine], ends[mine]
        )
    return elapsed


def _owed(facts: Facts, kind: columns.Kind) -> Rows:
    """Items somebody waits on."""
    rows = facts.rows(kind)
    owed: Rows = rows[rows["response_owed"] == 1]
    return owed


#: The replies of M12 and M13.
FIRST_RESPONSE, FIRST_MEANINGFUL = "first_response", "first_meaningful"


def response_curve(
    facts: Facts, reply: str, *, unclassified_helped: bool = False
) -> survival.Curve:
    """The curve of the time to a reply."""
    return response_times(facts, reply, unclassified_helped=unclassified_helped).curve


def response_times(facts: Facts, reply: str, *, unclassified_helped: bool = False) -> Durations:
    """Time to a reply for items opened in the slice; unanswered ones censored, never dropped.

    Closing an item answers nobody: its clock stands where it is now. Only what the requester
    withdrew is censored when it ended (METRICS.md M12).
    """
    rows = _owed(facts, columns.ITEMS)
    _one_severity(rows)
    seconds = _reply_seconds(rows, reply)
    if unclassified_helped:
        unclassified = rows["first_reply"] == UNCLASSIFIED
        seconds[unclassified] = rows["first_response"][unclassified]
    replied = seconds != columns.NONE_S
    waiting = ~replied
    until = _watched_until(rows, facts)
    seconds[waiting] = running_clocks(rows[waiting], facts, until[waiting])
    return Durations(seconds.astype(np.float64), np.asarray(replied))


def _reply_seconds(rows: Rows, reply: str) -> NDArray[np.int64]:
    """Business seconds from the opening to a reply; NONE_S where there is none."""
    first = rows["first_response"].astype(np.int64)
    if reply == FIRST_RESPONSE:
        return first
    later = rows["helped_later"].astype(np.int64)
    return np.where(later == columns.NONE_S, later, first + later)


def _reply_elapsed(rows: Rows, reply: str) -> NDArray[np.int64]:
    """Elapsed seconds from the opening to a reply, as the requester's calendar counts them."""
    worked = _reply_seconds(rows, reply)
    unworked = rows["reply_unworked"].astype(np.int64)
    if reply != FIRST_RESPONSE:
        unworked += rows["help_unworked"]
    return np.where(worked == columns.NONE_S, worked, worked + unworked)


def reply_quantile(facts: Facts, p: float) -> Estimate:
    """M12: time to the first reply of a person."""
    told = _reply_quantile(response_curve(facts, FIRST_RESPONSE), p)
    return _as_the_calendar_counts(told, FIRST_RESPONSE, facts, p)


def helpful_reply_quantile(facts: Facts, p: float) -> Estimate:
    """M13: time to the first helpful reply; nobody's guess where replies are not classified."""
    told = _reply_quantile(response_curve(facts, FIRST_MEANINGFUL), p)
    told = _as_the_calendar_counts(told, FIRST_MEANINGFUL, facts, p)

    def if_helped() -> float | None:
        return response_curve(facts, FIRST_MEANINGFUL, unclassified_helped=True).quantile(p)

    return _doubted(told, _owed(facts, columns.ITEMS), if_helped, facts)


def _as_the_calendar_counts(told: Estimate, reply: str, facts: Facts, p: float) -> Estimate:
    """A time to a reply with what the requester waited: elapsed seconds, censored likewise."""
    if told.value is None and told.more_than is None:
        return told
    rows = _owed(facts, columns.ITEMS)
    elapsed = _reply_elapsed(rows, reply)
    replied = elapsed != columns.NONE_S
    waited = np.where(replied, elapsed, _watched_until(rows, facts) - rows["at"])
    curve = survival.kaplan_meier(waited.astype(np.float64), replied)
    return replace(told, beside={**told.beside, "requester_elapsed": curve.quantile(p)})


def _watched_until(rows: Rows, facts: Facts) -> NDArray[np.int64]:
    """Until when somebody waits for a reply: only what they withdrew ends it without one."""
    return np.where(rows["outcome"] == WITHDRAWN, rows["ended"], facts.as_of)


def _reply_quantile(curve: survival.Curve, p: float) -> Estimate:
    if curve.n and not curve.events:
        return unknown("no such reply is recorded for any of these items", denominator=curve.n)
    return quantile(curve, p, not_done="had none yet")


def _doubted(
    told: Estimate, rows: Rows, if_helped: Callable[[], float | None], facts: Facts
) -> Estimate:
    """M13 is unreliable where more than one first reply in ten is not classified.

    The figure counts those as no help; the other bound, as help, stands beside it.
    """
    unclassified = int((rows["first_reply"] == UNCLASSIFIED).sum())
    replies = int((rows["first_reply"] != 0).sum())
    if unclassified <= facts.settings.unclassified_replies * replies:
        return told
    return replace(
        told,
        reliability=Reliability.UNRELIABLE,
        flags=(*told.flags, f"unreliable: {unclassified} of {replies} replies are not classified"),
        beside={**told.beside, "if_unclassified_helped": if_helped()},
    )


def resolution_clocks(facts: Facts, rows: Rows) -> NDArray[np.int64]:
    """Resolution clocks of items; those of open ones as they stand at the moment of reading."""
    clock = rows["clock"].astype(np.int64)
    running = clock == columns.NONE_S
    since = rows["paused_since"].astype(np.int64)
    ends = np.where(since > 0, np.minimum(since, facts.as_of), facts.as_of)
    elapsed = running_clocks(rows[running], facts, ends[running])
    clock[running] = np.maximum(0, elapsed - rows["paused"][running])
    return clock


def resolution_times(facts: Facts) -> Durations:
    """M14, cohort: items opened in the slice; open and withdrawn ones censored."""
    rows = facts.rows(columns.ITEMS)
    _one_severity(rows)
    clocks = resolution_clocks(facts, rows).astype(np.float64)
    return Durations(clocks, np.asarray(rows["outcome"] == RESOLVED))


def resolution_curve(facts: Facts) -> survival.Curve:
    """The curve of M14's cohort."""
    return resolution_times(facts).curve


def quantile(curve: survival.Curve, p: float, *, not_done: str = "are still open") -> Estimate:
    """A quantile of a curve; "more than" the longest clock where it is not reached."""
    if curve.n == 0:
        return unknown("nothing was opened in this period")
    value = curve.quantile(p)
    return Estimate(
        value,
        curve.n,
        interval=curve.quantile_interval(p),
        why="" if value is not None else not_done,
        more_than=None if value is not None else curve.longest,
        still_open=curve.n - curve.events,
    )


def within_target(facts: Facts) -> Estimate:
    """F(target): the share of a cohort resolved within its promised time.

    No number of items over another: what is still open, or was withdrawn, counts as long as it was
    watched. How many were seen to be resolved in time stands beside it.
    """
    rows = facts.rows(columns.ITEMS)
    rows = rows[rows["resolution_target"] > 0]
    targets = np.unique(rows["resolution_target"])
    if len(targets) != 1:
        return unknown("no one promised time holds for all of these items")
    _one_severity(rows)
    clocks, target = resolution_clocks(facts, rows).astype(np.float64), float(targets[0])
    resolved = rows["outcome"] == RESOLVED
    curve = survival.kaplan_meier(clocks, resolved)
    return Estimate(
        curve.done_by(target),
        curve.n,
        interval=curve.done_by_interval(target, watched=int((clocks >= target).sum())),
        still_open=curve.n - curve.events,
        beside={
            "resolved_within_target": int((resolved & (clocks <= target)).sum()),
            "pause_share": _pause_share(rows),
        },
    )


def held(facts: Facts) -> Rows:
    """Resolutions that hold, dated in the slice: one row an item resolved."""
    rows = facts.rows(columns.RESOLUTIONS)
    holding: Rows = rows[rows["holds"] == 1]
    return holding


def resolved_quantile(facts: Facts, p: float) -> Estimate:
    """M14, resolved only: comparable with help desks' reports, blind to what is still open."""
    rows = held(facts)
    _one_severity(rows)
    if not len(rows):
        return unknown("nothing was resolved in this period")
    clocks = rows["clock"].astype(np.float64)
    return Estimate(
        intervals.percentile(clocks, p),
        len(rows),
        interval=intervals.percentile_interval(clocks, p),
        beside={
            "inactivity": int((rows["kind"] == INACTIVITY).sum()),
            "requester_elapsed": intervals.percentile(rows["elapsed"].astype(np.float64), p),
            "pause_share": _pause_share(rows),
        },
    )


def cohort_quantile(facts: Facts, p: float) -> Estimate:
    """M14, cohort: with what the requester saw on the calendar, and how much of it was paused."""
    rows = facts.rows(columns.ITEMS)
    told = quantile(resolution_curve(facts), p)
    if not len(rows):
        return told
    ended = rows["ended"].astype(np.int64)
    waited = np.where(ended > 0, ended, facts.as_of) - rows["at"]
    by_calendar = survival.kaplan_meier(waited.astype(np.float64), rows["outcome"] == RESOLVED)
    beside = {"requester_elapsed": by_calendar.quantile(p), "pause_share": _pause_share(rows)}
    return replace(told, beside=beside)


def _pause_share(rows: Rows) -> float | None:
    """1 - clock / business time that passed, over items whose clock has ended (METRICS.md 1.4)."""
    over = rows[rows["clock"] != columns.NONE_S]
    paused = int(over["paused"].sum())
    passed = int(over["clock"].sum()) + paused
    return paused / passed if passed else None


def attainment(facts: Facts, kind: columns.Kind) -> Estimate:
    """Met of met and missed, each promise decided once, in the period of its decision."""
    if kind is columns.RESOLUTION_PROMISES:
        rows = facts.rows(kind)
        kept = (rows["outcome"] == RESOLVED) & (rows["in_time"] == 1)
        withdrawn = (rows["outcome"] == WITHDRAWN) & (rows["in_time"] == 1)
    else:
        rows = _owed(facts, kind)
        kept = rows["in_time"] == 1
        withdrawn = (rows["ended"] > 0) & (rows["ended"] <= rows["deadline"])
        withdrawn &= (rows["outcome"] == WITHDRAWN) & (rows["fulfilled"] == 0)
    told = _kept_of_decided(rows, kept, withdrawn, facts)
    if kind is not columns.MEANINGFUL_RESPONSES:
        return told
    could = (rows["first_reply"] == UNCLASSIFIED) & (rows["replied_in_time"] == 1)
    return _doubted(
        told, rows, lambda: _kept_of_decided(rows, kept | could, withdrawn, facts).value, facts
    )


def _kept_of_decided(
    rows: Rows, kept: NDArray[np.bool_], withdrawn: NDArray[np.bool_], facts: Facts
) -> Estimate:
    passed = rows["deadline"] < facts.as_of
    missed = ~kept & ~withdrawn & passed
    running = ~kept & ~withdrawn & ~passed
    return share(
        int(kept.sum()),
        int(kept.sum() + missed.sum()),
        still_open=int(running.sum()),
        why="no promise of time was decided in this period",
    )


# --- C. durability and flow ----------------------------------------------------------------------


def first_contact(facts: Facts, *, claimed: bool = False, net: bool = False) -> Estimate:
    """M16: solved in one go, and (verified) neither reopened nor needed again."""
    rows = facts.rows(columns.RESOLUTIONS)
    rows = rows[rows["number"] == 1]
    if net:
        rows = rows[~np.isin(rows["capability"], sorted(facts.not_first_contact))]
    mature = is_mature(rows, facts)
    closed = rows["fcr_claimed"] == 1
    why = f"no first resolution of this period is {facts.settings.reopen_days:g} days old yet"
    if claimed:
        return matured(closed, mature, why=why)
    return _verified(rows, closed, mature, why=why)


def _verified(
    rows: Rows, closed: NDArray[np.bool_], mature: NDArray[np.bool_], **more: Any
) -> Estimate:
    """Of first resolutions those that were claimed, and neither reopened nor needed again."""
    solved = closed & (rows["reopened"] != 1) & (rows["repeat_at"] == 0)
    came_back = int((closed & ~solved & mature).sum())
    beside = {"claimed_not_verified": came_back / max(1, int(mature.sum()))}
    return matured(solved, mature, beside=beside, **more)


def first_contact_in_writing(facts: Facts) -> Estimate:
    """M16 by HDI's rule for written channels: solved within one business hour, and verified.

    Of other channels there is no such hour: those are left out, and counted where they are mature.
    """
    rows = facts.rows(columns.FIRST_CONTACTS)
    mature = is_mature(rows, facts)
    others = {
        "by telephone or chat": int((mature & (rows["contact"] == LIVE)).sum()),
        "by a channel that is not known": int((mature & (rows["contact"] == BY_UNKNOWN)).sum()),
    }
    written = np.isin(rows["contact"], (IN_AN_HOUR, LATER_THAN_THAT))
    mine = rows[written]
    return _verified(
        mine,
        mine["contact"] == IN_AN_HOUR,
        mature[written],
        left_out={channel: count for channel, count in others.items() if count},
        why="no first resolution of this period that came in writing is"
        f" {facts.settings.reopen_days:g} days old yet"
        if len(rows)
        else "no first resolution of this period is sorted by its channel yet",
    )


def repeat_contact(facts: Facts) -> Estimate:
    """M17: whose requester came again for the same capability within 14 days."""
    rows = facts.rows(columns.RESOLUTIONS)
    rows = rows[rows["number"] == 1]
    return matured(
        rows["repeat_at"] > 0,
        is_mature(rows, facts),
        why=f"no first resolution of this period is {facts.settings.reopen_days:g} days old yet",
    )


def reopen_rate(facts: Facts, *, policy_denial: bool = False, times: int = 1) -> Estimate:
    """M18: work items with a mature resolution that did not hold, each item once."""
    rows = facts.rows(columns.RESOLUTIONS)
    rows = rows[rows["policy_denial"] == int(policy_denial)]
    mature = is_mature(rows, facts)
    came_back = rows["reopened"] == 1
    no_reopens = {
        sort: int((mature & (rows["reopen_kind"] == kind)).sum())
        for sort, kind in NO_REOPENS.items()
    } | {"misclick reopens": int(rows["slips"][mature].sum())}
    told = share(
        _came_back(rows[mature & came_back], times),
        len(np.unique(rows["item"][mature])),
        so_far=SoFar(_came_back(rows[came_back], times), len(np.unique(rows["item"])))
        if not mature.all()
        else None,
        still_open=len(np.unique(rows["item"][~mature])),
        left_out={sort: count for sort, count in no_reopens.items() if count},
        why=f"no resolution of this period is {facts.settings.reopen_days:g} days old yet",
    )
    if mature.all() or times > 1:
        return told
    return replace(told, beside={"early": _early(rows, facts)})


def _early(rows: Rows, facts: Facts) -> float | None:
    """M18 before the window is over: 1 - S at its end, of the time to an item's first reopen.

    Of mature items alone it is their share. None where nobody was watched for as long as that: the
    curve does not reach there.
    """
    window = facts.settings.reopen_days * 86_400
    _, item = np.unique(rows["item"], return_inverse=True)
    back = (rows["reopened"] == 1) & (rows["reopen_at"] <= facts.as_of)
    first, watched = np.full((2, int(item.max()) + 1), np.inf)
    np.minimum.at(first, item[back], rows["reopen_at"][back] - rows["at"][back])
    np.minimum.at(watched, item, np.minimum(facts.as_of - rows["at"], window))
    happened = np.isfinite(first)
    curve = survival.kaplan_meier(np.where(happened, first, watched), happened)
    return curve.done_by(window) if curve.longest >= window or happened.all() else None


def _came_back(reopened: Rows, times: int) -> int:
    """Items with at least so many of some resolutions that did not hold."""
    _, often = np.unique(reopened["item"], return_counts=True)
    return int((often >= times).sum())


def escalated(facts: Facts, *which: str) -> Estimate:
    """M19: resolved items with at least one escalation."""
    rows = held(facts)
    count = sum(rows[name].astype(np.int64) for name in which) if len(rows) else np.zeros(0)
    several = int((np.asarray(count) > 0).sum())
    if len(rows) and not several and not facts.tells_escalations():
        return unknown("no source has ever told of an escalation")
    return share(several, len(rows), why="nothing was resolved in this period")


def went_up(facts: Facts) -> Rows:
    """Resolved items with at least one escalation, to whomever."""
    rows = held(facts)
    some: Rows = rows[(rows["functional"] > 0) | (rows["hierarchical"] > 0)]
    return some


def passed_on(facts: Facts) -> Rows:
    """Resolved items that changed group twice or more after the first assignment."""
    rows = held(facts)
    often: Rows = rows[rows["reassignments"] >= OFTEN_MOVED]
    return often


def bounced(facts: Facts) -> Estimate:
    """M20: resolved items that changed group twice or more after the first assignment."""
    rows = held(facts)
    mean = float(rows["reassignments"].mean()) if len(rows) else None
    return share(
        len(passed_on(facts)),
        len(rows),
        beside={"mean": mean},
        why="nothing was resolved in this period",
    )


def backlog(facts: Facts) -> Estimate:
    """M22: items open at the end of the period (now, for a running one), with their ages.

    Ages are durations: told of one severity only. Who waited then is not known of a past moment.
    """
    rows, moment = facts.backlog()
    ages = (moment - rows["at"].astype(np.int64)).astype(np.float64)
    late = (rows["resolution_deadline"] > 0) & (rows["resolution_deadline"] < moment)
    alike = len(np.unique(rows["severity"])) == 1
    return Estimate(
        float(len(rows)),
        len(rows),
        beside={
            "age_median": intervals.percentile(ages, 0.5) if alike else None,
            "age_p90": intervals.percentile(ages, 0.9) if alike else None,
            "age_oldest": float(ages.max()) if alike else None,
            "past_target": int(late.sum()),
            **{
                name: int((rows["state"] == number).sum()) if moment >= facts.as_of else None
                for name, number in OPEN_STATES.items()
            },
        },
    )


def epoch(at: datetime) -> int:
    """UTC epoch seconds of an instant."""
    return int(at.astimezone(UTC).timestamp() // 1)
