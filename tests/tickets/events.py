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


def standing(id_: str, *, ticket: str, time: str, **data: Any) -> Any:
    """How a ticket stood."""
    return event("ticket.snapshot", id_, subject=ticket, time=time, data=data)


def replied(id_: str, *, ticket: str, time: str, reply: str, agent: str) -> list[Any]:
    """An agent replies and resolves, as one hook would tell it."""
    actor = {"id": agent, "kind": "agent"}
    said = {"public": True, "actor": actor, "text": reply}
    return [
        event("ticket.message", f"{id_} reply", subject=ticket, time=time, data=said),
        standing(id_, ticket=ticket, time=time, status="resolved", agent=agent),
    ]
