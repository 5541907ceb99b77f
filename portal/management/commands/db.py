"""`manage.py db start|stop|status|roles`: the embedded PostgreSQL, and the SQL of the roles."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.database_roles import script
from portal.embedded import EmbeddedPostgresUnavailable, Server, data_folder


class Command(BaseCommand):
    """Runs without a database connection, so also before any database exists."""

    help = "Start, stop or look at the embedded PostgreSQL; print the SQL of the database roles."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        acts.add_parser("start", help="start it unless it runs, and create the roles")
        acts.add_parser("stop", help="stop it; the data stays")
        acts.add_parser("status", help="say whether it runs; exits with 1 when it does not")
        roles = acts.add_parser("roles", help="print the SQL for a PostgreSQL of your own")
        roles.add_argument("--test", action="store_true", help="with the role that tests log in as")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        if act == "roles":
            self.stdout.write(script(with_test_role=options["test"]))
            return
        server = Server(data_folder())
        try:
            getattr(self, f"_{act}")(server)
        except EmbeddedPostgresUnavailable as refusal:
            raise CommandError(str(refusal)) from refusal

    def _start(self, server: Server) -> None:
        server.ensure()
        self._status(server)

    def _stop(self, server: Server) -> None:
        stopped = server.stop()
        said = "stopped; the data is kept" if stopped else "did not run"
        self.stdout.write(f"The embedded PostgreSQL {said} in {server.data_directory}.")

    def _status(self, server: Server) -> None:
        status = server.status()
        if not status.running:
            raise CommandError(
                f"The embedded PostgreSQL of {status.data_directory} does not run.", returncode=1
            )
        self.stdout.write(
            f"PostgreSQL {status.version} runs on 127.0.0.1:{status.port}"
            f" with the data of {status.data_directory}."
        )
