"""A client made from the OpenAPI document by a public generator tells and reads."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from portal.people.roles import Scope
from tests import roles
from tests.factories import Cast
from tests.governance import test_attacks as real
from tests.portal.test_permissions import key_of
from tickets.inbound import sweep

committed = real.committed


class Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[str]:
    """The product at an address of this machine, with connections of its own."""
    application = get_wsgi_application()

    def one_connection_a_call(environ: Any, start_response: Any) -> Any:
        try:
            return list(application(environ, start_response))
        finally:
            connection.close()

    with make_server("127.0.0.1", 0, one_connection_a_call, handler_class=Silent) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the package that the generator wrote; a warning of it is a failure."""
    document = tmp_path / "schema.json"
    schema = SchemaGenerator().get_schema(request=None, public=True)
    document.write_text(json.dumps(schema, default=str))
    written = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
            *("--path", str(document), "--output-path", str(tmp_path / "made_client")),
            "--fail-on-warning",
        ],
        env={"PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert written.returncode == 0, written.stdout + written.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return "made_client"


@pytest.mark.slow
def test_it_posts_a_batch_and_reads_a_capabilitys_figure(
    committed: Cast, server: str, generated: str
) -> None:
    secret = real.aside(lambda: key_of(committed, *Scope)[1])

    def module(path: str) -> Any:
        return importlib.import_module(f"{generated}.{path}")

    client = module("client").AuthenticatedClient(base_url=server, token=secret)
    models = module("models")
    now = datetime.now(UTC)

    def event(name: str, id_: str, at: datetime, **data: Any) -> Any:
        return models.CloudEvent.from_dict(
            {
                "id": id_,
                "source": "desk",
                "type": f"com.wellserved.{name}.v1",
                "subject": "T1",
                "time": at.isoformat(),
                "data": data,
            }
        )

    opened, resolved = now - timedelta(days=41), now - timedelta(days=40)
    batch = [
        event("ticket.created", "e1", opened, severity="low", capability="network"),
        event("ticket.status_changed", "e2", resolved, to="resolved"),
        event("ticket.status_changed", "e3", now, to="nonsense"),
    ]
    told = module("api.ingest.ingest_events").sync(client=client, body=batch, idempotency_key="b1")
    assert [one.status.value for one in told.results] == ["created", "created", "rejected"]
    assert told.results[2].errors[0].field == "data.to"

    def work() -> None:
        with roles.as_role(roles.WORKER):
            sweep(timezone.now())

    real.aside(work)
    later = module("api.ingest.ingest_message").sync(told.results[0].message, client=client)
    assert later.status == "folded"
    reading = module("api.readings.readings_retrieve").sync(
        client=client,
        metric="reopen_rate",
        capability="network",
        from_=date.today() - timedelta(days=60),
        until=date.today() - timedelta(days=20),
    )
    assert reading.key.startswith("reopen_rate")
    assert reading.slice_.capability == "network"
    assert reading.denominator == 1
    wrong = module("api.readings.readings_retrieve").sync(
        client=client, metric="nothing", from_=date(2026, 1, 1), until=date(2026, 2, 1)
    )
    assert wrong.status == 400
