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
    for name in names:
        _send_away(name)
        _tell("DROP DATABASE IF EXISTS {}", name)


def _send_away(name: str) -> None:
    """End every session on a database: each by its own role, since no role may end another's."""
    with psycopg.connect(url("test", "postgres"), autocommit=True) as server:
        connected = server.execute(
            "SELECT pid, usename FROM pg_stat_activity WHERE datname = %s AND usename IS NOT NULL",
            (name,),
        ).fetchall()
        for pid, role in connected:
            server.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            server.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def _tell(statement: str, *names: str) -> None:
    with psycopg.connect(url("owner", "postgres"), autocommit=True) as server:
        server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]
