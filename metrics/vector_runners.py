"""One runner a vector file: from the input of a case to what the implementation gives.

The values come back by the names of the case's `expected`; `conformance.py` compares them. Only
arithmetic that a file asks for and the product never shows stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from metrics import (
    charts,
    comparing,
    detectors,
    drivers,
    improving,
    intervals,
    piloting,
    ratios,
    scales,
    small_numbers,
    standing,
    suggesting,
    survival,
    telemetry,
)
from metrics.settings import Settings
from portal.catalogue.business_time import BusinessTime, CalendarRules
from portal.catalogue.severity import SeverityPolicy
from tickets import clocks, segments
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


def _chart(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    found = charts.individuals(data["values"], baseline=data["baseline_points"])
    [stretch], first = found.stretches, found.points[0]
    return {
        "mean": stretch.mean,
        "mean_moving_range": stretch.mean_range,
        "lower_2_66": first.lower,
        "upper_2_66": first.upper,
        "range_limit_3_268": stretch.range_limit,
        # the source has constants less rounded than the handbook's, hence a tolerance of their own
        "published_lower": first.lower,
        "published_upper": first.upper,
        "published_range_limit": stretch.range_limit,
        "signals": {
            "rule1_beyond_limits": found.signalled(charts.Rule.BEYOND_LIMITS),
            "rule2_run_of_8": found.signalled(charts.Rule.RUN_OF_EIGHT),
            "rule3_three_of_four": found.signalled(charts.Rule.THREE_OF_FOUR),
        },
    }


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


def _drivers(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    counts = (data[name] for name in ("names", "answered", "dissatisfied", "eligible_volume"))
    groups = [drivers.Group(*group) for group in zip(*counts, strict=True)]
    found = drivers.rank(groups)
    assert found is not None
    shrinkage, overall = found.shrinkage, found.shrinkage.overall
    by_name = {driver.group.name: driver for driver in found.drivers}
    told = [by_name[name] for name in data["names"]]
    by_raw_rate = sorted(groups, key=lambda group: -group.dissatisfied / group.answered)
    return {
        "overall_rate": overall,
        "S": sum(g.answered * (g.dissatisfied / g.answered - overall) ** 2 for g in groups),
        "rho": shrinkage.rho,
        "M": shrinkage.strength,
        "shrunk": [driver.rate for driver in told],
        "estimated_dissatisfied": [driver.people for driver in told],
        "contribution": [driver.contribution for driver in told],
        "excess": [driver.excess for driver in told],
        "rank_by_contribution": [driver.group.name for driver in found.drivers],
        "rank_by_raw_rate": [group.name for group in by_raw_rate],
        "rank_by_excess": [driver.group.name for driver in found.by_excess()],
    }


def _ratios(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if "assisted_incidents" in data:
        counts = data["self_service_incidents"], data["assisted_incidents"]
        return {"self_service_share": _value(ratios.self_service_share(*counts))}
    if "tolerating" in data:
        zones = (data[zone] for zone in ("satisfied", "tolerating", "frustrated"))
        return {"apdex": telemetry.apdex(*zones)}
    if "all_contacts" in data:
        solved, contacts = data["resolved_first_contact"], data["all_contacts"]
        net = ratios.first_contact_net(solved, contacts, data["not_resolvable_at_level_1"])
        return {"gross": _value(ratios.share(solved, contacts)), "net": _value(net)}
    return _flagged_of_classified(data)


def _value(found: ratios.Share | None) -> float | None:
    return found.value if found else None


def _flagged_of_classified(data: Mapping[str, Any]) -> dict[str, Any]:
    found = ratios.share(data["flagged"], data["classified"])
    assert found is not None
    got: dict[str, Any] = {
        "share": found.value,
        "lower": found.interval.lower,
        "upper": found.interval.upper,
    }
    if "tickets" in data:
        coverage = ratios.share(data["classified"], data["tickets"])
        status = standing.status(
            found.interval,
            Settings().self_service_line,
            standing.Direction.LOWER,
            ratios.classified_enough(data["classified"], data["tickets"]),
        )
        words = {standing.Status.NOT_MET: "above_threshold"}  # what the file calls it
        got |= {
            "classification_coverage": _value(coverage),
            "status": words.get(status, status.value),
        }
    return got


def _suggestion(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    direction = standing.Direction(data["direction"])
    limit = data.get("upper_natural_limit", data.get("lower_natural_limit"))
    found = suggesting.suggest(
        data["baseline"] / 100,
        better=direction,
        benchmark=data["benchmark"] / 100,
        maturity=data["maturity"],
        natural_limit=None if limit is None else limit / 100,
        answers_a_month=data["answers_per_period"],
    )
    assert found is not None
    return {
        "raw": 100 * found.raw,
        "suggested": 100 * found.target,
        "benchmark_already_met": found.hold,
        "needs_process_change": found.needs_process_change,
        "answers_needed": found.answers_needed,
        "periods_needed": found.months_needed,
    }


def _pilot(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    held, reopened = (piloting.Answers(*data[name]) for name in ("not_reopened", "reopened"))
    reliability = standing.reliability(data["sent"], data["answered"])
    found = piloting.judge(
        held,
        reopened,
        reliability=reliability,
        weekly_satisfied=data["weekly_csat"],
        weekly_reopened=data["weekly_reopen"],
    )
    assert found.interval is not None
    return {
        "difference": found.difference,
        "lower": found.interval.lower,
        "upper": found.interval.upper,
        "reliability": reliability.value,
        "spearman_by_lag": {str(lag): rho for lag, rho in enumerate(found.correlations)},
        "verdict": found.verdict.value,
    }


def _telemetry(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    volumes = {telemetry.EventClass(name): n for name, n in data["volumes"].items()}
    paired = {
        telemetry.EventClass(name): telemetry.Pairs(*counts)
        for name, counts in data["paired"].items()
    }
    found = telemetry.calibrated(volumes, paired)
    assert found is not None
    n = sum(pair.n for pair in paired.values())
    return {
        "apdex_form": telemetry.raw_index(volumes),
        "calibrated": found.value,
        "lower": found.interval.lower,
        "upper": found.interval.upper,
        "explicit": sum(pair.satisfied for pair in paired.values()) / n,
        "auc": telemetry.auc(paired),
        "paired": n,
    }


#: Which shares a case of two shares names first and second, and the detector that judges them.
_TWO_SHARES = {
    "reopened_when_just_in_time": ("reopened_otherwise", "G2"),
    "invited_unremarkable": ("invited_troubled", "G3"),
    "downgraded_late": ("downgraded_early", "G8"),
}


def _gaming(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    if "bins" in data:
        found = detectors.Bins(*(data["bins"][name] for name in ("b2", "b", "a", "a2")))
        finding = detectors.DETECTORS["G1"].judge(found, detectors.DEFAULTS)
        return {
            "p0": detectors.expected_just_below(found),
            "excess": finding.checks[0].value,
            "p": finding.checks[0].p,
            "flag": finding.is_flag,
        }
    [first] = _TWO_SHARES.keys() & data.keys()
    second, key = _TWO_SHARES[first]
    shares = detectors.TwoShares(detectors.Of(*data[first]), detectors.Of(*data[second]))
    finding = detectors.DETECTORS[key].judge(shares, detectors.DEFAULTS)
    [check] = finding.checks
    assert check.interval is not None
    return {
        "difference": check.value,
        "lower": check.interval.lower,
        "upper": check.interval.upper,
        "flag": finding.is_flag,
    }


def _segments(case: Case, _: Mapping[str, Any]) -> dict[str, Any]:
    data = case["input"]
    return {
        "tenure": segments.tenure(data["days_since_first_use"]).value,
        "usage": segments.usage(data["active_days_last_28"]).value,
        "advanced": segments.is_advanced(data["advanced_capabilities_last_90"]),
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
    governed = FoldSettings(
        SeverityPolicy.GOVERNED, lambda opened_at: calendar.deadline(opened_at, grace)
    )
    [timeline] = fold([TicketLog(case["id"], _severity_events(case["input"]))], governed)
    [item] = timeline.work_items
    told = clocks.resolution(item, lambda _, severity: (calendar, targets[severity.value]))
    return {"governed": item.severity.value, "deadline": told and told.runs_out}


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
    "15": _chart,
    "17": _many_comparisons,
    "19": _change_of_mix,
    "20": _drivers,
    "21": _ratios,
    "22": _target_status,
    "23": _suggestion,
    "24": _before_after,
    "25": _pilot,
    "26": _telemetry,
    "27": _gaming,
    "29": _clustered,
    "30": _effort,
    "31": _severity,
    "32": _meaning,
    "33": _segments,
    "34": _suppression,
}

#: Files that are read and not run, by number, and why.
NOT_RUN: Mapping[str, str] = {
    "11": "published expectations the product deliberately does not follow (METRICS.md Part 5)"
}
