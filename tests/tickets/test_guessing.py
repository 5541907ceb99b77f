"""Proposing a mapping: what is certain is taken, what can be read in two ways is asked."""

from __future__ import annotations

import random
import re
import time
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.tickets.exports import LOG, LOG_HEADER, SURVEY_HEADER, survey_row, write_csv
from tickets import guessing
from tickets.files import UnreadableFile
from tickets.guessing import Guessed, guess, likeness
from tickets.mapping import Mapping, MappingError
from tickets.sampling import sample


def guessed(path: Path, content: bytes) -> Guessed:
    path.write_bytes(content)
    return guess(sample(path))


def asked(found: Guessed) -> set[str]:
    return {question.about for question in found.questions}


def test_an_audit_log_is_proposed_as_the_shipped_mapping_reads_it(tmp_path: Path) -> None:
    found = guess(sample(write_csv(tmp_path / "log.csv", LOG_HEADER, LOG)))
    shipped = Mapping.load("servicenow_incident_log").source
    assert found.rows == "versions"
    assert found.source()["columns"] == shipped["columns"]
    # Something was written on a 17th, nothing was opened behind the 12th.
    assert found.formats == {"at": ["%d/%m/%Y %H:%M"]}
    assert "opened_at" in asked(found)
    words = found.source()["values"]
    assert words["severity"]["3 - Moderate"] == "medium"
    assert {word: words["state"].get(word) for word in ("New", "Resolved", "-100")} == {
        "New": "new", "Resolved": "resolved", "-100": None,
    }  # fmt: skip
    assert {"zone", "values.state"} <= asked(found)


def test_a_survey_export_is_proposed_with_its_own_way_of_writing_days(tmp_path: Path) -> None:
    rows = [
        survey_row("S1", "5", responded="13/03/2026 09:30"),
        survey_row("S2", "4", responded="02/03/2026 09:30"),
    ]
    found = guess(sample(write_csv(tmp_path / "s.csv", SURVEY_HEADER, rows)))
    assert found.rows == "tickets"
    assert found.formats["rated_at"] == ["%d-%b-%y"]
    assert found.scale == "csat_1_5"
    # The answer came on a 13th; when it was reported stays open.
    assert found.formats["first_response_at"] == ["%d/%m/%Y %H:%M"]
    assert "opened_at" in asked(found)


@pytest.mark.parametrize(
    ("scores", "choices"),
    [
        (("1", "6"), ("csat_1_7", "nps_0_10")),
        (("0", "10"), ("nps_0_10",)),
        (("2", "3"), ("csat_1_5", "csat_1_7", "csat_1_3", "nps_0_10")),
    ],
)
def test_only_scales_that_figures_know_are_offered(
    tmp_path: Path, scores: tuple[str, str], choices: tuple[str, ...]
) -> None:
    rows = [survey_row(f"S{n}", score) for n, score in enumerate(scores)]
    found = guess(sample(write_csv(tmp_path / "s.csv", SURVEY_HEADER, rows)))
    [question] = [one for one in found.questions if one.about == "scale"]
    assert question.choices == choices


def test_a_score_of_no_scale_is_not_taken_for_a_rating(tmp_path: Path) -> None:
    rows = [survey_row("S1", "60"), survey_row("S2", "100")]
    found = guess(sample(write_csv(tmp_path / "s.csv", SURVEY_HEADER, rows)))
    assert "score" not in found.columns
    assert any("from 60 to 100" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("dates", "formats"),
    [
        (("02/03/2026 09:00", "13/03/2026 09:00"), ["%d/%m/%Y %H:%M"]),
        (("02/03/2026 09:00", "03/13/2026 09:00"), ["%m/%d/%Y %H:%M"]),
        (("2026-03-02T09:00:00Z", "2026-03-02 09:00"), ["iso"]),
        (("02.03.26", "31.03.26"), ["%d.%m.%y"]),
        (("3/13/2026 9:05 PM", "3/2/2026 9:05 AM"), ["%m/%d/%Y %I:%M %p"]),
        (("2 March 2026", "13 March 2026"), ["%d %B %Y"]),
    ],
)
def test_a_way_of_writing_dates_is_taken_where_every_row_fits_no_other(
    tmp_path: Path, dates: tuple[str, str], formats: list[str]
) -> None:
    rows = "".join(f"{n};{date}\n" for n, date in enumerate(dates))
    found = guessed(tmp_path / "a.csv", f"Ticket;Created\n{rows}".encode())
    assert found.formats == {"opened_at": formats}
    assert asked(found) == {"zone"}


@pytest.mark.parametrize(
    ("dates", "choices"),
    [
        (("02/03/2026", "12/11/2026"), {"%d/%m/%Y", "%m/%d/%Y"}),
        (("05.05.2026", "06.06.2026"), {"%d.%m.%Y", "%m.%d.%Y"}),
        (("13/03/2026", "2026-03-14"), {"%d/%m/%Y", "%Y-%m-%d"}),
        (("13/03/2026", "03/14/2026"), {"%d/%m/%Y", "%m/%d/%Y"}),
    ],
)
def test_dates_that_can_be_swapped_or_are_mixed_are_asked_and_never_guessed(
    tmp_path: Path, dates: tuple[str, str], choices: set[str]
) -> None:
    rows = "".join(f"{n},{date}\n" for n, date in enumerate(dates))
    found = guessed(tmp_path / "a.csv", f"Ticket,Created\n{rows}".encode())
    [question] = [one for one in found.questions if one.about == "opened_at"]
    assert choices <= set(question.choices)
    with pytest.raises(MappingError, match="formats"):
        Mapping.parse(tomllib.loads(found.toml()), name="proposed")


def test_dates_are_tried_by_their_shape_with_what_trying_every_format_gives() -> None:
    dice = random.Random(4)
    for _ in range(600):
        moments = [
            datetime(2026, dice.randint(1, 12), dice.randint(1, 28), dice.randint(0, 23), 5, 9)
            for _ in range(dice.randint(1, 3))
        ]
        form = dice.choice(guessing.FORMATS)
        other = dice.choice(guessing.FORMATS) if dice.random() < 0.2 else form
        values = [moments[0].strftime(other), *(at.strftime(form) for at in moments[1:])]
        if dice.random() < 0.5:
            values = [re.sub(r"\b0(\d)", r"\1", value) for value in values]
        if guessing.fitting(values) != ["iso"]:
            every = [one for one in guessing.FORMATS if guessing._reads(one, values)]
            assert guessing.fitting(values) == every


def test_a_file_of_very_many_columns_is_guessed_while_somebody_waits(tmp_path: Path) -> None:
    """Each name compared with each we know takes minutes, in a page's request."""
    dice = random.Random(5)
    names = ["".join(dice.choices("abcdefgh ", k=900)) + str(n) for n in range(1_000)]
    path = write_csv(tmp_path / "wide.csv", names, [["1"] * 1_000] * 3)
    began = time.process_time()
    guess(sample(path))
    dates = [f"date {n}" for n in range(200)]
    cells = [[f"{day % 28 + 1}/{day % 12 + 1}/2026 10:{day % 60:02}"] * 200 for day in range(1_000)]
    guess(sample(write_csv(tmp_path / "dates.csv", dates, cells)))
    assert time.process_time() - began < 30


def test_a_file_in_which_nothing_is_open_gives_a_mapping_at_once(tmp_path: Path) -> None:
    content = (
        "Ticketnummer\tErstellt am\tPriorität\tBetreff\tBewertung\n"
        '1\t2026-03-02T09:00:00+01:00\thoch\tDrucker "streikt"\t5\n'
        "2\t2026-03-03T09:00:00+01:00\tniedrig\tÄrger # mit [Netz]\t1\n"
    )
    found = guessed(tmp_path / "a.csv", content.encode())
    assert found.is_complete
    mapping = Mapping.parse(tomllib.loads(found.toml()), name="proposed")
    assert mapping.columns == {
        "ticket": "Ticketnummer", "opened_at": "Erstellt am", "severity": "Priorität",
        "subject": "Betreff", "score": "Bewertung",
    }  # fmt: skip
    assert mapping.file.delimiter == "\t"
    assert mapping.values["severity"] == {"hoch": "high", "niedrig": "low"}


def test_hostile_names_and_words_stay_inside_their_quotes(tmp_path: Path) -> None:
    name = 'Status"]\n[columns]\nticket = "x'.replace('"', '""')
    content = f'Ticket,Created,"{name}",Priority\n1,2026-03-02T09:00Z,a,"P1""\nrows = ""x"\n'
    found = guessed(tmp_path / "a.csv", content.encode())
    read = tomllib.loads(found.toml())
    assert read["rows"] == "tickets"
    assert read["columns"]["ticket"] == "Ticket"
    assert set(read) == {"title", "rows", "unknown", "time", "columns", "values", "defaults"}


def test_an_encoding_other_than_utf_8_is_asked_with_a_piece_of_the_file(tmp_path: Path) -> None:
    found = guessed(tmp_path / "a.csv", "Ticket,Created\nMüller,2026-03-02\n".encode("cp1252"))
    [question] = [one for one in found.questions if one.about == "encoding"]
    assert "cp1252: 'Ticket,Created" in question.text or "Müller" in question.text
    assert "encoding" not in found.source().get("file", {})


def test_letters_that_were_read_wrongly_before_are_pointed_out(tmp_path: Path) -> None:
    content = "Ticket,Created,Subject\n1,2026-03-02T09:00Z,MÃ¼ller\n"
    assert any(
        "wrong encoding" in remark for remark in guessed(tmp_path / "a", content.encode()).remarks
    )
    honest = "Ticket,Created,Subject\n1,2026-03-02T09:00Z,Müller à São Paulo\n"
    assert guessed(tmp_path / "a", honest.encode()).remarks == []


def test_json_lines_are_guessed_by_their_keys(tmp_path: Path) -> None:
    line = b'{"ticket_id": 7, "created_at": "2026-03-02T09:00:00Z", "assignee": "Kim"}\n'
    found = guessed(tmp_path / "a.jsonl", line)
    assert found.source()["columns"] == {
        "ticket": "ticket_id", "opened_at": "created_at", "agent": "assignee",
    }  # fmt: skip


def test_a_name_that_only_holds_a_usual_one_is_less_sure() -> None:
    assert likeness("Priorität", "severity")[0] > 0.9
    assert likeness("AssignedTo", "agent")[0] > 0.9
    assert likeness("Customer_City", "requester")[0] < 0.75
    assert likeness("Weather", "agent")[0] == 0


def test_a_file_without_rows_has_nothing_to_guess(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="nothing to guess"):
        guessed(tmp_path / "a.csv", b"Ticket,Created\n")


def test_the_command_prints_a_proposal_and_needs_no_organisation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(tmp_path / "log.csv", LOG_HEADER, LOG)
    call_command("import_tickets", "--guess", str(path))
    said = capsys.readouterr().out
    assert "# DECIDE: In which time zone" in said
    assert tomllib.loads(said)["rows"] == "versions"
