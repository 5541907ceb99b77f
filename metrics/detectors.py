"""Gaming detectors: patterns that ask for a look and accuse nobody, as one list.

Pure (METRICS.md Part 4). Each takes counts or clocks of a group or a capability, never of an agent:
there is no field to put one in. Where the compared sets are too small a detector says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from math import exp, log
from typing import Any

from metrics.intervals import Interval, binomial_tail, newcombe
from metrics.small_numbers import SMALLEST


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a detector asks for a look; an organisation may move each (metrics/settings.py)."""

    #: Items each compared set needs, unless a rule states its own.
    smallest_set: float = 30
    #: For rules about lists: changed answers, late pauses.
    smallest_list: float = 10
    bunching_p: float = 0.01
    bunching_excess: float = 10
    raised_ratings: float = 0.5
    #: How many times the one share is the other: courtesy reopens (G5), denials (G9).
    times: float = 2
    reply_gap: float = 0.15
    empty_replies: float = 0.2
    silent_pauses: float = 0.3
    burst: float = 20
    inactivity_rise: float = 0.1
    same_clock: float = 0.3


DEFAULTS = Limits()


class Cut(StrEnum):
    """What a detector may be asked about."""

    GROUP = "group"
    CAPABILITY = "capability"


class Outcome(StrEnum):
    """What a detector says."""

    FLAG = "flag"
    NOTHING = "nothing"
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class Of:
    """x of n; the share exists where n > 0."""

    x: int
    n: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.x / self.n


class Counts(StrEnum):
    """What a comparison's value is."""

    SHARE = "share"
    #: What one share is above another.
    DIFFERENCE = "difference"
    NUMBER = "number"
    #: How many times one share is another.
    TIMES = "times"


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of a detector: what was compared, and what came of it."""

    what: str
    outcome: Outcome
    #: A share or difference of shares, 0 to 1, or what `counts` says; None where too few.
    value: float | None = None
    interval: Interval | None = None
    p: float | None = None
    counts: Counts = Counts.SHARE


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found: a flag if one of its comparisons is one."""

    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """The gravest of the comparisons; too few only if all have too few."""
        outcomes = {check.outcome for check in self.checks}
        if Outcome.FLAG in outcomes:
            return Outcome.FLAG
        return Outcome.NOTHING if Outcome.NOTHING in outcomes else Outcome.TOO_FEW

    @property
    def is_flag(self) -> bool:
        """Whether somebody should look."""
        return self.outcome is Outcome.FLAG


@dataclass(frozen=True, slots=True)
class Detector[Facts]:
    """One pattern; `judge` is its rule as a function of what it looks at."""

    key: str
    pattern: str
    question: str
    rule: str
    #: The counter-question that stands beside every flag.
    innocent: str
    judge: Callable[[Facts, Limits], Finding]

    def rule_words(self, limits: Limits) -> str:
        """The rule with the limits in force."""
        said = {f.name: f"{getattr(limits, f.name):g}" for f in fields(Limits)}
        shares = {f"{n}_pct": f"{100 * getattr(limits, n):g} %" for n in _SHARES}
        points = {f"{n}_points": f"{100 * getattr(limits, n):g} points" for n in _SHARES}
        return self.rule.format(**said, **shares, **points)


# --- what the detectors look at ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bins:
    """Clocks around a target T: [0.8T, 0.9T), [0.9T, T], (T, 1.1T], (1.1T, 1.2T]."""

    far_below: int
    just_below: int
    just_above: int
    far_above: int

    @property
    def n(self) -> int:
        """Items in the four bins."""
        return self.far_below + self.just_below + self.just_above + self.far_above


@dataclass(frozen=True, slots=True)
class TwoShares:
    """Two sets; the suspicion is that the first one's share is larger."""

    first: Of
    second: Of


@dataclass(frozen=True, slots=True)
class Reopens:
    """Courtesy reopens of all reopens, this quarter and the last; follow-ups by day."""

    courtesy: Of
    courtesy_before: Of
    follow_ups_8_to_14: int
    follow_ups_15_to_21: int


@dataclass(frozen=True, slots=True)
class FirstReplies:
    """First replies and first meaningful replies in time; replies that are not meaningful."""

    replied_in_time: Of
    helped_in_time: Of
    not_meaningful: Of


@dataclass(frozen=True, slots=True)
class Denials:
    """Policy denials among the dissatisfied and the satisfied, and how the flag was set."""

    #: Flags set after an answer had come, of them after a dissatisfied one.
    set_after_answer: Of
    dissatisfied: Of
    satisfied: Of
    #: Whether the group decides on the flag itself.
    group_decides: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """How items were closed: in bursts, for inactivity, after exactly the same time."""

    #: Most resolutions of any one account within 10 minutes; 0 where that is no burst.
    largest_burst: int
    inactivity: Of
    inactivity_before: Of
    #: Clocks at the commonest exact value, of all (`commonest`).
    commonest_clock: Of


@dataclass(frozen=True, slots=True)
class Risen:
    """Two shares of the same items or attempts, each now and before."""

    first: TwoShares
    second: TwoShares


def bins(clocks: Iterable[int], target: int) -> Bins:
    """Sort clocks (whole seconds) into the bins around a target in seconds."""
    counts = Counter(_bin(clock * 10, target) for clock in clocks)
    return Bins(counts["b2"], counts["b"], counts["a"], counts["a2"])


def _bin(tenths: int, target: int) -> str:
    """The bin of a clock given in tenths, so that 0.9 of a target is exact."""
    for name, inside in (
        ("b2", 8 * target <= tenths < 9 * target),
        ("b", 9 * target <= tenths <= 10 * target),
        ("a", 10 * target < tenths <= 11 * target),
        ("a2", 11 * target < tenths <= 12 * target),
    ):
        if inside:
            return name
    return "outside"


def commonest(clocks: Iterable[int]) -> Of:
    """How many clocks (whole seconds) stand at the commonest exact value."""
    counts = Counter(clocks)
    return Of(max(counts.values(), default=0), counts.total())


# --- the rules -----------------------------------------------------------------------------------


def expected_just_below(found: Bins) -> float:
    """The share of the two middle bins that would lie below the target by itself.

    Log-linear between the outer bins; an empty one counts as half an item.
    """
    below, above = log(found.far_below or 0.5), log(found.far_above or 0.5)
    just_below, just_above = (exp(below + step * (above - below) / 3) for step in (1, 2))
    return just_below / (just_below + just_above)


def excess_just_below(found: Bins) -> float:
    """Items just below the target beyond those expected there."""
    near = found.just_below + found.just_above
    return found.just_below - expected_just_below(found) * near


def bunching(found: Bins, limits: Limits = DEFAULTS) -> Finding:
    """G1: more items end just before the target than a smooth course would have."""
    what = "items just under the target beyond those expected"
    if found.n < limits.smallest_set:
        return _too_few(what)
    near = found.just_below + found.just_above
    p = binomial_tail(found.just_below, near, expected_just_below(found))
    excess = excess_just_below(found)
    return Finding(
        (
            Check(
                what, _flag(p < limits.bunching_p and excess >= limits.bunching_excess), excess, p=p
            ),
        )
    )


def more_in_the_first(what: str) -> Callable[[TwoShares, Limits], Finding]:
    """G2, G3, G8: the first share is larger beyond chance (Newcombe's lower limit > 0)."""

    def judge(found: TwoShares, limits: Limits = DEFAULTS) -> Finding:
        first, second = found.first, found.second
        if min(first.n, second.n) < limits.smallest_set:
            return _too_few(what)
        interval = newcombe(first.x, first.n, second.x, second.n)
        proven = interval.lower is not None and interval.lower > 0
        gap = first.share - second.share
        return Finding(
            (Check(what, _flag(proven), gap, interval, counts=Counts.DIFFERENCE),),
        )

    return judge


def raised_ratings(found: Of, limits: Limits = DEFAULTS) -> Finding:
    """G4: changed answers of which too many went up after a message."""
    what = "changed answers that went up after a message"
    return Finding((_above(what, found, limits.raised_ratings, limits.smallest_list),))


def parking(found: Of, limits: Limits = DEFAULTS) -> Finding:
    """G7: late pauses of which too many came without a question."""
    what = "late pauses without a question"
    return Finding((_above(what, found, limits.silent_pauses, limits.smallest_list),))


def dodging_reopens(found: Reopens, limits: Limits = DEFAULTS) -> Finding:
    """G5: reopens declared a courtesy, or problems that come back just after day 14."""
    late, early = found.follow_ups_15_to_21, found.follow_ups_8_to_14
    what = "came back in the week after the reopen window beyond the week before its end"
    after = (
        Check(what, Outcome.TOO_FEW)
        if late + early < limits.smallest_set
        else Check(what, _flag(late > early), float(late - early), counts=Counts.NUMBER)
    )
    now, before = found.courtesy, found.courtesy_before
    courtesy = _doubled("courtesy share of reopens, now to before", now, before, limits)
    return Finding((courtesy, after))


def empty_replies(found: FirstReplies, limits: Limits = DEFAULTS) -> Finding:
    """G6: replies in time that do not help."""
    what = "replied in time minus helped in time"
    replied, helped = found.replied_in_time, found.helped_in_time
    gap = _rise(what, helped, replied, limits.reply_gap, limits)
    empty = _above(
        "first replies not meaningful",
        found.not_meaningful,
        limits.empty_replies,
        limits.smallest_set,
    )
    return Finding((gap, empty))


def hiding_behind_policy(found: Denials, limits: Limits = DEFAULTS) -> Finding:
    """G9: unhappy items turned into denials.

    Below five flags nothing is told: whoever sees the flags would know what their people answered.
    """
    late = found.set_after_answer
    what = "denials said after an answer: of them after a dissatisfied one"
    after = (
        Check(what, Outcome.TOO_FEW)
        if late.n < SMALLEST
        else Check(what, _flag(late.x > 0), late.share)
    )
    if not found.group_decides:
        return Finding((after,))
    what = "denial share, dissatisfied to satisfied"
    return Finding((after, _doubled(what, found.dissatisfied, found.satisfied, limits)))


def bulk_closing(found: Closing, limits: Limits = DEFAULTS) -> Finding:
    """G10: many items closed at once, for inactivity, or after exactly the same time."""
    burst = found.largest_burst
    what = "most resolutions of one account in 10 minutes"
    return Finding(
        (
            # ordinary numbers are not known: they would say which work is one person's
            Check(
                what,
                _flag(burst > limits.burst),
                float(burst) if burst else None,
                counts=Counts.NUMBER,
            ),
            _rise(
                "inactivity share, up against before",
                found.inactivity_before,
                found.inactivity,
                limits.inactivity_rise,
                limits,
            ),
            _above(
                "clocks at one exact value",
                found.commonest_clock,
                limits.same_clock,
                limits.smallest_set,
            ),
        )
    )


def claimed_alone(found: Risen, limits: Limits = DEFAULTS) -> Finding:
    """M16: more is closed as solved at first contact, and no more stays solved."""
    if _few(found, limits):
        return _too_few(_CLAIMED)
    claimed, verified = _rises(found)
    asks = _is_above(claimed) and not _is_above(verified)
    return Finding((_rise_told(_CLAIMED, found.first, claimed, asks),
                    _rise_told("solved at first contact and stayed so, now minus before",
                               found.second, verified)))  # fmt: skip


def hard_to_reach(found: Risen, limits: Limits = DEFAULTS) -> Finding:
    """M23: more is finished without us, and more is given up by people who did not ask us."""
    if _few(found, limits):
        return _too_few(_FINISHED)
    finished, given_up = _rises(found)
    asks = _is_above(finished) and _is_above(given_up)
    return Finding((_rise_told(_FINISHED, found.first, finished, asks),
                    _rise_told("given up and not asked, now minus before",
                               found.second, given_up)))  # fmt: skip


_CLAIMED = "closed as solved at first contact, now minus before"
_FINISHED = "finished without us, now minus before"


def _few(found: Risen, limits: Limits) -> bool:
    sides = (found.first.first, found.first.second, found.second.first, found.second.second)
    return min(one.n for one in sides) < limits.smallest_set


def _rises(found: Risen) -> list[Interval]:
    return [
        newcombe(two.first.x, two.first.n, two.second.x, two.second.n)
        for two in (found.first, found.second)
    ]


def _is_above(rise: Interval) -> bool:
    return rise.lower is not None and rise.lower > 0


def _rise_told(what: str, two: TwoShares, rise: Interval, asks: bool = False) -> Check:
    gap = two.first.share - two.second.share
    return Check(what, _flag(asks), gap, rise, counts=Counts.DIFFERENCE)


def _flag(asks: bool) -> Outcome:
    return Outcome.FLAG if asks else Outcome.NOTHING


def _too_few(what: str) -> Finding:
    return Finding((Check(what, Outcome.TOO_FEW),))


def _above(what: str, found: Of, limit: float, smallest: float) -> Check:
    if found.n < smallest:
        return Check(what, Outcome.TOO_FEW)
    return Check(what, _flag(_exceeds(found.share, limit)), found.share)


def _rise(what: str, before: Of, now: Of, limit: float, limits: Limits) -> Check:
    if min(before.n, now.n) < limits.smallest_set:
        return Check(what, Outcome.TOO_FEW)
    gap = now.share - before.share
    return Check(what, _flag(_exceeds(gap, limit)), gap, counts=Counts.DIFFERENCE)


def _doubled(what: str, one: Of, other: Of, limits: Limits) -> Check:
    """Whether one share is at least twice the other; where the other is nought, if one is not."""
    if min(one.n, other.n) < limits.smallest_set:
        return Check(what, Outcome.TOO_FEW)
    # without division: one.share >= times * other.share
    doubled = one.x > 0 and one.x * other.n >= limits.times * other.x * one.n
    return Check(
        what, _flag(doubled), one.share / other.share if other.x else None, counts=Counts.TIMES
    )


def _exceeds(value: float, limit: float) -> bool:
    """Strictly more; 0.8 minus 0.65 is not more than 0.15."""
    return value - limit > 1e-12


#: Limits that are shares, for the words of a rule.
_SHARES = (
    "raised_ratings",
    "reply_gap",
    "empty_replies",
    "silent_pauses",
    "inactivity_rise",
    "same_clock",
)

DETECTORS: Mapping[str, Detector[Any]] = {
    detector.key: detector
    for detector in (
        Detector(
            "G1",
            "bunching just under a target",
            "Do more items end just before the target than a smooth course would have?",
            "binomial test of the last tenth before the target against the first after it,"
            " p < {bunching_p} and at least {bunching_excess} items too many; from {smallest_set}"
            " items on",
            "Does a shift end or a vendor deliver at that hour?",
            bunching,
        ),
        Detector(
            "G2",
            "early closing",
            "Do items resolved just in time come back more often than the others?",
            "reopen share of the last tenth of the target minus that of the others: lower limit"
            " above 0; from {smallest_set} items each on",
            "Are items that take long simply the harder ones?",
            more_in_the_first("reopened when just in time minus reopened otherwise"),
        ),
        Detector(
            "G3",
            "selective surveying",
            "Are people with troubled items asked less often?",
            "invited share of unremarkable items minus that of troubled ones (reopened, escalated,"
            " late, or moved between groups more than twice): lower limit above 0; from"
            " {smallest_set} items each on",
            "Did limits on asking hold back people who had several items?",
            more_in_the_first("invited when unremarkable minus invited when troubled"),
        ),
        Detector(
            "G4",
            "chasing ratings",
            "Do changed answers go up after somebody wrote to the requester?",
            "more than {raised_ratings_pct} of at least {smallest_list} changed answers went up"
            " after a message",
            "Did the message bring the solution?",
            raised_ratings,
        ),
        Detector(
            "G5",
            "dodging reopens",
            "Do problems come back as a courtesy, or just after the 14 days?",
            "courtesy share of reopens at least {times} times that of the period before, or more"
            " that came back in the week after the reopen window (days 15 to 21 of 14) than in the"
            " week before its end; from {smallest_set} each on",
            "Did the help desk start to thank people by mail, or does something recur by month?",
            dodging_reopens,
        ),
        Detector(
            "G6",
            "empty first replies",
            "Are first replies fast, but no help?",
            "share replied in time more than {reply_gap_points} above helped in time, or more than"
            " {empty_replies_pct} of first replies not meaningful",
            "Is a good template taken for an acknowledgement?",
            empty_replies,
        ),
        Detector(
            "G7",
            "parking",
            "Are items set to waiting just before the target, without asking anything?",
            "more than {silent_pauses_pct} of at least {smallest_list} pauses begun in the last"
            " tenth of the target have no public question within 5 minutes",
            "Was the question asked by phone?",
            parking,
        ),
        Detector(
            "G8",
            "severity downgrading",
            "Are items made less severe when their target is near?",
            "share made milder among items in the last fifth of their target minus that among items"
            " before it: lower limit above 0; from {smallest_set} items each on",
            "Does a workaround late in the work make the problem smaller?",
            more_in_the_first("downgraded late minus downgraded earlier"),
        ),
        Detector(
            "G9",
            "hiding behind policy",
            "Are items called a denial because somebody was dissatisfied?",
            "a denial said after a dissatisfied answer by whoever the ticket was assigned to, told"
            " from five such on; or, where those who do the work mostly say so themselves, a denial"
            " share of the dissatisfied at least {times} times that of the satisfied",
            "Do denials dissatisfy people by themselves?",
            hiding_behind_policy,
        ),
        Detector(
            "G10",
            "bulk closing",
            "Are items closed by the dozen, by silence or by the clock?",
            "more than {burst} resolutions of one account within 10 minutes, inactivity share up by"
            " more than {inactivity_rise_points}, or more than {same_clock_pct} of clocks at one"
            " exact value",
            "Did an outage end for many at once, or does a rule close pending items?",
            bulk_closing,
        ),
        Detector(
            "M16",
            "claiming first contact",
            "Is more closed as solved at first contact, while no more stays solved?",
            "claimed first contact above that of the period before (lower limit above 0) while"
            " verified first contact is not; from {smallest_set} items each on",
            "Did people begin to ask about something that comes back by itself?",
            claimed_alone,
        ),
        Detector(
            "M23",
            "hiding the way to us",
            "Is more finished without us, while more is given up by people who do not ask us?",
            "attempts finished without us and attempts given up without asking us both above those"
            " of the period before (lower limits above 0); from {smallest_set} attempts each on",
            "Did a task come in that people try out of curiosity?",
            hard_to_reach,
        ),
    )
}
