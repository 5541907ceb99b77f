"""How many attacks and faults a run tries: all of them under `make faults`, a seeded tenth else."""

from __future__ import annotations

import os


def tries(full: int) -> int:
    """Return `full` when FAULTS=full, else a tenth of it and at least one."""
    return full if os.environ.get("FAULTS") == "full" else max(1, full // 10)
