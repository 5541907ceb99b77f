"""Says which packages a new lock takes backwards: an upper bound somewhere may pull years away.

    python scripts/lock_forward.py BEFORE.lock AFTER.lock

Prints every package whose version fell, or that is gone, and exits with 1 when one fell.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.version import Version

PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def pins(text: str) -> dict[str, Version]:
    """Return package → version; of several (by platform) the highest."""
    found: dict[str, Version] = {}
    for name, version in PINNED.findall(text):
        found[name] = max(Version(version), found.get(name, Version("0")))
    return found


def fallen(before: dict[str, Version], after: dict[str, Version]) -> list[str]:
    """Return a line for each package whose version is lower afterwards."""
    return [
        f"{name}: {before[name]} -> {version}"
        for name, version in sorted(after.items())
        if name in before and version < before[name]
    ]


def main(before_file: str, after_file: str) -> int:
    """Compare two locks and return the exit code."""
    before, after = (pins(Path(name).read_text()) for name in (before_file, after_file))
    backwards = fallen(before, after)
    for line in backwards:
        print(f"taken backwards  {line}")
    for name in sorted(before.keys() - after.keys()):
        print(f"no longer needed {name}")
    return 1 if backwards else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
