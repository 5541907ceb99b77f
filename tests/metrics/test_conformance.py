"""The runner of test vectors: it passes right cases, and names what it misses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metrics.conformance import numbers, run_file, run_folder
from metrics.vector_runners import NOT_RUN, RUNNERS

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
_CALENDAR = {"time_zone": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]]}}

#: Cases worked out by hand: number -> (id, input and expectation).
BY_HAND: dict[str, dict[str, Any]] = {
    "01": {
        "input": {"successes": 0, "n": 10},
        # the upper limit of none of n is z squared over n plus z squared
        "expected": {"lower": 0, "upper": 0.27753279},
        "tolerance": 1e-8,
    },
    "02": {
        # a difference of nothing reaches as far down as one share does up
        "input": {"x1": 0, "n1": 10, "x2": 0, "n2": 10},
        "expected": {"difference": 0, "lower": -0.27753279, "upper": 0.27753279},
        "tolerance": 1e-8,
    },
    "03": {
        # one of two against none of two: Pearson's 4/3 times three quarters
        "input": {"x1": 1, "n1": 2, "x2": 0, "n2": 2},
        "expected": {"chi2": 1, "p": 0.31731051},
        "tolerance": 1e-8,
    },
    "04": {
        "input": {"ratings": [10, 9, 8, 7, 6, 0]},
        "expected": {"nps": 0, "variance": 2 / 3, "adjusted_nps": 0, "standard_error": 1 / 3},
    },
    "05": {
        "input": {"scale": "two_point", "good": 6, "bad": 2},
        "expected": {"satisfied": 6, "dissatisfied": 2, "n": 8, "satisfied_share": 0.75},
    },
    "06": {
        "input": {"sent": 100, "answered": 50, "satisfied": 40, "target": 0.8},
        "expected": {
            "response_rate": 0.5,
            "required_answers": 50,
            "state": "reliable",
            "lower_bound": 0.4,
            "upper_bound": 0.9,
            "needed_among_nonrespondents": 0.8,
        },
    },
    "07": {
        "calendar": _CALENDAR,
        "start": "2026-03-02T16:00:00+01:00",
        "end": "2026-03-09T10:00:00+01:00",
        "expected_seconds": 7200,
    },
    "08": {
        "calendar": _CALENDAR,
        "start": "2026-03-02T16:00:00+01:00",
        "add_seconds": 7200,
        "expected": "2026-03-09T10:00:00+01:00",
    },
    "09": {
        "calendar": _CALENDAR,
        "instant": "2026-03-02T17:00:00+01:00",
        "expected_open": False,
    },
    "10": {
        "calendar": _CALENDAR,
        "start": "2026-03-02T09:00:00+01:00",
        "stop": "2026-03-02T12:00:00+01:00",
        "pauses": [["2026-03-02T10:00:00+01:00", "2026-03-02T11:00:00+01:00"]],
        "expected_clock_seconds": 7200,
    },
    "12": {
        "input": {"times": [1, 2, 3], "event": [True, True, False]},
        "expected": {"n": 3, "events": 2, "median": 2, "S": {"1": 2 / 3}},
    },
    "13": {
        # at 1 one of two at risk is expected to be of either group; at 2 nobody else is left
        "input": {"a_resolved": [1], "a_open": [], "b_resolved": [2], "b_open": []},
        "expected": {"chi2": 1, "p": 0.31731051},
        "tolerance": 1e-8,
    },
    "14": {"input": {"values": [1, 2, 3, 4], "p": 0.5}, "expected": {"value": 2.5}},
    "15": {
        # mean 1/2, steps of 1: limits 2.66 either side, and 4 is beyond
        "input": {"values": [0, 1] * 6 + [4], "baseline_points": 12},
        "expected": {
            "mean": 0.5,
            "mean_moving_range": 1,
            "lower_2_66": -2.16,
            "upper_2_66": 3.16,
            "range_limit_3_268": 3.268,
            "published_upper": 3.159574,  # with 3/1.128
            "signals": {
                "rule1_beyond_limits": [12],
                "rule2_run_of_8": [],
                "rule3_three_of_four": [],
            },
        },
        "tolerance": {"published": 0.0005, "own": 1e-12},
    },
    "17": {
        "input": {"p": [0.04, 0.01], "q": 0.05},
        "expected": {"bh_adjusted": [0.04, 0.02], "bh_rejected": [0, 1], "holm_rejected": [0, 1]},
    },
    "19": {
        "input": {"n_a": [10, 10], "x_a": [10, 0], "n_b": [10, 30], "x_b": [10, 0]},
        "expected": {"difference": -0.25, "rate_effect": 0, "mix_by_group": [-0.25, 0]},
    },
    "20": {
        # two groups: twenty answers at the overall rate of 1/4 are added to each
        "input": {
            "names": ["a", "b"],
            "dissatisfied": [0, 10],
            "answered": [20, 20],
            "eligible_volume": [100, 100],
        },
        "expected": {
            "overall_rate": 0.25,
            "M": 20,
            "rho": None,
            "shrunk": [0.125, 0.375],
            "estimated_dissatisfied": [12.5, 37.5],
            "contribution": [0.25, 0.75],
            "excess": [-12.5, 12.5],
            "rank_by_contribution": ["b", "a"],
        },
    },
    "21": {
        "input": {
            "resolved_first_contact": 3,
            "all_contacts": 8,
            "not_resolvable_at_level_1": 4,
        },
        "expected": {"gross": 0.375, "net": 0.75},
    },
    "22": {
        "input": {
            "numerator": 100,
            "denominator": 100,
            "target": 0.9,
            "direction": "higher",
            "reliability": "reliable",
        },
        "expected": {"observed": 1.0, "status": "met"},
    },
    "23": {
        # a fifth of the way from 50 to 60; z squared times 0.52 * 0.48 / 0.02 squared is 2397.07
        "input": {
            "baseline": 50.0,
            "benchmark": 60.0,
            "maturity": 1,
            "direction": "higher",
            "upper_natural_limit": 51.0,
            "answers_per_period": 1199,
        },
        "expected": {
            "raw": 52,
            "suggested": 52,
            "benchmark_already_met": False,
            "needs_process_change": True,
            "answers_needed": 2398,
            "periods_needed": 2,
        },
    },
    "24": {
        "input": {
            "observed": 60,
            "population_mean": 80,
            "between_variance": 3,
            "within_variance": 1,
        },
        "expected": {"expected_change_without_any_action": 5},
    },
    "25": {
        # three weeks in opposite order; a week later only two are left
        "input": {
            "not_reopened": [9, 10],
            "reopened": [1, 10],
            "weekly_csat": [1, 2, 3],
            "weekly_reopen": [3, 2, 1],
            "sent": 200,
            "answered": 20,
        },
        "expected": {
            "difference": 0.8,
            "reliability": "unreliable",
            "spearman_by_lag": {"0": -1, "1": None, "2": None},
            "verdict": "extend",
        },
    },
    "26": {
        # of the four pairs of satisfied and not, three are in order and one is even
        "input": {
            "volumes": {"likely_satisfied": 6, "unclear": 2, "likely_dissatisfied": 2},
            "paired": {
                "likely_satisfied": [1, 1],
                "unclear": [1, 2],
                "likely_dissatisfied": [0, 1],
            },
        },
        "expected": {
            "apdex_form": 0.7,
            "calibrated": 0.7,
            "explicit": 0.5,
            "auc": 0.875,
            "paired": 4,
        },
    },
    "27": {
        # ten or more of twenty at even odds: half of all, and half of the middle one
        "input": {"bins": {"b2": 10, "b": 10, "a": 10, "a2": 10}},
        "expected": {
            "p0": 0.5,
            "excess": 0,
            "p": 0.5 + 184756 / 2**21,
            "flag": False,
        },
    },
    "29": {
        "input": {"requesters": [[2, 2], [2, 0]]},
        "expected": {"design_effect": 4.0, "effective_n": 1.0},
    },
    "32": {
        "input": {
            "own_text": "Ticket seen, thanks!",
            "links": 0,
            "attachments": 0,
            "human": True,
            "public": True,
        },
        "expected": {"cls": "not_meaningful"},
    },
    "30": {
        "input": {"wording": "effort", "counts": {"1": 2, "2": 1, "5": 1}},
        "expected": {"good": 3, "good_share": 0.75, "mean": 2.25, "ease_pomp": 68.75},
    },
    "31": {
        # worse after the hour of grace: a target of its own runs from then
        "input": {
            "opened": "2026-03-02T09:00:00+01:00",
            "severity_events": [
                {"at": "2026-03-02T09:00:00+01:00", "to": "low", "approved": False},
                {"at": "2026-03-02T11:00:00+01:00", "to": "high", "approved": False},
            ],
            "resolved": None,
        },
        "expected": {"governed": "high", "deadline": "2026-03-02T13:00:00+01:00"},
    },
    "33": {
        "input": {
            "days_since_first_use": None,
            "active_days_last_28": 0,
            "advanced_capabilities_last_90": 0,
        },
        "expected": {"tenure": "unknown", "usage": "dormant", "advanced": False},
    },
    "34": {"input": {"parts": {"a": 3, "b": 9, "c": 8}}, "expected": {"hidden": ["a", "c"]}},
}


#: What a file may say for all its cases.
FOR_ALL: dict[str, Any] = {
    "acknowledgement_templates": ["ticket seen, thank you!"],
    "calendar": _CALENDAR,
    "triage_grace_business_seconds": 3600,
    "targets_seconds": {"high": 7200, "low": 28800},
}


def write(folder: Path, number: str, case: dict[str, Any]) -> Path:
    path = folder / f"{number}_by_hand.json"
    path.write_text(json.dumps(FOR_ALL | {"cases": [{"id": "one", **case}]}))
    return path


@pytest.mark.parametrize("number", sorted(BY_HAND))
def test_a_case_worked_out_by_hand_passes(number: str, tmp_path: Path) -> None:
    result = run_file(write(tmp_path, number, BY_HAND[number]))
    assert (result.cases, result.misses) == (1, [])


def test_every_runner_has_a_case_by_hand() -> None:
    assert set(BY_HAND) == set(RUNNERS)


def test_a_wrong_expectation_is_missed_and_both_values_are_told(tmp_path: Path) -> None:
    wrong = BY_HAND["07"] | {"expected_seconds": 7201}
    [miss] = run_file(write(tmp_path, "07", wrong)).misses
    assert str(miss) == "one: expected_seconds should be 7201, is 7200.0"


def test_ratings_of_which_nobody_knows_who_was_asked_run_too(tmp_path: Path) -> None:
    unasked = {
        "input": {"sent": None, "answered": 40, "satisfied": 30},
        "expected": {"state": "rate_unknown"},
    }
    assert run_file(write(tmp_path, "06", unasked)).misses == []


def test_an_expectation_that_nobody_computes_is_missed(tmp_path: Path) -> None:
    case = BY_HAND["14"] | {"expected": {"value": 2.5, "mode": 1}}
    [miss] = run_file(write(tmp_path, "14", case)).misses
    assert (miss.name, miss.got) == ("mode", "not computed")


def test_a_case_that_cannot_be_computed_is_missed_and_the_others_still_run(tmp_path: Path) -> None:
    path = tmp_path / "01_by_hand.json"
    nothing = {"id": "none", "input": {"successes": 0, "n": 0}, "expected": {"lower": 0}}
    path.write_text(json.dumps({"cases": [nothing, {"id": "ten", **BY_HAND["01"]}]}))
    result = run_file(path)
    assert result.cases == 2
    assert [str(miss) for miss in result.misses] == [
        "none: the case should be 'computed', is ZeroDivisionError('division by zero')"
    ]


def test_a_case_that_expects_nothing_is_missed(tmp_path: Path) -> None:
    [miss] = run_file(write(tmp_path, "14", BY_HAND["14"] | {"expected": {}})).misses
    assert "something to compare" in str(miss)


@pytest.mark.parametrize("other", [None, True, "2.5", [2.5]])
def test_a_value_of_another_kind_is_not_the_same(other: Any, tmp_path: Path) -> None:
    case = BY_HAND["14"] | {"expected": {"value": other}}
    assert len(run_file(write(tmp_path, "14", case)).misses) == 1


def test_a_file_nobody_knows_is_named_and_not_passed(tmp_path: Path) -> None:
    path = write(tmp_path, "99", BY_HAND["14"])
    assert run_file(path).cases is None
    with pytest.raises(CommandError, match="Not known: 99_by_hand"):
        call_command("conform", str(tmp_path), only="99")


def test_a_file_nobody_knows_fails_a_run_of_everything_too(tmp_path: Path) -> None:
    write(tmp_path, "14", BY_HAND["14"])
    call_command("conform", str(tmp_path))
    write(tmp_path, "99", BY_HAND["14"])
    with pytest.raises(CommandError, match="Not known: 99_by_hand"):
        call_command("conform", str(tmp_path))


def test_a_file_that_is_read_and_not_run_is_named_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "14", BY_HAND["14"])
    (tmp_path / "11_rejected.json").write_text('{"cases": [{"id": "one", "why": "as said"}]}')
    call_command("conform", str(tmp_path))
    told = capsys.readouterr().out
    assert "11_rejected: read, not run: published expectations the product" in told
    assert not NOT_RUN.keys() & RUNNERS.keys()


OTHER_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "self-service": (
        "21",
        {
            "input": {"self_service_incidents": 1, "assisted_incidents": 3},
            "expected": {"self_service_share": 0.25},
        },
    ),
    "apdex": (
        "21",
        {
            "input": {"satisfied": 1, "tolerating": 2, "frustrated": 1},
            "expected": {"apdex": 0.5},
        },
    ),
    "flagged of classified": (
        "21",
        {
            "input": {"flagged": 90, "classified": 100, "tickets": 125},
            "expected": {
                "share": 0.9,
                "classification_coverage": 0.8,
                "status": "above_threshold",
            },
        },
    ),
    "flagged of too few classified": (
        "21",
        {
            "input": {"flagged": 90, "classified": 100, "tickets": 1000},
            "expected": {"status": "cannot_tell_yet"},
        },
    ),
    "two shares": (
        "27",
        {
            "input": {"downgraded_late": [0, 30], "downgraded_early": [30, 30]},
            "expected": {"difference": -1, "flag": False},
        },
    ),
}


@pytest.mark.parametrize("name", sorted(OTHER_CASES))
def test_the_other_kinds_of_case_in_a_file_run_too(name: str, tmp_path: Path) -> None:
    number, case = OTHER_CASES[name]
    result = run_file(write(tmp_path, number, case))
    assert (result.cases, result.misses) == (1, [])


def test_a_tolerance_may_be_a_groups(tmp_path: Path) -> None:
    case = BY_HAND["15"] | {"tolerance": {"published": 0.0001, "own": 1e-12}}
    [miss] = run_file(write(tmp_path, "15", case)).misses
    assert miss.name == "published_upper"


def test_the_command_fails_on_a_miss_and_passes_without(tmp_path: Path) -> None:
    write(tmp_path, "14", BY_HAND["14"])
    call_command("conform", str(tmp_path))
    write(tmp_path, "07", BY_HAND["07"] | {"expected_seconds": 1})
    with pytest.raises(CommandError, match="Not everything passed"):
        call_command("conform", str(tmp_path))
    with pytest.raises(CommandError, match="No such file: 50"):
        call_command("conform", str(tmp_path), only="14,50")


def test_a_run_that_compares_nothing_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no vector file"):
        call_command("conform", str(tmp_path))
    (tmp_path / "14_empty.json").write_text('{"cases": []}')
    with pytest.raises(CommandError, match="Not everything passed"):
        call_command("conform", str(tmp_path))


def test_numbers_of_files_are_read_as_they_are_written() -> None:
    assert numbers("1, 05-07,golden_month_A") == {"01", "05", "06", "07", "golden_month_A"}


def test_the_handbooks_vectors_pass() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"the handbook's vectors are not there ({SHARED.name} beside the checkout)")
    results = {result.name: result for result in run_folder(SHARED)}
    assert [miss for result in results.values() for miss in result.misses] == []
    assert results["golden_month_A"].cases
    assert [name for name, result in results.items() if result.is_unknown] == []
    not_run = [name for name, result in results.items() if result.cases is None]
    assert not_run == ["11_business_time_rejected"]
