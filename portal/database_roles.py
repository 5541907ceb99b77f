"""The database roles, as the SQL an administrator runs once: who logs in, and what nobody may.

`manage.py db roles` prints it for a PostgreSQL of your own (15 or later); the embedded PostgreSQL
runs the same statements. Running it again changes nothing. It sets no passwords.
"""

from __future__ import annotations

DATABASE = "wellserved"

#: What a setting's short name means in the database.
LOGIN_ROLES = {
    "owner": "wellserved_owner",
    "web": "wellserved_web",
    "worker": "wellserved_worker",
    "public": "wellserved_public",
    "backup": "wellserved_backup",
}
#: Exists where tests run and nowhere else: it may become any of the roles a test acts as.
TEST_ROLES = {"test": "wellserved_test"}

#: Attributes of each role; ALTER ROLE states them again, so that a drifted role is put right.
_ATTRIBUTES = {
    "wellserved_owner": "LOGIN CREATEDB NOCREATEROLE NOSUPERUSER NOBYPASSRLS",
    "wellserved_web": "LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER NOBYPASSRLS",
    "wellserved_worker": "LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER NOBYPASSRLS",
    "wellserved_public": "LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER NOBYPASSRLS",
    "wellserved_backup": "LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER BYPASSRLS",
    "wellserved_test": "LOGIN NOINHERIT CREATEDB NOCREATEROLE NOSUPERUSER NOBYPASSRLS",
}

_BACKUP = """\
-- A backup reads every row of every organisation, and writes none.
GRANT pg_read_all_data TO wellserved_backup;
ALTER ROLE wellserved_backup SET default_transaction_read_only = on;
"""

# NOINHERIT stands on the role, before the grants: PostgreSQL 15 reads it when privileges are used,
# 16 and later when membership is granted. Either way the test role can SET ROLE and no more.
_TEST = """\
-- Tests log in once and SET ROLE to the role they act as.
GRANT wellserved_owner, wellserved_web, wellserved_worker, wellserved_public TO wellserved_test;
"""

#: Apart from the roles because CREATE DATABASE stands alone: not in a transaction, not repeatable.
CREATE_DATABASE = (
    f"CREATE DATABASE {DATABASE} OWNER wellserved_owner ENCODING 'UTF8' TEMPLATE template0"
)


def roles_sql(*, with_test_role: bool) -> str:
    """Return the statements that create the roles and state their attributes, repeatably."""
    names = [*LOGIN_ROLES.values(), *(TEST_ROLES.values() if with_test_role else ())]
    parts = [_role(name) for name in names] + [_BACKUP]
    return "\n".join([*parts, _TEST] if with_test_role else parts)


def _role(name: str) -> str:
    return (
        f"DO $$ BEGIN\n"
        f"  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN\n"
        f"    CREATE ROLE {name};\n"
        f"  END IF;\n"
        f"END $$;\n"
        f"ALTER ROLE {name} WITH {_ATTRIBUTES[name]};\n"
    )


def script(*, with_test_role: bool) -> str:
    """Return the whole script for an administrator's `psql`, on a server without the database."""
    return (
        "-- Run once as an administrator of the server: psql -v ON_ERROR_STOP=1 -f roles.sql\n"
        "-- Then give each role a password of its own: \\password wellserved_web\n\n"
        f"{roles_sql(with_test_role=with_test_role)}\n"
        "-- C.UTF-8 sorts by code point, the same on every machine and in every version.\n"
        f"{CREATE_DATABASE} LOCALE 'C.UTF-8';\n"
    )
