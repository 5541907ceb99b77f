"""A new lock that takes a package backwards is noticed; one that takes it forwards is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.lock_forward import main, pins

BEFORE = """\
django==6.1.3 \\
    --hash=sha256:00
numpy==2.3.0 ; python_version < '3.13'
numpy==2.10.0
"""


def run(tmp_path: Path, after: str) -> int:
    (tmp_path / "before").write_text(BEFORE)
    (tmp_path / "after").write_text(after)
    return main(str(tmp_path / "before"), str(tmp_path / "after"))


def test_versions_are_compared_as_numbers_and_the_highest_of_several_counts() -> None:
    assert str(pins(BEFORE)["numpy"]) == "2.10.0"


def test_a_package_taken_backwards_fails_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, BEFORE) == 0
    assert run(tmp_path, BEFORE.replace("6.1.3", "6.1.10")) == 0
    assert run(tmp_path, BEFORE.replace("6.1.3", "4.2.1")) == 1
    assert "django: 6.1.3 -> 4.2.1" in capsys.readouterr().out
