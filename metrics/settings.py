"""What an organisation may decide about measuring: one list with the handbook's defaults. Pure.

METRICS.md Part 7; a default stands beside its rule and is taken from there. What the handbook calls
fixed (intervals and their methods, no pooling across severities or scales, mature numerators,
private figures) is no setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

from metrics.charts import BASELINE, RUN
from metrics.comparing import DISCOVERY_RATE, FAMILY_ERROR
from metrics.detectors import DEFAULTS, Limits
from metrics.ratios import HARDLY_CLASSIFIED, WELL_CLASSIFIED
from metrics.small_numbers import SMALLEST
from metrics.standing import FRAGILE_DROP, LOW_RATE, LOWEST_RATE, NEGATIVES, PRECISION
from metrics.telemetry import PAIRS, SMALLEST_AUC
from portal.catalogue.severity import SeverityPolicy
from tickets.timeline import BURST_MORE_THAN, COURTESY_WINDOW, MISCLICK_WINDOW, REOPEN_WINDOW

#: A number, or one of a few words.
type Value = float | str


#: The ordinary window of survey figures, by profile (METRICS.md 1.16).
SURVEY_WINDOW = {"small": "90 days", "standard": "month or 90 days", "large": "month"}
#: How many persons sign targets, by profile (METRICS.md 1.16).
SIGNERS = {"small": "two", "standard": "three or two", "large": "three"}
#: The word of a setting that adds a figure.
ADDED = "on"


class SettingsRefused(ValueError):
    """Values that cannot be used. `mistakes` holds one sentence each; nothing was saved."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__(" ".join(mistakes))


def _decided(default: float, words: str, section: str, low: float, high: float) -> Any:
    """A setting: its default, what it decides, where the handbook says so, and its bounds."""
    return field(
        default=default, metadata={"words": words, "section": section, "low": low, "high": high}
    )


def _chosen(default: str, words: str, section: str, choices: Mapping[str, str]) -> Any:
    """A setting that is one of a few words; `choices` says what each means."""
    return field(default=default, metadata={"words": words, "section": section, "choices": choices})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, at the default of the standard profile. Shares are 0 to 1."""

    profile: str = _chosen(
        "standard",
        "The organisation's profile: it sets defaults, and what was decided otherwise stands",
        "1.16",
        {
            "small": "few tickets a service: figures of 90 days, coarser, two signatures",
            "standard": "figures of a month where it has enough answers",
            "large": "figures of a month, three signatures",
        },
    )
    reopen_days: float = _decided(
        REOPEN_WINDOW / timedelta(days=1),
        "Days in which a reopen, a follow-up or a repeat contact counts",
        "1.6, M17",
        7,
        30,
    )
    courtesy_hours: float = _decided(
        COURTESY_WINDOW / timedelta(hours=1),
        "Hours in which a thank-you is closed again to count as one",
        "1.6",
        0,
        72,
    )
    misclick_minutes: float = _decided(
        MISCLICK_WINDOW / timedelta(minutes=1),
        "Minutes in which an agent's own reopen is a misclick",
        "1.6",
        0,
        60,
    )
    triage_minutes: float = _decided(
        60, "Business minutes in which the severity is still being found", "1.5", 0, 480
    )
    written_line: str = _chosen(
        "off",
        "First contact: a third line for written channels, solved within one business hour (HDI)",
        "M16",
        {
            "off": "gross and net only",
            ADDED: "beside gross and net; what came by telephone or chat is not in it",
        },
    )
    severity_policy: str = _chosen(
        SeverityPolicy.RECORDED.value,
        "Which severity targets and figures use",
        "1.5",
        {
            SeverityPolicy.RECORDED.value: "as the help desk records it",
            SeverityPolicy.GOVERNED.value: "milder only with a reason and another's approval",
        },
    )
    survey_window: str = _chosen(
        SURVEY_WINDOW["standard"],
        "The ordinary window of survey figures",
        "1.16",
        {
            "90 days": "the last 90 days",
            "month or 90 days": "the last calendar month, 90 days where it has few answers",
            "month": "the last calendar month",
        },
    )
    signers: str = _chosen(
        SIGNERS["standard"],
        "How many persons sign targets where the business unit's lead is one of them",
        "1.16",
        {
            "two": "two persons are enough",
            "three or two": "three for HR, Facilities, Legal and Finance, two for others",
            "three": "three in every domain",
        },
    )
    answer_days: float = _decided(14, "Days in which an answer counts", "M01", 3, 30)
    suppressed_below: float = _decided(
        SMALLEST, "Fewer answers than this are not shown", "1.11", SMALLEST, 30
    )
    own_shares_from: float = _decided(
        10, "Items from which an agent's own figures are shares", "1.11", 10, 50
    )
    precision: float = _decided(
        PRECISION["standard"],
        "How exact a survey figure has to be (half-width)",
        "1.12",
        0.02,
        0.25,
    )
    low_rate: float = _decided(
        LOW_RATE, "Below this response rate a figure needs enough answers", "1.12", 0.05, 0.60
    )
    lowest_rate: float = _decided(
        LOWEST_RATE, "Below this response rate a figure is unreliable", "1.12", 0.02, 0.50
    )
    fragile_drop: float = _decided(
        FRAGILE_DROP,
        "Fragile: five more dissatisfied answers move it further than",
        "1.12",
        0.01,
        0.20,
    )
    fragile_answers: float = _decided(
        NEGATIVES, "Fragile: so many more dissatisfied answers", "1.12", 1, 20
    )
    proxy_pairs: float = _decided(
        PAIRS, "Events with an answer that the estimate from telemetry needs", "M10", 50, 1000
    )
    proxy_auc: float = _decided(
        SMALLEST_AUC, "How well its classes have to tell answers apart (AUC)", "M10", 0.55, 0.95
    )
    unclassified_replies: float = _decided(
        0.10, "More first replies than this not classified: unreliable", "M13", 0.0, 0.50
    )
    well_classified: float = _decided(
        WELL_CLASSIFIED, "Fewer items than this classified: limited", "M25", 0.50, 1.0
    )
    hardly_classified: float = _decided(
        HARDLY_CLASSIFIED, "Fewer items than this classified: unreliable", "M25", 0.10, 0.90
    )
    timely_minutes: float = _decided(60, "Asked in time, minutes after the event", "M07", 5, 1440)
    burden_week: float = _decided(1, "Invitations a person gets in 7 days at most", "M07", 1, 7)
    burden_quarter: float = _decided(
        3, "Invitations a person gets in 90 days at most", "M07", 1, 30
    )
    many_turns: float = _decided(3, "Messages from which a case needs many turns", "M20b", 2, 20)
    reopen_line: float = _decided(0.20, "Line of the reopen rate", "M18", 0.01, 0.90)
    self_service_line: float = _decided(
        0.30, "Line of what should have been self-service", "M25", 0.01, 0.90
    )
    chart_baseline: float = _decided(BASELINE, "Points of a chart's baseline", "D4", 8, 36)
    chart_run: float = _decided(RUN, "Points on one side that make a signal", "D4", 6, 12)
    discovery_rate: float = _decided(
        DISCOVERY_RATE,
        "False discoveries among explored differences (Benjamini-Hochberg)",
        "D2",
        0.01,
        0.25,
    )
    declared_level: float = _decided(
        FAMILY_ERROR, "Level of differences declared beforehand (Holm)", "D2", 0.001, 0.10
    )

    detect_smallest_set: float = _decided(
        DEFAULTS.smallest_set, "Detectors: items each compared set needs", "Part 4", 10, 200
    )
    detect_smallest_list: float = _decided(
        DEFAULTS.smallest_list, "Detectors: entries a list needs (G4, G7)", "Part 4", 5, 100
    )
    detect_bunching_p: float = _decided(
        DEFAULTS.bunching_p, "G1: chance below which bunching is asked about", "G1", 0.0001, 0.05
    )
    detect_bunching_excess: float = _decided(
        DEFAULTS.bunching_excess, "G1: items too many under the target", "G1", 3, 100
    )
    detect_raised_ratings: float = _decided(
        DEFAULTS.raised_ratings, "G4: share of changed answers raised after a message", "G4", 0.1, 1
    )
    detect_times: float = _decided(
        DEFAULTS.times, "G5, G9: how many times the one share is the other", "G5, G9", 1.2, 10
    )
    detect_reply_gap: float = _decided(
        DEFAULTS.reply_gap, "G6: replied in time above helped in time", "G6", 0.02, 0.9
    )
    detect_empty_replies: float = _decided(
        DEFAULTS.empty_replies, "G6: share of first replies that do not help", "G6", 0.05, 0.9
    )
    detect_silent_pauses: float = _decided(
        DEFAULTS.silent_pauses, "G7: share of late pauses without a question", "G7", 0.05, 1
    )
    detect_burst: float = _decided(
        DEFAULTS.burst, "G10: resolutions of one account in 10 minutes", "G10", BURST_MORE_THAN, 200
    )
    detect_inactivity_rise: float = _decided(
        DEFAULTS.inactivity_rise, "G10: rise of the share closed for inactivity", "G10", 0.02, 0.9
    )
    detect_same_clock: float = _decided(
        DEFAULTS.same_clock, "G10: share of clocks at one exact value", "G10", 0.05, 1
    )

    @property
    def detecting(self) -> Limits:
        """Where detectors ask for a look."""
        return Limits(**{one.name: getattr(self, f"detect_{one.name}") for one in fields(Limits)})

    @classmethod
    def of_profile(cls, profile: str) -> Settings:
        """The defaults of an organisation's profile (METRICS.md 1.16)."""
        return cls(
            profile=profile,
            precision=PRECISION[profile],
            survey_window=SURVEY_WINDOW[profile],
            signers=SIGNERS[profile],
        )

    @classmethod
    def of(cls, decided: Mapping[str, Any]) -> Settings:
        """What an organisation decided, and its profile's defaults for the rest.

        Raises SettingsRefused.
        """
        return cls.of_profile(str(decided.get("profile", cls().profile))).changed(decided)

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """These settings with some values replaced. Raises SettingsRefused naming every mistake."""
        known = {one.name: one for one in fields(self)}
        mistakes = [f"There is no setting {name!r}." for name in values.keys() - known.keys()]
        read: dict[str, Any] = {}
        for name in values.keys() & known.keys():
            about = known[name].metadata
            if choices := about.get("choices"):
                read[name] = values[name]
                if values[name] not in choices:
                    mistakes.append(
                        f"{about['words']}: {values[name]!r} is none of {', '.join(choices)}."
                    )
                continue
            try:
                read[name] = float(values[name])
            except (TypeError, ValueError):
                mistakes.append(f"{about['words']}: {values[name]!r} is not a number.")
                continue
            if not about["low"] <= read[name] <= about["high"]:
                mistakes.append(
                    f"{about['words']}: {read[name]:g} is not between {about['low']:g} and"
                    f" {about['high']:g}."
                )
        if mistakes:
            raise SettingsRefused(sorted(mistakes))
        found = replace(self, **read)
        if found.lowest_rate > found.low_rate:
            raise SettingsRefused(
                ["The response rate that is unreliable lies above the one that is low."]
            )
        if found.hardly_classified > found.well_classified:
            raise SettingsRefused(["Unreliable lies above limited, for classified items."])
        return found


@dataclass(frozen=True, slots=True)
class Listed:
    """One setting as a page shows it."""

    name: str
    words: str
    section: str
    value: Value
    default: Value
    #: Of a number.
    low: float = 0
    high: float = 0
    #: Of a word: what each means.
    choices: Mapping[str, str] = field(default_factory=dict)

    def said(self, value: Value) -> str:
        """A value of it: its word, or its number."""
        return str(value) if self.choices else f"{value:g}"

    @property
    def value_said(self) -> str:
        """What is in force, in words."""
        return self._in_words(self.value)

    @property
    def default_said(self) -> str:
        """What is so where nothing was decided, in words."""
        return self._in_words(self.default)

    def _in_words(self, value: Value) -> str:
        meaning = self.choices.get(str(value))
        return f"{value}: {meaning}" if meaning and meaning != value else self.said(value)


def listed(settings: Settings) -> list[Listed]:
    """Every setting with its value in force, and its default under the profile in force."""
    defaults = Settings.of_profile(settings.profile)
    return [
        Listed(
            one.name,
            value=getattr(settings, one.name),
            default=getattr(defaults, one.name),
            **one.metadata,
        )
        for one in fields(settings)
    ]
