"""The product's web process with the hostile help desk among its connectors, for the storm.

With STORM=careless it acknowledges a webhook before it is stored: the receiver that must fail.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from portal.wsgi import application
from tests.tickets import hostile

hostile.register()

if os.environ.get("STORM") == "careless":
    from django.db import connection

    from portal.tenancy.context import acting
    from tickets import hooks, inbound

    def store(given: dict[str, Any]) -> None:
        time.sleep(0.1)
        with acting(given["tenant_id"]):
            inbound.receive(**given)
        connection.close()

    def acknowledge(**given: Any) -> inbound.Receipt:
        threading.Thread(target=store, args=(given,)).start()
        return inbound.Receipt(0, inbound.CREATED)

    hooks.receive = acknowledge  # type: ignore[assignment]

__all__ = ["application"]
