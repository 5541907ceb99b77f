"""Gaming detectors: patterns that ask for a look and accuse nobody, as one list.

Pure (METRICS.md Part 4). Each takes counts or clocks of a group or a capability, never of an agent:
there is no field to put one in. Where the compared sets are too small a detector says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from typing import Any

from metrics.intervals import Interval, binomial_tail, newcombe

#: Items each compared set needs, unless a rule states its own.
SMALLEST_SET = 30
#: For rules about lists: changed answers, late pauses.
SMALLEST_LIST = 10
BURST_S = 600


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


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of a detector: what was compared, and what came of it."""

    what: str
    outcome: Outcome
    #: A share, a difference of shares or a number, as `what` says; None where there are too few.
    value: float | None = None
    interval: Interval | None = None
    p: float | None = None


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
    judge: Callable[[Facts], Finding]


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

    #: Flags set after a dissatisfied answer had come.
    set_after_answer: int
    dissatisfied: Of
    satisfied: Of
    #: Whether the group decides on the flag itself.
    group_decides: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """How items were closed: in bursts, for inactivity, after exactly the same time."""

    #: Most resolutions of any one account within 10 minutes (`largest_burst`).
    largest_burst: int
    inactivity: Of
    inactivity_before: Of
    #: Clocks at the commonest exact value, of all (`commonest`).
    commonest_clock: Of


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


def largest_burst(resolved_at: Mapping[Any, Sequence[int]]) -> int:
    """Most resolutions of any one account within 10 minutes; instants in seconds, any order.

    The accounts are keys to count by and do not come back.
    """
    return max((_most_within(sorted(instants)) for instants in resolved_at.values()), default=0)


def _most_within(instants: Sequence[int]) -> int:
    most = start = 0
    for end, at in enumerate(instants):
        while at - instants[start] > BURST_S:
            start += 1
        most = max(most, end - start + 1)
    return most


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


def bunching(found: Bins) -> Finding:
    """G1: more items end just before the target than a smooth course would have."""
    what = "items just under the target beyond those expected"
    if found.n < SMALLEST_SET:
        return _too_few(what)
    near = found.just_below + found.just_above
    p = binomial_tail(found.just_below, near, expected_just_below(found))
    excess = excess_just_below(found)
    return Finding((Check(what, _flag(p < 0.01 and excess >= 10), excess, p=p),))


def more_in_the_first(what: str) -> Callable[[TwoShares], Finding]:
    """G2, G3, G8: the first share is larger beyond chance (Newcombe's lower limit > 0)."""

    def judge(found: TwoShares) -> Finding:
        first, second = found.first, found.second
        if min(first.n, second.n) < SMALLEST_SET:
            return _too_few(what)
        interval = newcombe(first.x, first.n, second.x, second.n)
        proven = interval.lower is not None and interval.lower > 0
        return Finding((Check(what, _flag(proven), first.share - second.share, interval),))

    return judge


def more_than(what: str, limit: float, smallest: int) -> Callable[[Of], Finding]:
    """G4, G7: a share of a list above a limit."""
    return lambda found: Finding((_above(what, found, limit, smallest),))


def dodging_reopens(found: Reopens) -> Finding:
    """G5: reopens declared a courtesy, or problems that come back just after day 14."""
    late, early = found.follow_ups_15_to_21, found.follow_ups_8_to_14
    what = "follow-ups on days 15 to 21 beyond those on days 8 to 14"
    after = (
        Check(what, Outcome.TOO_FEW)
        if late + early < SMALLEST_SET
        else Check(what, _flag(late > early), float(late - early))
    )
    (courtesy,) = courtesy_doubled(found.courtesy, found.courtesy_before).checks
    return Finding((courtesy, after))


def courtesy_doubled(now: Of, before: Of) -> Finding:
    """G5, where nobody knows the follow-ups: the courtesy share of reopens alone."""
    return Finding((_doubled("courtesy share of reopens, this quarter to the last", now, before),))


def empty_replies(found: FirstReplies) -> Finding:
    """G6: replies in time that do not help."""
    what = "replied in time minus helped in time"
    replied, helped = found.replied_in_time, found.helped_in_time
    gap = _rise(what, helped, replied, 0.15)
    return Finding(
        (gap, _above("first replies not meaningful", found.not_meaningful, 0.2, SMALLEST_SET))
    )


def hiding_behind_policy(found: Denials) -> Finding:
    """G9: unhappy items turned into denials."""
    late = found.set_after_answer
    after = Check("denials set after a dissatisfied answer", _flag(late > 0), float(late))
    if not found.group_decides:
        return Finding((after,))
    what = "denial share, dissatisfied to satisfied"
    return Finding((after, _doubled(what, found.dissatisfied, found.satisfied)))


def bulk_closing(found: Closing) -> Finding:
    """G10: many items closed at once, for inactivity, or after exactly the same time."""
    burst = found.largest_burst
    rest = bulk_closing_without_bursts(
        found.inactivity, found.inactivity_before, found.commonest_clock
    )
    return Finding(
        (
            Check("resolutions of one account in 10 minutes", _flag(burst > 20), float(burst)),
            *rest.checks,
        )
    )


def bulk_closing_without_bursts(inactivity: Of, before: Of, commonest_clock: Of) -> Finding:
    """G10, where nobody knows the accounts: closed by silence or by the clock."""
    return Finding(
        (
            _rise("inactivity share, up against before", before, inactivity, 0.1),
            _above("clocks at one exact value", commonest_clock, 0.3, SMALLEST_SET),
        )
    )


def _flag(asks: bool) -> Outcome:
    return Outcome.FLAG if asks else Outcome.NOTHING


def _too_few(what: str) -> Finding:
    return Finding((Check(what, Outcome.TOO_FEW),))


def _above(what: str, found: Of, limit: float, smallest: int) -> Check:
    if found.n < smallest:
        return Check(what, Outcome.TOO_FEW)
    return Check(what, _flag(_exceeds(found.share, limit)), found.share)


def _rise(what: str, before: Of, now: Of, limit: float) -> Check:
    if min(before.n, now.n) < SMALLEST_SET:
        return Check(what, Outcome.TOO_FEW)
    gap = now.share - before.share
    return Check(what, _flag(_exceeds(gap, limit)), gap)


def _doubled(what: str, one: Of, other: Of) -> Check:
    """Whether one share is at least twice the other; where the other is nought, if one is not."""
    if min(one.n, other.n) < SMALLEST_SET:
        return Check(what, Outcome.TOO_FEW)
    # in whole numbers: one.share >= 2 * other.share
    doubled = one.x > 0 and one.x * other.n >= 2 * other.x * one.n
    return Check(what, _flag(doubled), one.share / other.share if other.x else None)


def _exceeds(value: float, limit: float) -> bool:
    """Strictly more; 0.8 minus 0.65 is not more than 0.15."""
    return value - limit > 1e-12


DETECTORS: Mapping[str, Detector[Any]] = {
    detector.key: detector
    for detector in (
        Detector(
            "G1",
            "bunching just under a target",
            "Do more items end just before the target than a smooth course would have?",
            "binomial test of the last tenth before the target against the first after it,"
            " p < 0.01 and at least 10 items too many",
            "Does a shift end or a vendor deliver at that hour?",
            bunching,
        ),
        Detector(
            "G2",
            "early closing",
            "Do items resolved just in time come back more often than the others?",
            "reopen share of the last tenth of the target minus that of the others: lower limit"
            " above 0",
            "Are items that take long simply the harder ones?",
            more_in_the_first("reopened when just in time minus reopened otherwise"),
        ),
        Detector(
            "G3",
            "selective surveying",
            "Are people with troubled items asked less often?",
            "invited share of unremarkable items minus that of troubled ones: lower limit above 0",
            "Did limits on asking hold back people who had several items?",
            more_in_the_first("invited when unremarkable minus invited when troubled"),
        ),
        Detector(
            "G4",
            "chasing ratings",
            "Do changed answers go up after somebody wrote to the requester?",
            "more than half of at least 10 changed answers went up after a message",
            "Did the message bring the solution?",
            more_than("changed answers that went up after a message", 0.5, SMALLEST_LIST),
        ),
        Detector(
            "G5",
            "dodging reopens",
            "Do problems come back as a courtesy, or just after the 14 days?",
            "courtesy share of reopens doubled against the quarter before, or more follow-ups on"
            " days 15 to 21 than on days 8 to 14",
            "Did the help desk start to thank people by mail, or does something recur by month?",
            dodging_reopens,
        ),
        Detector(
            "G6",
            "empty first replies",
            "Are first replies fast, but no help?",
            "replied in time more than 15 points above helped in time, or more than 20 % of first"
            " replies not meaningful",
            "Is a good template taken for an acknowledgement?",
            empty_replies,
        ),
        Detector(
            "G7",
            "parking",
            "Are items set to waiting just before the target, without asking anything?",
            "more than 30 % of at least 10 pauses begun in the last tenth of the target have no"
            " public question within 5 minutes",
            "Was the question asked by phone?",
            more_than("late pauses without a question", 0.3, SMALLEST_LIST),
        ),
        Detector(
            "G8",
            "severity downgrading",
            "Are items made less severe when their target is near?",
            "downgraded share in the last fifth of the target minus earlier: lower limit above 0",
            "Does a workaround late in the work make the problem smaller?",
            more_in_the_first("downgraded late minus downgraded earlier"),
        ),
        Detector(
            "G9",
            "hiding behind policy",
            "Are items called a denial because somebody was dissatisfied?",
            "a denial set after a dissatisfied answer, or, where the group decides itself, a denial"
            " share of the dissatisfied at least twice that of the satisfied",
            "Do denials dissatisfy people by themselves?",
            hiding_behind_policy,
        ),
        Detector(
            "G10",
            "bulk closing",
            "Are items closed by the dozen, by silence or by the clock?",
            "more than 20 resolutions of one account within 10 minutes, inactivity share up by more"
            " than 10 points, or more than 30 % of clocks at one exact value",
            "Did an outage end for many at once, or does a rule close pending items?",
            bulk_closing,
        ),
    )
}
