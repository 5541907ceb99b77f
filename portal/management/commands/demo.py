"""`manage.py demo`: migrate, load the demo's year once, run web and worker, say where to go."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.demo import world
from portal.embedded import EmbeddedPostgresUnavailable, data_folder
from portal.people.roles import Role
from portal.processes import environment, procfile, run_together


class Command(BaseCommand):
    """Touches no database itself: each step is a process with the role it needs."""

    help = "Run the product with a year of one made-up organisation. Ctrl-C stops it."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="where the pages are served")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        address = f"http://127.0.0.1:{port}"
        mailbox = data_folder() / "mailbox"
        extra = {
            "DEMO": "1",
            "PUBLIC_URL": address,
            "MAILBOX_FOLDER": str(mailbox),
            "SECRET_KEY": settings.SECRET_KEY,
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
            # A tick every five seconds would scroll the address away.
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        }
        # Files are served from where they are written; WhiteNoise warns when the folder is missing.
        settings.STATIC_ROOT.mkdir(exist_ok=True)
        mailbox.mkdir(parents=True, exist_ok=True)
        try:
            owner = environment("owner", extra)
            for step in (["migrate", "--verbosity", "0"], ["load_demo"]):
                self._run(step, owner)
            code = run_together(
                procfile(), say=self._say, extra=extra, port=port, welcome=welcome(address)
            )
        except EmbeddedPostgresUnavailable as refusal:
            raise CommandError(str(refusal)) from refusal
        if code:
            sys.exit(code)
        self._say("Stopped. The database stays for the next start (manage.py db stop ends it).")

    def _run(self, step: list[str], given: dict[str, str]) -> None:
        manage = settings.BASE_DIR / "manage.py"
        done = subprocess.run([sys.executable, manage, *step], env=given, check=False)
        if done.returncode:
            raise CommandError(
                f"`manage.py {' '.join(step)}` failed as told above. Nothing was started; what was"
                " loaded before is kept."
            )

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def welcome(address: str) -> str:
    """Return where to sign in, and one person for each role."""
    agent = world.agents()[0]
    first: dict[Role, tuple[str, str]] = {}
    for email, name, role in [*world.PEOPLE, (agent.email, agent.name, Role.AGENT)]:
        first.setdefault(role, (email, name))
    width = max(len(email) for email, _ in first.values())
    people = "\n".join(
        f"    {email:<{width}}  {name}, {role.value.replace('_', ' ')}"
        for role, (email, name) in first.items()
    )
    return (
        f"\nThe portal answers at {address}/ - sign in as one of\n\n{people}\n\n"
        f"with the pass phrase: {world.PASSWORD}\n\nCtrl-C stops it.\n"
    )
