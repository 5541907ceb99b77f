"""Where each database role connects: named by the environment, else the embedded PostgreSQL."""

from __future__ import annotations

import os

#: The variable that holds the URL of each role; the table stands in docs/operations.md.
URL_VARIABLES = {
    "web": "DATABASE_URL",
    "worker": "DATABASE_WORKER_URL",
    "owner": "DATABASE_OWNER_URL",
    "public": "DATABASE_PUBLIC_URL",
    "test": "DATABASE_TEST_URL",
}


class DatabaseNotNamed(Exception):
    """The environment names a database, but not for the role this process needs."""


def database_url(role: str) -> str:
    """Return the URL of a role (a key of URL_VARIABLES); may start the embedded PostgreSQL.

    An environment that names any role's database is never mixed with the embedded one.
    """
    if not any(os.environ.get(variable) for variable in URL_VARIABLES.values()):
        from portal import embedded  # not installed in production

        return embedded.database_url(role)
    url = os.environ.get(URL_VARIABLES[role])
    if not url:
        raise DatabaseNotNamed(
            f"This process connects as {role}, but {URL_VARIABLES[role]} is not set while another"
            " role's database is. Nothing was started. Set it (docs/operations.md, Settings)."
        )
    return url
