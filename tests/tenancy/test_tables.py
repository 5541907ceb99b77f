"""Every table keeps organisations apart, or stands on a short list that says why."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from portal.tenancy.context import acting, tenant_tables
from tests.factories import Cast
from tests.roles import OWNER, WEB, WORKER, as_role

#: Tables outside row security. Ours are read before anyone knows which organisation is meant; the
#: libraries' hold sign-in and bookkeeping.
GLOBAL = frozenset(
    {
        "tenancy_organisation",
        "tenancy_door",
        "tenancy_due",
        "people_person",
        "people_membership",
        "account_emailaddress",
        "account_emailconfirmation",
        "mfa_authenticator",
        "django_session",
        "django_migrations",
        "django_content_type",
        "django_admin_log",
        "auth_permission",
        "auth_group",
        "auth_group_permissions",
    }
)
#: Roles that processes run as.
RUNNING = ("wellserved_web", "wellserved_worker", "wellserved_public")


def rows(sql: str, *values: object) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values) or None)
        return list(cursor.fetchall())


def names(sql: str, *values: object) -> set[str]:
    return {str(row[0]) for row in rows(sql, *values)}


TABLES = """
SELECT c.relname FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
"""
UNSAFE = {
    "no tenant_id NOT NULL": f"""
        {TABLES} AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid
            AND a.attname = 'tenant_id' AND a.attnotnull)""",
    "row security is off": f"{TABLES} AND NOT c.relrowsecurity",
    "the owner is not held to row security": f"{TABLES} AND NOT c.relforcerowsecurity",
    "no policy by tenant with USING and WITH CHECK": f"""
        {TABLES} AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid
            AND p.polcmd = '*' AND p.polpermissive
            AND pg_get_expr(p.polqual, p.polrelid) LIKE '%%tenant_id%%app.tenant%%'
            AND pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%%tenant_id%%app.tenant%%')""",
    "a policy that forgets the tenant": f"""
        {TABLES} AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid
            AND (pg_get_expr(p.polqual, p.polrelid) NOT LIKE '%%app.tenant%%'
                 OR pg_get_expr(p.polwithcheck, p.polrelid) NOT LIKE '%%app.tenant%%'))""",
    "no key that begins with the tenant": f"""
        {TABLES} AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND (
            (k.contype = 'p' AND (SELECT attnum FROM pg_attribute a WHERE a.attrelid = c.oid
                AND a.attname = 'tenant_id') = ANY (k.conkey))
            OR (k.contype = 'u' AND ARRAY(SELECT a.attname::text FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey) ORDER BY 1)
                = ARRAY['id', 'tenant_id'])))""",
}


def unsafe() -> dict[str, set[str]]:
    """What is wrong with which tables that are not on the list; empty when all is well."""
    found = {fault: names(sql) - GLOBAL for fault, sql in UNSAFE.items()}
    # A one-to-one key may: what it points at belongs to one organisation, by its composite key.
    found["a UNIQUE that leaves the tenant out"] = names(
        """
        SELECT c.relname || ': ' || k.conname FROM pg_constraint k
          JOIN pg_class c ON c.oid = k.conrelid
          JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant_id'
         WHERE k.contype = 'u' AND c.relforcerowsecurity AND NOT t.attnum = ANY (k.conkey)
           AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.contype = 'f'
                AND f.conrelid = k.conrelid AND f.conkey @> k.conkey AND t.attnum = ANY (f.conkey))
        """
    )
    # A foreign key check ignores row security: without the tenant in it a row could cross over.
    found["a reference that can cross to another organisation"] = names(
        """
        SELECT c.relname || ': ' || k.conname FROM pg_constraint k
          JOIN pg_class c ON c.oid = k.conrelid AND c.relforcerowsecurity
          JOIN pg_class r ON r.oid = k.confrelid AND r.relforcerowsecurity
          JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant_id'
         WHERE k.contype = 'f' AND NOT t.attnum = ANY (k.conkey)
           AND NOT EXISTS (SELECT 1 FROM pg_constraint o
                WHERE o.contype = 'f' AND o.conrelid = k.conrelid AND o.confrelid = k.confrelid
                  AND t.attnum = ANY (o.conkey) AND o.conkey @> k.conkey)
        """
    )
    return {fault: tables for fault, tables in found.items() if tables}


@pytest.fixture
def careless_table(db: None) -> None:
    """Two tables as somebody in a hurry makes them; gone with the test's transaction."""
    with as_role(OWNER), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE careless (id bigint PRIMARY KEY, tenant_id bigint NOT NULL)")
        cursor.execute(
            "CREATE TABLE half_done (id bigint PRIMARY KEY, tenant_id bigint NOT NULL,"
            " name text UNIQUE, other bigint REFERENCES catalogue_domain (id))"
        )
        cursor.execute("ALTER TABLE half_done ENABLE ROW LEVEL SECURITY")
        cursor.execute("ALTER TABLE half_done FORCE ROW LEVEL SECURITY")
        cursor.execute("CREATE POLICY open ON half_done USING (true) WITH CHECK (true)")


def test_rls_catalog(db: None) -> None:
    assert unsafe() == {}


def test_a_table_somebody_forgot_to_protect_is_found(careless_table: None) -> None:
    found = unsafe()
    assert found["row security is off"] == {"careless"}
    assert found["the owner is not held to row security"] == {"careless"}
    both = {"careless", "half_done"}
    assert found["no policy by tenant with USING and WITH CHECK"] == both
    assert found["no key that begins with the tenant"] == both
    assert found["a policy that forgets the tenant"] == {"half_done"}
    assert found["a UNIQUE that leaves the tenant out"] == {"half_done: half_done_name_key"}
    assert found["a reference that can cross to another organisation"] == {
        "half_done: half_done_other_fkey"
    }


def test_the_list_of_tables_outside_row_security_names_only_tables_there_are(db: None) -> None:
    assert names(TABLES) >= GLOBAL
    assert not tenant_tables() & GLOBAL


def test_every_tenant_model_has_its_table_checked(db: None) -> None:
    assert tenant_tables() <= names(TABLES)


def test_nothing_sees_rows_past_row_security(db: None) -> None:
    in_schema = " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    ours = " AND n.nspname = current_schema()"
    assert names(f"SELECT c.relname{in_schema} WHERE c.relkind = 'm'{ours}") == set()
    assert (
        names(
            f"SELECT c.relname{in_schema} WHERE c.relkind = 'v'{ours}"
            " AND NOT coalesce(c.reloptions::text LIKE '%%security_invoker=%%', false)"
        )
        == set()
    )
    functions = " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
    assert names(f"SELECT p.proname{functions} WHERE p.prosecdef{ours}") == set()


@pytest.mark.parametrize("role", RUNNING)
def test_a_running_role_has_no_power_over_row_security(db: None, role: str) -> None:
    assert rows(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolreplication FROM pg_roles"
        " WHERE rolname = %s",
        role,
    ) == [(False, False, False, False)]
    assert (
        names(f"{TABLES} AND pg_get_userbyid(c.relowner) = %s".replace("%'", "%%'"), role) == set()
    )
    assert (
        names(
            f"{TABLES} AND (has_table_privilege(%s, c.oid, 'TRUNCATE')"
            " OR has_table_privilege(%s, c.oid, 'TRIGGER')"
            " OR has_table_privilege(%s, c.oid, 'REFERENCES'))".replace("%'", "%%'"),
            role,
            role,
            role,
        )
        == set()
    )
    member_of = rows(
        "SELECT r.rolname FROM pg_roles r WHERE pg_has_role(%s, r.oid, 'MEMBER')"
        " AND r.rolname <> %s AND r.rolname LIKE 'wellserved%%'",
        role,
        role,
    )
    assert member_of == []


@pytest.mark.parametrize("role", [WEB, WORKER, OWNER])
def test_no_context_sees_no_row_and_the_right_one_does(cast: Cast, role: str) -> None:
    """The query stands for every tenant table; the cast's rows show that there is something."""
    seen: dict[str, int] = {}
    with as_role(role):
        for table in sorted(tenant_tables()):
            if not rows("SELECT has_table_privilege(%s, 'SELECT')", table)[0][0]:
                continue
            # Unquoted, so that the product's own refusal lets it through to the database.
            seen[table] = int(str(rows(f"SELECT count(*) FROM {table}")[0][0]))
        assert {table: n for table, n in seen.items() if n} == {}
        assert len(seen) > 20
        with acting(cast.globex.pk):
            assert rows("SELECT count(*) FROM catalogue_capability") == [(0,)]
        with acting(cast.acme.pk):
            assert rows("SELECT count(*) FROM catalogue_capability") == [(2,)]


def test_a_row_cannot_be_written_for_another_organisation(cast: Cast) -> None:
    insert = "INSERT INTO catalogue_businesscalendar (tenant_id, name) VALUES (%s, 'X') RETURNING 1"
    with acting(cast.acme.pk):
        assert rows(insert, cast.acme.pk) == [(1,)]
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            rows(insert, cast.globex.pk)
