"""Reading export files: what is a row, what is none, and where reading stops."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tickets.files import Damaged, ExportFile, UnreadableFile


def file(path: Path, content: bytes) -> ExportFile:
    path.write_bytes(content)
    return ExportFile(path)


def test_cells_may_hold_line_ends_and_a_byte_order_mark_is_no_name(tmp_path: Path) -> None:
    export = file(tmp_path / "a.csv", b'\xef\xbb\xbfid,text\n1,"two\nlines"\n2,one\n')
    assert list(export.rows()) == [
        (1, {"id": "1", "text": "two\nlines"}),
        (2, {"id": "2", "text": "one"}),
    ]
    assert export.share_read == 1.0


def test_a_row_with_missing_cells_is_damaged_and_the_next_is_read(tmp_path: Path) -> None:
    rows = dict(file(tmp_path / "a.csv", b"id,text\n1\n2,b\n").rows())
    assert rows == {
        1: Damaged(1, "1 cells where the header names 2"),
        2: {"id": "2", "text": "b"},
    }


def test_json_lines_may_leave_names_out(tmp_path: Path) -> None:
    export = file(tmp_path / "a.jsonl", b'{"id": 1}\n\n[]\n{"id": 2, "text": "b"}\n')
    assert export.header() == ["id", "text"]
    assert [row for _, row in export.rows()] == [
        {"id": 1},
        Damaged(2, "not a JSON object"),
        {"id": 2, "text": "b"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"id\n1\n2\xff\n", "behind row"),
        ("a.csv", b"id,id\n1,2\n", "names id twice"),
        ("a.csv.gz", gzip.compress(b"id\n1\n" * 1_000)[:-12], "cannot be read behind"),
        ("a.csv.gz", b"id\n1\n", "Not a gzipped file"),
    ],
)
def test_a_file_that_cannot_be_read_further_says_where(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(UnreadableFile, match=said):
        list(file(tmp_path / name, content).rows())


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no rows"):
        file(tmp_path / "a.csv", b"id,text\n").header()
