"""Every metric, read from top to bottom: what it asks, how it is formed, what to read beside it.

One entry is one metric: pages, API, command, method page and vectors find it here and nowhere else.
A declaration without question, evidence, guardrail or gaming fails at import; where one does not
apply it says "none, because …". A definition knows no target: governance compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import partial
from math import ceil

from metrics import (
    asking,
    columns,
    contradicting,
    effort,
    evaluating,
    flow,
    recurring,
    routine,
    self_service,
    theming,
)
from metrics.evaluating import Facts
from metrics.kinds import Estimate, Unit
from metrics.pairs import Pair
from metrics.settings import ADDED, Settings
from metrics.standing import Direction

Evaluate = Callable[[Facts], Estimate]


#: The settings of the fold, and those of answers.
FOLD = frozenset(
    {"reopen_days", "courtesy_hours", "misclick_minutes", "triage_minutes", "severity_policy"}
)
ANSWERS = frozenset({"answer_days"})
#: What lets every ticket be folded again: the rules that figures follow from, and further lines,
#: which leave the others as they are.
FOLDED = FOLD | {"written_line"}
#: What stands in a view's words for the reopen window at its default.
_WINDOW = "14 days"


class Family(StrEnum):
    """What a metric is about, in the order in which a scorecard shows it."""

    SELF_SERVICE = "self-service"
    SATISFACTION = "satisfaction"
    SPEED = "speed"
    DURABILITY = "durability"
    FLOW = "flow"
    RECURRENCE = "recurrence"

    @property
    def heading(self) -> str:
        """What stands above it."""
        return _TITLES[self]


_TITLES = {
    Family.SELF_SERVICE: "Self-service",
    Family.SATISFACTION: "Satisfaction",
    Family.SPEED: "Speed",
    Family.DURABILITY: "Did it hold",
    Family.FLOW: "Flow",
    Family.RECURRENCE: "What keeps coming back",
}


@dataclass(frozen=True, slots=True)
class View:
    """One figure of a metric. `words` finishes the sentence "… of 100 …" or "half within …"."""

    key: str
    name: str
    unit: Unit
    evaluate: Evaluate
    words: str
    #: Durations are never pooled across severities (METRICS.md 1.5).
    per_severity: bool = False
    #: Which way is good where it is not the metric's own: a share kept in time is better higher.
    direction: Direction | None = None
    #: Whether its course is drawn on the scorecard, and not only where courses are looked at.
    leads: bool = False
    #: The setting that adds it; empty: it is always told.
    added_by: str = ""

    def is_told(self, settings: Settings) -> bool:
        """Whether an organisation with these settings is told of it."""
        return not self.added_by or getattr(settings, self.added_by) == ADDED

    def said(self, settings: Settings) -> str:
        """The words with the reopen window in force."""
        return self.words.replace(_WINDOW, f"{settings.reopen_days:g} days")


@dataclass(frozen=True, slots=True)
class Guardrail:
    """Something that gets worse where a metric is pushed unfairly (METRICS.md 1.15)."""

    #: The figure of another metric that tells it, `metric.view`; empty where none does.
    figure: str = ""
    #: How it gets worse, behind the figure's name; without a figure what does.
    words: str = ""

    def __post_init__(self) -> None:
        if not self.figure and not self.words:
            raise ValueError("A guardrail names a figure, or says what no figure tells.")

    def __str__(self) -> str:
        if not self.figure:
            return f"without a figure of its own: {self.words}"
        metric, view = find(self.figure)
        return f"{view.name} ({metric.code})" + (f": {self.words}" if self.words else "")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the handbook."""

    code: str
    key: str
    family: Family
    name: str
    question: str
    formula: str
    population: str
    #: Which period an item belongs to (METRICS.md 1.7).
    dating: str
    direction: Direction
    views: tuple[View, ...]
    evidence: str
    gaming: str
    source: str
    #: The kinds of evidence that are fetched and stand beside it, as `evidence` says in words.
    pair: tuple[Pair, ...] = ()
    #: Which of the evidence is kept nowhere here, and why; it is said where it would stand.
    not_kept: str = ""
    #: What of its own it leaves out, besides the tickets that are in no figure (METRICS.md 1.1).
    excluded: str = ""
    #: Where in the software to look when it turns (METRICS.md 1.15); empty: not said.
    look_at: str = ""
    #: What gets worse where this is pushed unfairly; its figures are told with every reading.
    guardrail: tuple[Guardrail, ...] = ()
    #: "none, because …", where nothing does.
    unguarded: str = ""
    #: The setting that says from where on the headline reads as bad, whatever its target.
    line: str = ""
    #: Whether it rests on answers: then response rate and small-number rules apply.
    from_answers: bool = False
    #: Days until it no longer changes by waiting, at the default of the window it waits for.
    maturity_days: int = 0
    minimum: int = 5
    #: The settings its values follow from; None: those of its sort (`settings_used`).
    depends_on: frozenset[str] | None = None
    #: The fields of a capability in the catalogue that its values follow from.
    catalogue_used: frozenset[str] = frozenset()
    never_pooled_across: str = ""
    version: int = 1
    #: The day since which this version holds; courses begin anew there. None for the first one.
    changed: date | None = None

    def __post_init__(self) -> None:
        if self.guardrail and self.unguarded:
            raise ValueError(f"{self.key} has a guardrail and says that it has none.")
        declared = ["question", "formula", "evidence", "gaming", "source"]
        for name in declared if self.guardrail else [*declared, "unguarded"]:
            said = getattr(self, name)
            if not said or (said.startswith("none") and not said.startswith("none, because ")):
                raise ValueError(f"{self.key} declares no {name}; say 'none, because …' if so.")
        if not self.pair and not self.not_kept:
            raise ValueError(f"{self.key} fetches no evidence and does not say why.")
        if not self.views or len({view.key for view in self.views}) < len(self.views):
            raise ValueError(f"{self.key} needs views with names of their own.")
        if (self.version > 1) != (self.changed is not None):
            raise ValueError(f"{self.key} does not say since when version {self.version} holds.")

    @property
    def guards(self) -> tuple[str, ...]:
        """The figures of its guardrail, `metric.view`."""
        return tuple(one.figure for one in self.guardrail if one.figure)

    @property
    def guardrail_words(self) -> str:
        """Its guardrail by the names of its figures, or why it has none."""
        return self.unguarded or "; ".join(str(one) for one in self.guardrail)

    @property
    def settings_used(self) -> frozenset[str]:
        """The settings whose change makes its course another one.

        Those of reliability are none of them: they say how far a value may be trusted, not what it
        is. What is said of tickets follows from the fold, what is said by people from the window in
        which answers count.
        """
        if self.depends_on is not None:
            return self.depends_on
        return ANSWERS if self.from_answers else FOLD

    @property
    def is_of_surveys(self) -> bool:
        """Whether it tells of people who were asked: what they said, or how many answered."""
        return self.from_answers or self.family is Family.SATISFACTION

    def matures_in(self, settings: Settings) -> int:
        """Days after which a figure of a period no longer changes by waiting."""
        if not self.maturity_days:
            return 0
        window = "answer_days" if "answer_days" in self.settings_used else "reopen_days"
        return ceil(float(getattr(settings, window)))

    @property
    def headline(self) -> View:
        """The view that stands for the metric."""
        return self.views[0]

    def told(self, settings: Settings) -> list[View]:
        """The views that an organisation with these settings is told of."""
        return [view for view in self.views if view.is_told(settings)]

    def direction_of(self, view: View) -> Direction:
        """Which way is good for a view."""
        return view.direction or self.direction

    @property
    def dating_words(self) -> str:
        """What the method page says of the period."""
        return f"the period of {self.dating}"


def _share(key: str, name: str, evaluate: Evaluate, words: str, *, leads: bool = False) -> View:
    return View(key, name, Unit.SHARE, evaluate, words, leads=leads)


def _in_time(key: str, name: str, kind: columns.Kind, words: str, *, leads: bool = False) -> View:
    """A share of promises kept: the higher the better, whatever the metric is in."""
    evaluate = partial(evaluating.attainment, kind=kind)
    return View(key, name, Unit.SHARE, evaluate, words, direction=Direction.HIGHER, leads=leads)


def _time(key: str, name: str, evaluate: Evaluate, words: str) -> View:
    return View(key, name, Unit.SECONDS, evaluate, words, per_severity=True)


_SPEED = "Business seconds of the severity's calendar; what is still open counts as still open."

#: What is given and not counted (METRICS.md M01).
_NOT_COUNTED = (
    "answers after their window and those that wait for their batch, which are counted; what agents"
    " say of their own tickets"
)
#: Where in the software to look (METRICS.md 1.15).
_USED = "usability and reliability"
_RUNS = "performance and the correctness of automations"

METRICS: tuple[Metric, ...] = (
    # --- A. Satisfaction --------------------------------------------------------------------------
    Metric(
        code="M01",
        key="csat_share",
        family=Family.SATISFACTION,
        name="Satisfied",
        question="Of the people who told us about this event, how many were satisfied?",
        formula="Satisfied answers of all counted answers (4 and 5 of five, 6 and 7 of seven); the"
        " last answer within 14 days of asking, one for each invitation.",
        population="events that are no policy denial",
        dating="the resolution that was asked about",
        direction=Direction.HIGHER,
        views=(
            _share(
                "share",
                "Satisfied",
                evaluating.satisfied_share,
                "of the people who answered were satisfied",
                leads=True,
            ),
        ),
        evidence="survey comments and QA reviews of the same weeks",
        guardrail=(
            Guardrail("response_rate.rate"),
            Guardrail("survey_coverage.coverage"),
            Guardrail("reopen_rate.rate"),
        ),
        gaming="asking only after happy tickets, asking for a better rating, switching surveys off",
        look_at=_USED,
        excluded="policy denials, which have a figure of their own; " + _NOT_COUNTED,
        source="METRICS.md M01",
        pair=(Pair.COMMENTS, Pair.QUALITY_REVIEWS),
        from_answers=True,
        maturity_days=14,
        never_pooled_across="scales; across capabilities only weighted by eligible events",
    ),
    Metric(
        code="M02",
        key="csat_mean",
        family=Family.SATISFACTION,
        name="Average rating",
        question="How high is the rating on its scale?",
        formula="Mean of counted ratings, from ten answers on; a second line under the share.",
        population="events that are no policy denial",
        dating="the resolution that was asked about",
        direction=Direction.HIGHER,
        views=(
            View(
                "mean",
                "Average rating",
                Unit.SCALE_POINTS,
                evaluating.mean_rating,
                "is the average rating",
            ),
        ),
        evidence="survey comments and QA reviews of the same weeks",
        guardrail=(
            Guardrail("response_rate.rate"),
            Guardrail("survey_coverage.coverage"),
            Guardrail("reopen_rate.rate"),
        ),
        gaming="as the satisfied share; and it hides the split between happy and angry",
        look_at=_USED,
        excluded="policy denials, which have a figure of their own; " + _NOT_COUNTED,
        source="METRICS.md M02",
        pair=(Pair.COMMENTS, Pair.QUALITY_REVIEWS),
        from_answers=True,
        maturity_days=14,
        minimum=10,
        never_pooled_across="scales",
    ),
    Metric(
        code="M03",
        key="csat_scale_rules",
        family=Family.SATISFACTION,
        name="Scales in use",
        question="Can a thumbs-up score be compared with a five-point score? Mostly not.",
        formula="The satisfied share of each scale side by side, the scale named; never pooled and"
        " never in one line. A change of scale, wording or channel begins a new series.",
        population="events that are no policy denial",
        dating="the resolution that was asked about",
        direction=Direction.NONE,
        views=(
            View(
                "scales",
                "Scales in use",
                Unit.COUNT,
                effort.scales_side_by_side,
                "of the satisfaction scales were answered on in this period",
            ),
        ),
        evidence="survey comments of the same weeks, by scale",
        unguarded="none, because it is a rule for comparing and judges nobody",
        gaming="changing the scale when the share falls: a change begins a new series",
        excluded="policy denials; " + _NOT_COUNTED,
        source="METRICS.md M03",
        pair=(Pair.COMMENTS,),
        from_answers=True,
        maturity_days=14,
        never_pooled_across="scales",
    ),
    Metric(
        code="M04",
        key="ces",
        family=Family.SATISFACTION,
        name="Effort",
        question="How hard did we make it?",
        formula="By the wording asked. Made it easy (1 to 7): 5 to 7 of all, higher is better. How"
        " much effort (1 to 5): 1 and 2 of all. The mean stands on the wording's own scale; beside"
        " it the percent of the greatest ease, which has one direction for both.",
        population="answers to a question about effort",
        dating="the resolution that was asked about",
        direction=Direction.HIGHER,
        views=(
            _share("share", "Found it easy", effort.effort_share, "of the people found it easy"),
            View(
                "mean",
                "Average effort or ease",
                Unit.SCALE_POINTS,
                effort.effort_mean,
                "is the average, on the wording's own scale",
                direction=Direction.NONE,
            ),
        ),
        evidence="comments, steps that had to be repeated, transfers",
        guardrail=(Guardrail("reopen_rate.rate", "a very easy but wrong answer"),),
        gaming="as the satisfied share",
        look_at="workflow design and integration quality",
        excluded="policy denials; " + _NOT_COUNTED,
        source="METRICS.md M04",
        pair=(Pair.COMMENTS, Pair.MANY_HANDS),
        not_kept="Steps that had to be repeated: no help desk tells them; people say so in"
        " comments.",
        from_answers=True,
        maturity_days=14,
        never_pooled_across="wordings; across capabilities only weighted by eligible events",
    ),
    Metric(
        code="M05",
        key="nps",
        family=Family.SATISFACTION,
        name="Would recommend",
        question="Would people recommend us?",
        formula="100 times promoters (9, 10) less detractors (0 to 6) of all answers, -100 to 100;"
        " interval: adjusted Wald. A relationship measure: asked on a schedule, not by ticket.",
        population="answers to a question about recommending",
        dating="the wave in which it was asked",
        direction=Direction.HIGHER,
        views=(
            View(
                "score",
                "Would recommend",
                Unit.NET_POINTS,
                effort.recommendation,
                "is the balance of those who would recommend us and those who would not",
            ),
        ),
        evidence="comments and account feedback",
        guardrail=(Guardrail("response_rate.rate"),),
        gaming="inviting friendly accounts",
        look_at=_USED,
        excluded=_NOT_COUNTED,
        source="METRICS.md M05",
        pair=(Pair.COMMENTS, Pair.ACCOUNT_OBSERVATIONS),
        from_answers=True,
        maturity_days=14,
        minimum=10,
        never_pooled_across="waves",
    ),
    Metric(
        code="M06",
        key="response_rate",
        family=Family.SATISFACTION,
        name="Response rate",
        question="How far can we trust the survey figures?",
        formula="Answered of sent, bounced ones included, once the 14 days to answer are over.",
        population="invitations sent",
        dating="the resolution that was asked about",
        direction=Direction.HIGHER,
        views=(
            _share("rate", "Response rate", evaluating.response_rate, "of those asked answered"),
            _share(
                "complete",
                "Answered completely",
                asking.complete_rate,
                "of those asked answered every question",
            ),
            _share(
                "participation",
                "Answered of those reached",
                asking.participation_rate,
                "of those a mail reached answered",
            ),
            _share("delivery", "Delivered", asking.delivery_rate, "of the mails were delivered"),
            _share("break_off", "Broken off", asking.break_off, "of those who began broke off"),
        ),
        evidence="reasons of people who opted out",
        guardrail=(
            Guardrail("survey_coverage.burden"),
            Guardrail("survey_coverage.coverage"),
        ),
        gaming="shrinking the denominator by not asking: watch coverage",
        depends_on=ANSWERS,
        excluded="invitations that can still be answered",
        source="METRICS.md M06",
        not_kept="Reasons of people who opted out: nobody who says no is asked why.",
        maturity_days=14,
    ),
    Metric(
        code="M07",
        key="survey_coverage",
        family=Family.SATISFACTION,
        name="Coverage of the survey",
        question="Of everything we could have asked about, how much did we ask about?",
        formula="Invitations sent of eligible events, before limits and sampling; the reasons for"
        " not asking are counted.",
        population="events that match a trigger",
        dating="the resolution",
        direction=Direction.HIGHER,
        views=(
            _share("coverage", "Coverage", evaluating.coverage, "of the events were asked about"),
            _share(
                "effective",
                "Heard about",
                asking.effective_coverage,
                "of the events were answered about",
            ),
            View(
                "burden",
                "Asked too often",
                Unit.SHARE,
                asking.burden,
                "of the people asked were asked more than once in 7 days or three times in 90",
                direction=Direction.LOWER,
            ),
            _share(
                "timeliness",
                "Asked within the hour",
                asking.timeliness,
                "of the invitations went out within the hour",
            ),
        ),
        evidence="the ledger of what was not asked, with its reasons",
        guardrail=(Guardrail("response_rate.rate"),),
        gaming="leaving out hard capabilities or unhappy tickets",
        depends_on=ANSWERS | {"timely_minutes", "burden_week", "burden_quarter"},
        source="METRICS.md M07",
        maturity_days=14,
        pair=(Pair.NOT_ASKED,),
    ),
    Metric(
        code="M08",
        key="score_comment_mismatch",
        family=Family.SATISFACTION,
        name="Score against words",
        question="Does the score say what the words say?",
        formula="Satisfied scores beside words that are negative and dissatisfied scores beside"
        " words that are positive, of all counted answers with a comment that could be classified."
        " A classifier suggests, a person who has read the comment decides; below four in five"
        " agreeing, or before fifty are labelled, the figure is unreliable.",
        population="counted answers with a classified comment",
        dating="the resolution that was asked about",
        direction=Direction.NONE,
        views=(
            _share(
                "share",
                "Score against words",
                contradicting.mismatch,
                "of the comments say something else than their score",
            ),
        ),
        evidence="the comments themselves",
        unguarded="none, because it is itself a guardrail of the satisfied share (M01)",
        gaming="asking for a five and for what went wrong",
        depends_on=ANSWERS,
        excluded="comments that could not be classified, which are counted; " + _NOT_COUNTED,
        source="METRICS.md M08",
        pair=(Pair.CONTRADICTING_COMMENTS,),
        from_answers=True,
        maturity_days=14,
        never_pooled_across="scales",
    ),
    Metric(
        code="M08b",
        key="comment_themes",
        family=Family.SATISFACTION,
        name="What comments are about",
        question="What do people write about, and which of it leaves them dissatisfied?",
        formula="Answers whose comment speaks of a theme, of all counted answers with a comment."
        " Themes are suggested from words and frequent phrases, by language, and counted only once"
        " a person has confirmed or renamed them. Beside it each theme with five comments or more,"
        " or as many as the settings ask for, and from ten on the share that came with a"
        " dissatisfied score. A comment may speak of several.",
        population="counted answers with a comment",
        dating="the resolution that was asked about",
        direction=Direction.NONE,
        views=(
            _share(
                "share",
                "Comments with a theme",
                theming.themed,
                "of the comments speak of a confirmed theme",
            ),
            _share(
                "dissatisfied",
                "Dissatisfied, by theme",
                theming.dissatisfied,
                "of the comments with a theme came with a dissatisfied score",
            ),
        ),
        evidence="the comments themselves",
        pair=(Pair.COMMENTS,),
        unguarded="none, because it only says what to read and judges nobody",
        gaming="dismissing the themes that complain",
        excluded="answers without a comment, which are counted; " + _NOT_COUNTED,
        source="METRICS.md M08b",
        from_answers=True,
        maturity_days=14,
        never_pooled_across="capabilities and scales",
    ),
    Metric(
        code="M09",
        key="policy_denial_satisfaction",
        family=Family.SATISFACTION,
        name="Satisfied with policy answers",
        question="What do people think of the policies we must apply?",
        formula="As the satisfied share, over events flagged as policy denial or out of scope.",
        population="policy denials",
        dating="the resolution that was asked about",
        direction=Direction.HIGHER,
        views=(
            _share(
                "share",
                "Satisfied with policy answers",
                partial(evaluating.satisfied_share, policy_denial=True),
                "of the people who were told no by a policy were satisfied",
            ),
        ),
        evidence="comments on denials, for the policy's owner",
        unguarded="none, because it judges a policy and no team is measured by it",
        gaming="flagging unhappy tickets as denials to hide them",
        depends_on=ANSWERS,
        excluded=_NOT_COUNTED,
        source="METRICS.md M09",
        pair=(Pair.POLICY_COMMENTS,),
        from_answers=True,
        maturity_days=14,
        never_pooled_across="scales, and never with service answers",
    ),
    Metric(
        code="M10",
        key="telemetry_proxy",
        family=Family.SATISFACTION,
        name="Estimated from telemetry",
        question="What would people who never answer probably say?",
        formula="Events are likely satisfied (worked, quick enough, no error shown), likely"
        " dissatisfied (failed, four times as slow, three errors) or unclear; each class counts"
        " with the satisfied share of those in it who answered in the last 90 days. Shown only"
        " where 100 events have an answer, ten in each class, the classes tell answers apart (AUC"
        " 0.65) and what the other answers foretell of last month's people holds what those said.",
        population="outcomes of a platform",
        dating="the event",
        direction=Direction.HIGHER,
        views=(
            _share(
                "estimate",
                "Estimated from telemetry",
                self_service.telemetry_estimate,
                "would probably be satisfied, estimated from telemetry",
            ),
        ),
        evidence="comments of those who answered about the same capability",
        guardrail=(Guardrail("csat_share.share", "the two are never merged"),),
        gaming="raising the threshold: a change of it begins a new series",
        depends_on=ANSWERS | {"proxy_pairs", "proxy_auc"},
        catalogue_used=frozenset({"quick_within_ms"}),
        excluded="events that tell no outcome",
        source="METRICS.md M10",
        pair=(Pair.COMMENTS,),
        never_pooled_across="capabilities, and never with answers",
    ),
    # --- B. Speed ---------------------------------------------------------------------------------
    Metric(
        code="M12",
        key="first_response",
        family=Family.SPEED,
        name="First reply",
        question="How long until a human said something?",
        formula="Business time from opening to the first public reply of a person. " + _SPEED,
        population="items that somebody waits on",
        dating="opening; attainment: the instant that decided it",
        direction=Direction.LOWER,
        views=(
            _time(
                "median",
                "Median time to a reply",
                partial(evaluating.reply_quantile, p=0.5),
                "had a reply from a person",
            ),
            _time(
                "p90",
                "Time to a reply for nine in ten",
                partial(evaluating.reply_quantile, p=0.9),
                "had a reply from a person",
            ),
            _in_time(
                "attainment",
                "Replied in time",
                columns.FIRST_RESPONSES,
                "had a reply from a person in time",
            ),
        ),
        evidence="agents' observations: fast at replying, slow at helping?",
        guardrail=(
            Guardrail("first_meaningful_response.attainment", "the gap to it"),
            Guardrail("resolution_time.cohort_median"),
        ),
        gaming="acknowledgements sent to stop the clock",
        look_at=_RUNS,
        excluded="items opened by an agent without contact to a requester; what the requester"
        " withdrew counts as waiting until then",
        source="METRICS.md M12",
        pair=(Pair.OBSERVATIONS,),
        never_pooled_across="severities, as a duration",
    ),
    Metric(
        code="M13",
        key="first_meaningful_response",
        family=Family.SPEED,
        name="First helpful reply",
        question="How long until a human said something that helped?",
        formula="Business time from opening to the first public reply of a person that carries a"
        " question, an instruction, a diagnosis or a next step with a time. " + _SPEED,
        population="items that somebody waits on",
        dating="opening; attainment: the instant that decided it",
        direction=Direction.LOWER,
        views=(
            _in_time(
                "attainment",
                "Helped in time",
                columns.MEANINGFUL_RESPONSES,
                "had a helpful reply in time",
                leads=True,
            ),
            _time(
                "median",
                "Median time to a helpful reply",
                partial(evaluating.helpful_reply_quantile, p=0.5),
                "had a helpful reply",
            ),
            _time(
                "p90",
                "Time to a helpful reply for nine in ten",
                partial(evaluating.helpful_reply_quantile, p=0.9),
                "had a helpful reply",
            ),
        ),
        evidence="agents' observations and the first replies themselves",
        guardrail=(
            Guardrail("first_response.attainment", "the gap to it"),
            Guardrail("resolution_time.cohort_median"),
        ),
        gaming="replying in many words that hold nothing; replying and closing",
        look_at=_RUNS,
        excluded="items opened by an agent without contact to a requester; what the requester"
        " withdrew counts as waiting until then",
        source="METRICS.md M13",
        pair=(Pair.OBSERVATIONS, Pair.FIRST_REPLIES),
        never_pooled_across="severities, as a duration",
    ),
    Metric(
        code="M14",
        key="resolution_time",
        family=Family.SPEED,
        name="Time to resolution",
        question="How long until the problem was really gone?",
        formula="Business time from opening to the resolution that held, without waiting for the"
        " requester and without the gap before a counted reopen. Cohort: everything opened in the"
        " period, open items as still open. Resolved only: what was resolved in the period.",
        population="work items",
        dating="opening (cohort) or the resolution that held (resolved only)",
        direction=Direction.LOWER,
        views=(
            _time(
                "cohort_median",
                "Median time to resolution",
                partial(evaluating.cohort_quantile, p=0.5),
                "were resolved",
            ),
            _time(
                "cohort_p90",
                "Time to resolution for nine in ten",
                partial(evaluating.cohort_quantile, p=0.9),
                "were resolved",
            ),
            View(
                "within_target",
                "Resolved within the promised time",
                Unit.SHARE,
                evaluating.within_target,
                "of what was opened was resolved within the promised time",
                per_severity=True,
                direction=Direction.HIGHER,
            ),
            _time(
                "resolved_median",
                "Median of what was resolved",
                partial(evaluating.resolved_quantile, p=0.5),
                "of what was resolved",
            ),
            _time(
                "resolved_p90",
                "Nine in ten of what was resolved",
                partial(evaluating.resolved_quantile, p=0.9),
                "of what was resolved",
            ),
        ),
        evidence="escalations with their reasons",
        guardrail=(
            Guardrail("reopen_rate.rate"),
            Guardrail("csat_share.share"),
            Guardrail(words="the share of time paused"),
        ),
        gaming="closing early, parking, downgrading, closing for inactivity",
        look_at=_RUNS,
        excluded="nothing of its own: what the requester withdrew counts as open until then",
        source="METRICS.md M14",
        pair=(Pair.ESCALATION_REASONS,),
        never_pooled_across="severities",
    ),
    Metric(
        code="M15",
        key="sla_attainment",
        family=Family.SPEED,
        name="Promised time kept",
        question="How often do we keep the promised time?",
        formula="Met of met and missed; each item is decided once, at its fulfilment if in time,"
        " else when the time ran out, even while it is open.",
        population="items with a promised time",
        dating="the instant that decided it",
        direction=Direction.HIGHER,
        views=(
            _in_time(
                "resolution",
                "Resolved in time",
                columns.RESOLUTION_PROMISES,
                "were resolved in the promised time",
                leads=True,
            ),
            _in_time(
                "response",
                "Helped in time",
                columns.MEANINGFUL_RESPONSES,
                "had a helpful reply in the promised time",
            ),
        ),
        evidence="reasons of breaches, and the promises that nothing has decided yet",
        guardrail=(
            Guardrail("reopen_rate.rate"),
            Guardrail("csat_share.share"),
        ),
        gaming="bunching just under the target, parking, downgrading",
        look_at=_RUNS,
        excluded="items withdrawn before their time ran out; those that nothing has decided yet"
        " are listed",
        source="METRICS.md M15",
        pair=(Pair.OBSERVATIONS, Pair.UNDECIDED),
        not_kept="Reasons of breaches: no help desk tells them; an observation can.",
        maturity_days=14,
    ),
    # --- C. Durability and flow -------------------------------------------------------------------
    Metric(
        code="M16",
        key="fcr",
        family=Family.DURABILITY,
        name="Solved at first contact",
        question="Was it solved in one go, and did it stay solved?",
        formula="Verified: at most one reply, no further message of the requester, no escalation,"
        " one group, and within 14 days neither reopened nor needed again. Claimed: without the"
        " latter. Where an organisation adds HDI's rule for written channels as a third line: of"
        " what came in writing, solved within one business hour of its opening, pauses included,"
        " and likewise neither reopened nor needed again. Telephone and chat are not in that line:"
        " what is solved before such a contact ends is told by the others.",
        population="items whose first resolution is 14 days old",
        dating="the first resolution",
        direction=Direction.HIGHER,
        views=(
            _share(
                "verified",
                "Solved at first contact, verified",
                evaluating.first_contact,
                "were solved at first contact and stayed solved",
                leads=True,
            ),
            _share(
                "claimed",
                "Solved at first contact, claimed",
                partial(evaluating.first_contact, claimed=True),
                "were closed as solved at first contact",
            ),
            _share(
                "net",
                "Solved at first contact, net",
                partial(evaluating.first_contact, net=True),
                "of what can be solved at first contact was, and stayed solved",
            ),
            View(
                "written",
                "Solved within a business hour, in writing (HDI)",
                Unit.SHARE,
                evaluating.first_contact_in_writing,
                "of what came in writing was solved within one business hour, and stayed solved",
                added_by="written_line",
            ),
        ),
        evidence="repeat contacts on the same matter and comments",
        guardrail=(
            Guardrail("repeat_contact.rate"),
            Guardrail("reopen_rate.rate"),
            Guardrail("csat_share.share"),
        ),
        gaming="splitting one problem over several tickets; solving without logging",
        catalogue_used=frozenset({"first_contact_resolvable"}),
        excluded="first resolutions whose days are not over; of the net figure, capabilities not"
        " to be solved at first contact; of the line for written channels, what came by telephone"
        " or chat or by a channel that is not known",
        source="METRICS.md M16",
        pair=(Pair.REPEAT_CONTACTS, Pair.COMMENTS),
        maturity_days=14,
    ),
    Metric(
        code="M17",
        key="repeat_contact",
        family=Family.DURABILITY,
        name="Needed again",
        question="Did the same person need us again for the same thing?",
        formula="Items whose requester opened another one for the same capability within 14 days of"
        " the first resolution.",
        population="items whose first resolution is 14 days old",
        dating="the first resolution",
        direction=Direction.LOWER,
        views=(
            _share(
                "rate",
                "Needed again",
                evaluating.repeat_contact,
                "needed us again for the same thing within 14 days",
            ),
        ),
        evidence="the second ticket's text",
        guardrail=(Guardrail("reopen_rate.rate"),),
        gaming="changing the capability on the second ticket",
        excluded="first resolutions whose days are not over; follow-ups that are linked to the"
        " first item",
        source="METRICS.md M17",
        pair=(Pair.REPEAT_CONTACTS,),
        maturity_days=14,
    ),
    Metric(
        code="M18",
        key="reopen_rate",
        family=Family.DURABILITY,
        name="Reopened",
        question="Did our solutions hold?",
        formula="Items with a resolution that did not hold for 14 days, each once; a thank-you, a"
        " slip and a bulk change are no reopen. Policy denials have a line of their own. While the"
        " days of some are not over, an early estimate from what is watched so far (Kaplan-Meier)"
        " stands beside it.",
        population="items with a resolution that is 14 days old and no policy denial",
        dating="the resolution that failed",
        direction=Direction.LOWER,
        views=(
            _share(
                "rate",
                "Reopened",
                evaluating.reopen_rate,
                "were reopened within 14 days",
                leads=True,
            ),
            _share(
                "policy_denial",
                "Policy answers disputed",
                partial(evaluating.reopen_rate, policy_denial=True),
                "of the policy answers were disputed within 14 days",
            ),
            _share(
                "twice",
                "Reopened twice or more",
                partial(evaluating.reopen_rate, times=2),
                "were reopened twice or more",
            ),
        ),
        evidence="comments and the messages that reopened",
        guardrail=(
            Guardrail("resolution_time.cohort_median", "do not keep items open to avoid reopens"),
            Guardrail("sla_attainment.resolution"),
            Guardrail("backlog.days", "nor let them age"),
            Guardrail(words="the share of follow-ups after day 14, days 15 to 21 against 8 to 14"),
            Guardrail(words="the share of courtesy reopens"),
        ),
        line="reopen_line",
        gaming="asking people to open a new ticket; passing reopens off as thanks",
        excluded="resolutions whose days are not over; a thank-you, a slip and a bulk change, which"
        " are counted by their sort, a slip with the resolution that follows it; policy denials,"
        " which have a line of their own",
        source="METRICS.md M18",
        pair=(Pair.REOPEN_MESSAGES, Pair.COMMENTS),
        maturity_days=14,
    ),
    Metric(
        code="M19",
        key="escalation_rate",
        family=Family.FLOW,
        name="Escalated",
        question="How often is help needed from further up?",
        formula="Items resolved in the period with at least one escalation.",
        population="items resolved",
        dating="the resolution that held",
        direction=Direction.LOWER,
        views=(
            _share(
                "rate",
                "Escalated",
                lambda facts: evaluating.escalated(facts, "functional", "hierarchical"),
                "were escalated",
                leads=True,
            ),
            _share(
                "functional",
                "To a specialist",
                lambda facts: evaluating.escalated(facts, "functional"),
                "were escalated to a specialist",
            ),
            _share(
                "hierarchical",
                "To management",
                lambda facts: evaluating.escalated(facts, "hierarchical"),
                "were escalated to management",
            ),
        ),
        evidence="reasons of escalations",
        guardrail=(
            Guardrail("resolution_time.cohort_median"),
            Guardrail("sla_attainment.resolution"),
            Guardrail("reopen_rate.rate", "not escalating what should be"),
        ),
        gaming="informal help outside the tool",
        excluded="planned hand-offs of a process",
        source="METRICS.md M19",
        pair=(Pair.ESCALATION_REASONS,),
    ),
    Metric(
        code="M20",
        key="reassignments",
        family=Family.FLOW,
        name="Sent from group to group",
        question="How many people were passed on and on?",
        formula="Resolved items that changed group twice or more after the first assignment.",
        population="items resolved",
        dating="the resolution that held",
        direction=Direction.LOWER,
        views=(
            _share(
                "bounced",
                "Passed on twice or more",
                evaluating.bounced,
                "were passed on twice or more",
            ),
        ),
        evidence="agents' observations",
        guardrail=(Guardrail("escalation_rate.rate"),),
        gaming="working on tickets without taking them over",
        excluded="the first assignment, and automatic routing before it",
        source="METRICS.md M20",
        pair=(Pair.OBSERVATIONS, Pair.MANY_HANDS),
    ),
    Metric(
        code="M20b",
        key="requester_returns",
        family=Family.FLOW,
        name="Many turns",
        question="How often does a case need many turns, where a form could ask it all at once?",
        formula="Resolved items with three or more messages of the requester after the opening;"
        " beside it the median number of messages.",
        population="items resolved",
        dating="the resolution that held",
        direction=Direction.LOWER,
        views=(
            _share(
                "share",
                "Three messages or more",
                flow.many_turns,
                "needed three or more messages of the requester",
            ),
        ),
        evidence="the messages themselves",
        guardrail=(Guardrail("first_meaningful_response.attainment"),),
        gaming="asking by telephone what is then not written down",
        depends_on=FOLD | {"many_turns"},
        source="METRICS.md M20b",
        pair=(Pair.MANY_TURNS,),
        not_kept="The messages themselves: whose they are is known to the log only, which no page"
        " reads; the tickets with most of them are named.",
    ),
    Metric(
        code="M21",
        key="resolution_share",
        family=Family.FLOW,
        name="Resolved of what came in",
        question="Does what comes in get resolved, and does the pile grow?",
        formula="Share: of the items opened in the period, resolved and not reopened now, withdrawn"
        " ones left out. Throughput: resolved in the period over opened in it; below 100 % the"
        " pile grows. Help desks call either a resolution rate; that bare name is not used here.",
        population="items opened",
        dating="opening (share); opening and resolution (throughput)",
        direction=Direction.HIGHER,
        views=(
            _share(
                "share",
                "Resolved of what was opened",
                flow.resolution_share,
                "of what was opened in this period is resolved now",
            ),
            View(
                "throughput",
                "Resolved to opened",
                Unit.RATIO,
                flow.throughput,
                "as many items were resolved as were opened",
            ),
        ),
        evidence="what customer success says of volumes: is demand hiding elsewhere?",
        guardrail=(Guardrail("reopen_rate.rate"),),
        gaming="closing early; refusing to open",
        excluded="of the share, items the requester withdrew",
        source="METRICS.md M21",
        pair=(Pair.ACCOUNT_OBSERVATIONS,),
    ),
    Metric(
        code="M22",
        key="backlog",
        family=Family.FLOW,
        name="Open",
        question="How much is open, and how old is it?",
        formula="Items open at the end of the period, reopened ones included; age since opening."
        " Whether that fits how many come in and how long they stay (Little's law) is checked by"
        " severity, as a hint at flaws in the data and not as a figure.",
        population="open items",
        dating="the moment of counting",
        direction=Direction.LOWER,
        views=(
            View("open", "Open", Unit.COUNT, evaluating.backlog, "are open"),
            View(
                "days",
                "Days of work waiting",
                Unit.DAYS,
                flow.days_of_backlog,
                "business days of work are waiting, at the pace of the last twenty",
            ),
            _time(
                "business_age_median",
                "Median age of what is open",
                partial(flow.business_age, p=0.5),
                "of what is open",
            ),
            _time(
                "business_age_p90",
                "Age of nine in ten of what is open",
                partial(flow.business_age, p=0.9),
                "of what is open",
            ),
        ),
        evidence="notes of backlog reviews",
        guardrail=(
            Guardrail("reopen_rate.rate"),
            Guardrail(words="the share closed for inactivity"),
        ),
        gaming="bulk closing",
        look_at="scalability and reliability",
        source="METRICS.md M22",
        pair=(Pair.OBSERVATIONS,),
        not_kept="Notes of backlog reviews: none are kept here; what is seen there is written as"
        " an observation.",
        minimum=0,
    ),
    # --- D. Self-service -------------------------------------------------------------------------
    Metric(
        code="M23",
        key="self_service_completion",
        family=Family.SELF_SERVICE,
        name="Finished without us",
        question="Can people finish the job without us?",
        formula="Attempts completed within 24 h after which the same person did not ask us about"
        " the same capability within 72 h of the start, of all attempts that are 72 h old. Starts"
        " within 30 minutes of an attempt belong to it. Tried again: of the same attempts, those"
        " of somebody who had begun another at the same task in the 14 times 24 hours before,"
        " completed or not.",
        population="attempts at self-service tasks",
        dating="the start of the attempt",
        direction=Direction.HIGHER,
        views=(
            _share(
                "share",
                "Finished without us",
                self_service.completion,
                "of the attempts were finished without us",
            ),
            View(
                "again",
                "Tried again",
                Unit.SHARE,
                self_service.tried_again,
                "of the attempts came after another of the same person at the same task within two"
                " weeks",
                direction=Direction.LOWER,
            ),
        ),
        evidence="search terms without a result, comments",
        guardrail=(
            Guardrail("csat_share.share"),
            Guardrail("self_service_completion.again", "called completed, and begun once more"),
        ),
        gaming="hiding the contact button",
        excluded="attempts younger than 72 hours",
        source="METRICS.md M23",
        pair=(Pair.COMMENTS,),
        not_kept="Search terms without a result: no source tells them.",
    ),
    Metric(
        code="M24",
        key="self_service_share",
        family=Family.SELF_SERVICE,
        name="Served themselves",
        question="Of everything that people could do themselves, how much did they do themselves?",
        formula="Completed self-service events of those and assisted items, over capabilities on"
        " the self-service list.",
        population="completed self-service events and items of self-service capabilities",
        dating="the event; opening",
        direction=Direction.HIGHER,
        views=(
            _share(
                "share",
                "Served themselves",
                self_service.self_service_share,
                "was done by people themselves",
            ),
        ),
        evidence="the items that were asked for all the same",
        guardrail=(
            Guardrail("self_service_completion.share"),
            Guardrail("csat_share.share"),
        ),
        gaming="counting visits as completions",
        catalogue_used=frozenset({"self_service"}),
        source="METRICS.md M24",
        pair=(Pair.ASKED_ALL_THE_SAME,),
    ),
    Metric(
        code="M25",
        key="should_have_been_self_service",
        family=Family.SELF_SERVICE,
        name="Should have been self-service",
        question="How much of our work should not need us?",
        formula="Items that are routine people should be able to do themselves, of those"
        " classified. Each week twelve of a capability's classified items are drawn by chance and"
        " read by a second person; from fifty on, the share corrected by what that shows of the"
        " flag (Rogan and Gladen) stands beside the raw one.",
        population="items classified",
        dating="opening",
        direction=Direction.LOWER,
        views=(
            _share(
                "share",
                "Should have been self-service",
                routine.should_have_been_self_service,
                "should have been self-service",
                leads=True,
            ),
        ),
        evidence="the items' texts and agents' observations",
        guardrail=(Guardrail("self_service_completion.share"),),
        line="self_service_line",
        gaming="not classifying",
        catalogue_used=frozenset({"self_service"}),
        excluded="items nobody has classified, which are counted",
        source="METRICS.md M25",
        pair=(Pair.ASKED_ALL_THE_SAME, Pair.OBSERVATIONS),
    ),
    # --- E. Recurrence ---------------------------------------------------------------------------
    Metric(
        code="M26",
        key="recurrence",
        family=Family.RECURRENCE,
        name="Keeps coming back",
        question="What keeps coming back, for everyone?",
        formula="Items opened in the period that share a problem record, a known defect or a"
        " confirmed duplicate with another item of the capability opened at most 90 days before or"
        " after, up to the end of the period. Problems are ranked by the people they met. Items"
        " that report a known defect are also counted by themselves. Unknown where no item is"
        " linked to anything: nobody says then what is the same.",
        population="items opened",
        dating="opening",
        direction=Direction.LOWER,
        views=(
            _share(
                "share",
                "Share a problem with others",
                recurring.shared,
                "share a problem with another within 90 days",
                leads=True,
            ),
            View(
                "people",
                "People who met a shared problem",
                Unit.COUNT,
                recurring.people,
                "people met a problem that came more than once",
            ),
            _share(
                "defects",
                "Report a known defect",
                recurring.defects,
                "report a known defect",
            ),
        ),
        evidence="the reports behind each problem, the problem of most people first",
        pair=(Pair.SHARED_REPORTS,),
        guardrail=(Guardrail("should_have_been_self_service.share"),),
        gaming="not linking what is the same; opening a new problem record for each item",
        source="METRICS.md M26",
    ),
)

#: The registry: whatever goes through all metrics goes through this.
BY_KEY: dict[str, Metric] = {metric.key: metric for metric in METRICS}


def names() -> list[str]:
    """Every view of every metric as `metric.view`, in the order of their declaration."""
    return [f"{metric.key}.{view.key}" for metric in BY_KEY.values() for view in metric.views]


def names_told(settings: Settings) -> list[str]:
    """As `names`, without the views that an organisation has not added."""
    return [name for name in names() if find(name)[1].is_told(settings)]


class UnknownMetric(KeyError):
    """A key names no metric or no view; the message lists what there is."""

    def __str__(self) -> str:
        return str(self.args[0])


def find(name: str) -> tuple[Metric, View]:
    """The metric and view of `key` or `key.view`. Raises UnknownMetric."""
    key, _, view_key = name.partition(".")
    metric = BY_KEY.get(key)
    if metric is None:
        raise UnknownMetric(f"There is no metric {key!r}; there are {', '.join(BY_KEY)}.")
    if not view_key:
        return metric, metric.headline
    for view in metric.views:
        if view.key == view_key:
            return metric, view
    views = ", ".join(view.key for view in metric.views)
    raise UnknownMetric(f"{key} has no view {view_key!r}; it has {views}.")


def check_guards(metrics: Iterable[Metric]) -> None:
    """Raise UnknownMetric or ValueError where a guardrail is no view, or the metric's headline."""
    for metric in metrics:
        headline = f"{metric.key}.{metric.headline.key}"
        for name in metric.guards:
            find(name)
            if "." not in name or name == headline:
                raise ValueError(f"{metric.key} is guarded by {name}: name a view beside its own.")


check_guards(METRICS)
