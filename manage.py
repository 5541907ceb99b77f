#!/usr/bin/env python3
"""Run a command; each command connects with the database role it needs and no more."""

import os
import sys

OWNER_COMMANDS = {"migrate", "makemigrations", "sqlmigrate", "load_demo", "create_organisation"}
#: `db` works before any database exists; `demo` only starts processes, each with a role of its own.
WITHOUT_DATABASE = {"db", "demo"}
WEB_COMMANDS = {"runserver", "shell", "check", "spectacular", "collectstatic", "create_api_key"}


def role_of(command: str) -> str:
    """Name the database role a command runs as: none, owner, web or (every other) worker."""
    if command in WITHOUT_DATABASE:
        return "none"
    if command in OWNER_COMMANDS:
        return "owner"
    return "web" if command in WEB_COMMANDS else "worker"


def main() -> None:
    """Hand the command line to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    os.environ.setdefault("DATABASE_ROLE", role_of(sys.argv[1] if len(sys.argv) > 1 else ""))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
