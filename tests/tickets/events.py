"""Events as a tool would tell them, for tests of the door."""

from __future__ import annotations

from typing import Any


def event(type_: str, id_: str, *, time: str = "2026-03-02T09:00:00+01:00", **more: Any) -> Any:
    """A CloudEvent of the source `desk` about T1; `data` and other attributes by keyword."""
    about = {} if type_.startswith(("selfservice.", "telemetry.")) else {"subject": "T1"}
    return {
        "id": id_,
        "source": "desk",
        "type": f"com.wellserved.{type_}.v1",
        "time": time,
        "data": {},
        **about,
        **more,
    }
