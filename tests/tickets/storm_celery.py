"""The product's Celery app with the hostile help desk among its connectors, for the storm."""

from __future__ import annotations

from portal.celery import app
from tests.tickets import hostile
from tickets import apart

hostile.register()
_started = apart.Apart.__init__


def _with_hostile(self: apart.Apart, module: str = "tests.tickets.hostile") -> None:
    _started(self, module)


apart.Apart.__init__ = _with_hostile  # type: ignore[method-assign]

__all__ = ["app"]
