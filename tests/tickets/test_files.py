"""Reading export files: what is a row, what is none, and where reading stops."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from tickets.files import Damaged, ExportFile, Layout, UnreadableFile


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


def test_an_overlong_cell_is_named_and_the_next_row_is_read(tmp_path: Path) -> None:
    content = b"id,text\n1," + b"x" * 70_000 + b"\n2,b\n"
    rows = dict(file(tmp_path / "a.csv", content).rows())
    assert isinstance(rows[1], Damaged)
    assert "'text' is longer than 65,536" in rows[1].reason
    assert rows[2] == {"id": "2", "text": "b"}


def test_rows_inside_an_overlong_cell_are_not_taken_for_rows(tmp_path: Path) -> None:
    inside = b"9,stolen\n" * 200_000
    content = b'id,text\n1,"' + inside + b'"\n2,b\n'
    rows = dict(file(tmp_path / "a.csv", content).rows())
    assert list(rows) == [1, 2]
    assert isinstance(rows[1], Damaged)
    assert "1,048,576 characters" in rows[1].reason
    assert rows[2] == {"id": "2", "text": "b"}


def test_a_line_that_never_ends_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as raw:
        raw.write(b"id,text\n1,")
        for _ in range(64):
            raw.write(b"x" * 1_048_576)
        raw.write(b"\n2,b\n")
    tracemalloc.start()
    try:
        rows = dict(ExportFile(path).rows())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(rows[1], Damaged)
    assert rows[2] == {"id": "2", "text": "b"}
    assert peak < 16 * 1_048_576


def test_a_quote_that_is_never_closed_names_its_row(tmp_path: Path) -> None:
    rows = dict(file(tmp_path / "a.csv", b'id,text\n1,a\n2,"b\n3,c\n').rows())
    assert rows[1] == {"id": "1", "text": "a"}
    assert isinstance(rows[2], Damaged)
    assert "not closed" in rows[2].reason


def test_a_quote_where_none_may_be_loses_its_row_only(tmp_path: Path) -> None:
    rows = dict(file(tmp_path / "a.csv", b'id,text\n1,"a"b\n2,b\n').rows())
    assert isinstance(rows[1], Damaged)
    assert rows[2] == {"id": "2", "text": "b"}


def test_bytes_that_are_no_text_are_named_where_the_encoding_was_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n1,a\xff\n2,b\n")
    with pytest.raises(UnreadableFile, match="Say how it is written"):
        list(ExportFile(path).rows())
    rows = dict(ExportFile(path, Layout(encoding="utf-8")).rows())
    assert rows == {1: Damaged(1, "holds bytes that are not utf-8"), 2: {"id": "2", "text": "b"}}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_mark_says_the_encoding_by_itself(tmp_path: Path, encoding: str) -> None:
    export = file(tmp_path / "a.csv", "id,text\n1,Müller\n".encode(encoding))
    assert list(export.rows()) == [(1, {"id": "1", "text": "Müller"})]


@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_mark_is_no_letter_of_the_first_name_where_the_encoding_is_stated_as_well(
    tmp_path: Path, encoding: str, mark: bool
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" * mark + "id,text\n1,Müller\n").encode(encoding))
    rows = list(ExportFile(path, Layout(encoding=encoding)).rows())
    assert rows == [(1, {"id": "1", "text": "Müller"})]


def test_a_stated_layout_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Report of March\nid;text\n1;Müller, Jörg\n".encode("cp1252"))
    layout = Layout(encoding="cp1252", delimiter=";", header_row=2)
    assert list(ExportFile(path, layout).rows()) == [(1, {"id": "1", "text": "Müller, Jörg"})]


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb", compresslevel=9) as packed:
        packed.write(b"id,text\n")
        for _ in range(200):
            packed.write(b"1,b\n" * 262_144)
    with pytest.raises(UnreadableFile, match="more than 100 times"):
        sum(1 for _ in ExportFile(path).rows())


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PK\x03\x04rest", "zip archive"), (b"\xd0\xcf\x11\xe0rest", "old kind")],
)
def test_other_kinds_of_files_say_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UnreadableFile, match=said):
        list(file(tmp_path / "a.csv", content).rows())


@pytest.mark.parametrize("line", ["{no json", "[1]", "1" * 5_000, "[" * 100_000, '{"a": ' * 9_999])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    rows = dict(file(tmp_path / "a.jsonl", f'{line}\n{{"id": 2}}\n'.encode()).rows())
    assert isinstance(rows[1], Damaged)
    assert rows[2] == {"id": 2}


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
        ("a.csv.gz", gzip.compress(b"id\n1\n" * 1_000, mtime=0)[:-12], "cannot be read behind"),
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
