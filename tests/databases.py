"""Databases of a test's own, for tests whose processes come and go."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from portal.database_urls import database_url


def url(role: str, name: str) -> str:
    """The URL of a role on a database."""
    return urlunsplit(urlsplit(database_url(role))._replace(path=f"/{name}"))


def create(name: str, template: str = "template1") -> None:
    """Create a database, as a copy of another."""
    _tell("CREATE DATABASE {} TEMPLATE {}", name, template)


def rename(name: str, to: str) -> None:
    """Give a database another name."""
    _tell("ALTER DATABASE {} RENAME TO {}", name, to)


def drop(*names: str) -> None:
    """Drop databases, if they are there, whoever is still connected.

    Not by `WITH (FORCE)`: it fails for anyone but a superuser while autovacuum is at work. Without,
    PostgreSQL sends autovacuum away itself.
    """
    with psycopg.connect(url("owner", "postgres"), autocommit=True) as server:
        for name in names:
            server.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = %s AND usename IS NOT NULL",
                (name,),
            )
    for name in names:
        _tell("DROP DATABASE IF EXISTS {}", name)


def _tell(statement: str, *names: str) -> None:
    with psycopg.connect(url("owner", "postgres"), autocommit=True) as server:
        server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]
