"""One runner a vector file: from the input of a case to what the implementation gives.

The values come back by the names of the case's `expected`; `conformance.py` compares them. Only
arithmetic that a file asks for and the product never shows stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from metrics import comparing, improving, intervals, scales, small_numbers, standing, survival
from portal.catalogue.business_time import BusinessTime, CalendarRules
from tickets import clocks
from tickets.canonical import Event, EventType, State
from tickets.meaning import meaning_of
from tickets.timeline import FoldSettings, TicketLog, fold

Case = Mapping[str, Any]
#: From a case and the file it stands in to the values by name.
Runner = Callable[[Case, Mapping[str, Any]], Mapping[str, Any]]


def _wilson(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    interval = intervals.wilson(data["successes"], data["n"])
    return {"lower": interval.lower, "upper": interval.upper}


def _newcombe(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    x1, n1, x2, n2 = (case["input"][name] for name in ("x1", "n1", "x2", "n2"))
    interval = intervals.newcombe(x1, n1, x2, n2)
    return {"difference": x1 / n1 - x2 / n2, "lower": interval.lower, "upper": interval.upper}


def _n_minus_1(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    x1, n1, x2, n2 = (case["input"][name] for name in ("x1", "n1", "x2", "n2"))
    found = comparing.n_minus_1(x1, n1, x2, n2)
    return {"chi2": found.chi2, "p": found.p}


def _net_promoter(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if "a" in data:
        one, other = (intervals.NetPromoter(*data[side]) for side in ("a", "b"))
        adjusted, interval = intervals.net_promoter_difference(one, other)
        return {
            "difference": one.score - other.score,
            "adjusted_difference": adjusted,
            "lower": interval.lower,
            "upper": interval.upper,
        }
    if "ratings" in data:
        found = scales.net_promoter(data["ratings"])
    else:
        found = intervals.NetPromoter(data["promoters"], data["passives"], data["detractors"])
    plain_error = (found.variance / found.n) ** 0.5
    return {
        "nps": found.score,
        "variance": found.variance,
        "standard_error": plain_error,
        "adjusted_nps": found.adjusted,
        "adjusted_margin": found.margin,
        "lower": found.interval.lower,
        "upper": found.interval.upper,
        "unadjusted_wald_margin": 100 * intervals.Z * plain_error,
    }


def _effort(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    wording = scales.EFFORT_WORDINGS[case["input"]["wording"]]
    counts = {int(value): n for value, n in case["input"]["counts"].items()}
    n, good = sum(counts.values()), sum(counts.get(value, 0) for value in wording.easy)
    share = intervals.wilson(good, n)
    mean, _sd, of_mean = _mean(counts, wording.bounds)
    return {
        "n": n,
        "good": good,
        "good_share": good / n,
        "lower": share.lower,
        "upper": share.upper,
        "mean": mean,
        "mean_lower": of_mean.lower,
        "mean_upper": of_mean.upper,
        "ease_pomp": wording.ease_pomp(mean),
        "better": wording.better.value,
    }


def _mean(
    counts: Mapping[int, int], bounds: tuple[int, int]
) -> tuple[float, float, intervals.Interval]:
    ratings = np.repeat(list(counts), list(counts.values())).astype(np.float64)
    mean, sd = float(ratings.mean()), float(ratings.std(ddof=1))
    return mean, sd, intervals.mean_interval(mean, sd, len(ratings), *bounds)


def _scale_counts(case: Case, content: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    scale = scales.SCALES[data["scale"]]
    if scale.key == "two_point":
        counts = {1: data["good"], 0: data["bad"]}
    else:
        counts = {int(value): n for value, n in data["counts"].items()}
    n = sum(counts.values())
    by_class = {
        name: sum(counts.get(value, 0) for value in getattr(scale, name))
        for name in ("satisfied", "neutral", "dissatisfied")
    }
    interval = intervals.wilson(by_class["satisfied"], n)
    got: dict[str, Any] = {
        **by_class,
        "n": n,
        "satisfied_share": by_class["satisfied"] / n,
        "dissatisfied_share": by_class["dissatisfied"] / n,
        "lower": interval.lower,
        "upper": interval.upper,
    }
    if scale.bounds is not None:
        mean, sd, of_mean = _mean(counts, scale.bounds)
        got |= {
            "mean": mean,
            "sd": sd,
            "mean_lower": of_mean.lower,
            "mean_upper": of_mean.upper,
            "pomp": scale.pomp(mean),
        }
    return got


def _reliability(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if "complete" in data:
        return _response_rates(data)
    sent, answered, satisfied = data["sent"], data["answered"], data["satisfied"]
    if sent is None:
        return {"state": standing.reliability(None, answered).value}
    silent = standing.silent(sent, answered, satisfied, data.get("target"))
    return {
        "response_rate": answered / sent,
        "required_answers": standing.answers_required(sent),
        "state": standing.reliability(sent, answered).value,
        "five_negatives_drop": standing.five_negatives_drop(satisfied, answered),
        "fragile": standing.is_fragile(satisfied, answered),
        "lower_bound": silent.lower,
        "upper_bound": silent.upper,
        "needed_among_nonrespondents": silent.needed,
    }


def _response_rates(data: Mapping[str, Any]) -> dict[str, Any]:
    rates = standing.ResponseRates(
        eligible=data["eligible_events"],
        sent=data["sent"],
        bounced=data["bounced"],
        complete=data["complete"],
        answered=data["complete"] + data["partial_with_core_answer"],
    )
    return {
        "rr1": rates.complete_rate,
        "rr2": rates.response_rate,
        "response_rate": rates.response_rate,
        "participation_rate": rates.participation_rate,
        "coverage": rates.coverage,
        "effective_coverage": rates.effective_coverage,
    }


def _business_time(case: Case) -> BusinessTime:
    return BusinessTime.of(CalendarRules.from_dict(case["calendar"]))


def _elapsed(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    start, end = _instant(case["start"]), _instant(case["end"])
    return {"expected_seconds": _business_time(case).elapsed(start, end)}


def _deadline(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    found = _business_time(case).deadline(_instant(case["start"]), case["add_seconds"])
    return {"expected": found}


def _open(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"expected_open": _business_time(case).is_open(_instant(case["instant"]))}


def _pauses(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    calendar, start = _business_time(case), _instant(case["start"])
    pauses = [(_instant(a), _instant(b) if b else None) for a, b in case["pauses"]]
    got: dict[str, Any] = {}
    if "target_seconds" in case:
        seconds = case["target_seconds"]
        got["expected_deadline"] = calendar.deadline_with_pauses(start, seconds, pauses)
    if "stop" in case:
        stop = _instant(case["stop"])
        got["expected_clock_seconds"] = calendar.elapsed_with_pauses(start, stop, pauses)
    return got


def _kaplan_meier(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    curve = survival.kaplan_meier(
        np.array(data["times"], dtype=np.float64), np.array(data["event"], dtype=bool)
    )
    band = curve.quantile_interval(0.5)
    return {
        "n": curve.n,
        "events": curve.events,
        "median": curve.quantile(0.5),
        "median_lower_loglog": band.lower,
        "median_upper_loglog": band.upper,
        "p90": curve.quantile(0.9),
        "S": {time: curve.at(float(time)) for time in case["expected"].get("S", {})},
    }


def _log_rank(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    one, other = (
        comparing.Durations(
            np.array(data[f"{side}_resolved"] + data[f"{side}_open"], dtype=np.float64),
            np.repeat([True, False], [len(data[f"{side}_resolved"]), len(data[f"{side}_open"])]),
        )
        for side in ("a", "b")
    )
    found = comparing.log_rank(one, other)
    return {"chi2": found.chi2, "p": found.p}


def _percentiles(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if "values" in data:
        values = np.array(data["values"], dtype=np.float64)
        return {"value": intervals.percentile(values, data["p"])}
    lower, upper = intervals.order_statistic_ranks(data["n"], data["p"])
    return {"lower_rank": lower, "upper_rank": upper}


def _many_comparisons(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    p, q = case["input"]["p"], case["input"]["q"]
    adjusted = comparing.benjamini_hochberg(p)
    return {
        "bh_adjusted": adjusted,
        "bh_rejected": _passing(adjusted, q),
        "holm_rejected": _passing(comparing.holm(p), q),
        "bonferroni_rejected": _passing([value * len(p) for value in p], q),
    }


def _passing(adjusted: list[float], limit: float) -> list[int]:
    return [place for place, value in enumerate(adjusted) if value <= limit]


def _change_of_mix(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    counts = (case["input"][name] for name in ("x_a", "n_a", "x_b", "n_b"))
    found = comparing.decompose([comparing.Part(*part) for part in zip(*counts, strict=True)])
    return {
        "total_a": found.before,
        "total_b": found.after,
        "difference": found.change,
        "rate_effect": found.rate_effect,
        "mix_effect": found.mix_effect,
        "rate_by_group": found.rate_by_part,
        "mix_by_group": found.mix_by_part,
    }


def _before_after(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if "observed" in data:
        drift = improving.expected_drift(
            data["observed"],
            data["population_mean"],
            between=data["between_variance"],
            within=data["within_variance"],
        )
        return {"expected_change_without_any_action": drift}
    action, comparison = (
        comparing.Part(*data[side]["before"], *data[side]["after"])
        for side in ("action", "comparison")
    )
    change, around_change = comparing.change(action)
    beyond, around_beyond = comparing.difference_of_changes(action, comparison)
    return {
        "before": action.x_before / action.n_before,
        "after": action.x_after / action.n_after,
        "difference": change,
        "diff_lower": around_change.lower,
        "diff_upper": around_change.upper,
        "comparison_difference": comparing.change(comparison)[0],
        "did": beyond,
        "did_lower": around_beyond.lower,
        "did_upper": around_beyond.upper,
        "verdict_did": improving.effect_beyond_comparison(around_beyond).value,
    }


def _target_status(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if "gap" in data:
        return {"n": intervals.answers_needed(data["expected_rate"], data["gap"])}
    interval = intervals.wilson(data["numerator"], data["denominator"])
    found = standing.status(
        interval,
        data["target"],
        standing.Direction(data["direction"]),
        standing.Reliability(data["reliability"]),
    )
    return {
        "observed": data["numerator"] / data["denominator"],
        "lower": interval.lower,
        "upper": interval.upper,
        "status": found.value,
    }


def _clustered(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    sizes, satisfied = np.array(case["input"]["requesters"], dtype=np.int64).T
    got = intervals.clustered(sizes, satisfied)
    return {
        "n": got.n,
        "satisfied": got.satisfied,
        "design_effect": got.design_effect,
        "effective_n": got.effective_n,
        "lower": got.interval.lower,
        "upper": got.interval.upper,
    }


def _severity(case: Case, content: Mapping[str, Any]) -> dict[str, Any]:
    calendar = BusinessTime.of(CalendarRules.from_dict(content["calendar"]))
    grace, targets = content["triage_grace_business_seconds"], content["targets_seconds"]
    governed = FoldSettings("governed", lambda opened_at: calendar.deadline(opened_at, grace))
    [timeline] = fold([TicketLog(case["id"], _severity_events(case["input"]))], governed)
    [item] = timeline.work_items
    promised = clocks.promises(item, lambda severity: (calendar, targets[severity.value]))
    return {"governed": item.severity.value, "deadline": clocks.deadline(item, promised)}


def _severity_events(data: Mapping[str, Any]) -> list[Event]:
    first, *changes = data["severity_events"]
    events = [
        Event(0, EventType.CREATED, _instant(data["opened"]), data={"severity": first["to"]}),
        *(
            Event(key, EventType.PRIORITY_CHANGED, _instant(change["at"]), data=_said(change))
            for key, change in enumerate(changes, start=1)
        ),
    ]
    if data["resolved"]:
        to = {"to": State.RESOLVED}
        at = _instant(data["resolved"])
        events.append(Event(len(events), EventType.STATUS_CHANGED, at, data=to))
    return events


def _said(change: Mapping[str, Any]) -> dict[str, Any]:
    approval = {"reason": "triaged again", "approved_by": "a lead"} if change["approved"] else {}
    return {"to": change["to"], **approval}


def _suppression(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"hidden": small_numbers.hidden_parts(case["input"]["parts"])}


def _meaning(case: Case, content: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if not (data["human"] and data["public"]):
        return {"cls": "not_a_human_public_reply"}
    found = meaning_of(
        data["own_text"],
        templates=content["acknowledgement_templates"],
        links=data["links"],
        attachments=data["attachments"],
    )
    return {"cls": found.value}


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


#: By the number of the file.
RUNNERS: Mapping[str, Runner] = {
    "01": _wilson,
    "02": _newcombe,
    "03": _n_minus_1,
    "04": _net_promoter,
    "05": _scale_counts,
    "06": _reliability,
    "07": _elapsed,
    "08": _deadline,
    "09": _open,
    "10": _pauses,
    "12": _kaplan_meier,
    "13": _log_rank,
    "14": _percentiles,
    "17": _many_comparisons,
    "19": _change_of_mix,
    "22": _target_status,
    "24": _before_after,
    "29": _clustered,
    "30": _effort,
    "31": _severity,
    "32": _meaning,
    "34": _suppression,
}
