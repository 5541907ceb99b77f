"""Rules of the house that no linter knows: names of modules, foreign keys, lines of migrations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
ROOMS = ("portal", "tickets", "surveys", "metrics", "governance")
VAGUE = {"services", "utils", "helpers", "common", "core", "managers"}
RELATIONS = {"ForeignKey", "OneToOneField", "ManyToManyField"}


def sources() -> list[Path]:
    return [path for room in ROOMS for path in sorted((CHECKOUT / room).rglob("*.py"))]


def vague(paths: list[Path]) -> list[Path]:
    return [path for path in paths if VAGUE & {path.stem, *path.parent.parts}]


def relations_by_string(text: str) -> Iterator[int]:
    """Yield the line of each relation to a model whose class is named by a string."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        targets = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "to")]
        if name in RELATIONS and any(
            isinstance(target, ast.Constant) and target.value != "self" for target in targets
        ):
            yield node.lineno


def out_of_line(names: list[str]) -> list[str]:
    """Return the migrations whose number is taken or skips one, or that have no name."""
    numbered = sorted(name for name in names if name != "__init__")
    return [
        name
        for place, name in enumerate(numbered, start=1)
        if not re.fullmatch(rf"{place:04}_[a-z][a-z0-9_]*", name) or "_auto_" in name
    ]


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert vague([path.relative_to(CHECKOUT) for path in sources()]) == []


def test_foreign_keys_name_the_class() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{line}"
        for path in sources()
        if "migrations" not in path.parts
        for line in relations_by_string(path.read_text())
    ]
    assert found == []


def test_migrations_stand_in_one_line_and_have_names() -> None:
    folders = {path.parent for path in sources() if path.parent.name == "migrations"}
    assert len(folders) >= len(ROOMS)
    found = {
        str(folder.relative_to(CHECKOUT)): wrong
        for folder in folders
        if (wrong := out_of_line([path.stem for path in folder.glob("*.py")]))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    ['models.ForeignKey("people.Person", on_delete=1)', 'OneToOneField(to="Person", on_delete=1)'],
)
def test_the_search_finds_a_foreign_key_by_string(text: str) -> None:
    assert list(relations_by_string(text)) == [1]
    assert (
        list(relations_by_string(text.replace('"people.Person"', "P").replace('"Person"', "P")))
        == []
    )


def test_the_search_finds_vague_names_and_crooked_migrations() -> None:
    assert vague(
        [Path("tickets/utils.py"), Path("portal/core/models.py"), Path("tickets/api.py")]
    ) == [
        Path("tickets/utils.py"),
        Path("portal/core/models.py"),
    ]
    assert out_of_line(["0001_initial", "0002_protect", "__init__"]) == []
    assert out_of_line(["0001_initial", "0001_other"]) == ["0001_other"]
    assert out_of_line(["0001_initial", "0003_gap"]) == ["0003_gap"]
    assert out_of_line(["0001_initial", "0002_auto_20260101_1200"]) == ["0002_auto_20260101_1200"]
