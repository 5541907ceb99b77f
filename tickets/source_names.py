"""What a source may be called: its name stands in addresses, whoever creates it."""

from __future__ import annotations

import re

#: Names of pages that stand where a source's page would.
RESERVED = frozenset({"connect", "quality", "upload"})

_NAME = re.compile(r"[a-z0-9][-a-z0-9]{0,59}")


def mistake_in(name: str) -> str:
    """Why a source cannot be called so; empty where it can."""
    if _NAME.fullmatch(name) and name not in RESERVED:
        return ""
    return (
        "Small letters, digits and hyphens, at most 60, and not one of"
        f" {', '.join(sorted(RESERVED))}: it stands in addresses."
    )
