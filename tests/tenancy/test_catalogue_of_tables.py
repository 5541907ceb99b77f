"""Every table of the database says whose rows it holds, and no runtime role can go around it.

The rules are asked of pg_catalog, not of the models: a table made by hand is found as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from django.db.backends.utils import CursorWrapper

from portal.catalogue.models import Domain
from portal.tenancy.context import acting, tenant_tables
from tests.factories import Cast
from tests.roles import OWNER, WEB, WORKER, as_role

PUBLIC = "wellserved_public"
RUNTIME = (WEB, WORKER, PUBLIC)

#: Tables outside row security, and why each has to be: read before anyone knows whose request it
#: is, or about no organisation at all.
GLOBAL = {
    "tenancy_organisation": "names and zones; found by the slug in the path",
    "tenancy_door": "which organisation the digest of a secret opens",
    "tenancy_due": "which organisations a worker has to enter",
    "people_person": "sign-in; a person may belong to several organisations",
    "people_membership": "read at sign-in to know which organisations are open to a person",
    "django_session": "sign-in",
    "account_emailaddress": "sign-in",
    "account_emailconfirmation": "sign-in",
    "mfa_authenticator": "sign-in",
    "auth_group": "Django's own; unused, nobody but the owner writes it",
    "auth_group_permissions": "Django's own; unused",
    "auth_permission": "Django's own list of its models",
    "django_admin_log": "Django's own; nobody writes it, the audit trail stands in its place",
    "django_content_type": "Django's own list of its models",
    "django_migrations": "Django's own",
}

#: What may stand in a policy besides the comparison with the acting organisation.
TENANT_RULE = "(tenant_id = (NULLIF(current_setting('app.tenant'::text, true), ''::text))::bigint)"

TABLES = """
SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity,
       EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                  AND a.attnotnull AND NOT a.attisdropped)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname NOT LIKE 'pg_temp%%' AND n.nspname NOT LIKE 'pg_toast%%'
"""
#: Columns of each constraint and unique index by name, in order.
KEYS = """
SELECT i.indexrelid::regclass::text, i.indisprimary, i.indisunique,
       array_agg(a.attname::text ORDER BY a.attname)
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
 WHERE i.indrelid = %s AND i.indisunique GROUP BY 1, 2, 3
"""
FOREIGN_KEYS = """
SELECT o.conname, o.confrelid::regclass::text,
       (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
         WHERE a.attrelid = o.conrelid AND a.attnum = ANY(o.conkey))
  FROM pg_constraint o WHERE o.contype = 'f' AND o.conrelid = %s
"""


def rows(cursor: CursorWrapper, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    cursor.execute(sql, values or None)
    return cursor.fetchall()


def faults_of_tables() -> Iterator[str]:
    """What is wrong with any table, view or function, one sentence each."""
    with connection.cursor() as cursor:
        for oid, name, secured, forced, owned in rows(cursor, TABLES):
            if name in GLOBAL:
                continue
            if not owned:
                yield f"{name}: no tenant_id that is never null"
            if not (secured and forced):
                yield f"{name}: row security is not enabled and forced"
            yield from (f"{name}: {fault}" for fault in _faults_of_policies(cursor, oid))
            yield from (f"{name}: {fault}" for fault in _faults_of_keys(cursor, oid))
        for kind, name in rows(
            cursor,
            "SELECT c.relkind, c.relname FROM pg_class c WHERE c.relkind IN ('m', 'v', 'f')"
            " AND c.relnamespace = 'public'::regnamespace"
            " AND NOT coalesce('security_invoker=true' = ANY(c.reloptions), false)",
        ):
            yield f"{name}: a view, kind {kind}, that does not ask as whoever reads it"
        for (name,) in rows(
            cursor,
            "SELECT proname FROM pg_proc WHERE prosecdef"
            " AND pronamespace NOT IN ('pg_catalog'::regnamespace,"
            " 'information_schema'::regnamespace)",
        ):
            yield f"{name}: a function that acts with the rights of its owner"


def _faults_of_policies(cursor: CursorWrapper, oid: int) -> Iterator[str]:
    policies = rows(
        cursor,
        "SELECT polname, polpermissive, polcmd, pg_get_expr(polqual, polrelid),"
        " pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = %s",
        oid,
    )
    if not policies:
        yield "no policy"
    for name, permissive, command, using, check in policies:
        if command != "*":
            yield f"policy {name} is for some statements only"
        for rule in (using, check):
            # Permissive policies add up, so each has to begin with the organisation, with nothing
            # that could open it again.
            if not permissive or rule is None:
                yield f"policy {name} does not say both what is seen and what is written"
            elif rule != TENANT_RULE and not rule.startswith(f"({TENANT_RULE} AND "):
                yield f"policy {name} is about something else: {rule}"


def _faults_of_keys(cursor: CursorWrapper, oid: int) -> Iterator[str]:
    keys = rows(cursor, KEYS, oid)
    foreign = rows(cursor, FOREIGN_KEYS, oid)
    composite = {
        (table, column)
        for _, table, columns in foreign
        if "tenant_id" in columns
        for column in columns
    }
    if not any(
        "tenant_id" in columns and (primary or set(columns) == {"tenant_id", "id"})
        for _, primary, _, columns in keys
    ):
        yield "the organisation is neither in the primary key nor in UNIQUE (tenant_id, id)"
    for name, table, columns in foreign:
        if table in GLOBAL or "tenant_id" in columns:
            continue
        if any((table, column) not in composite for column in columns):
            yield f"foreign key {name} can point into another organisation"
    pointing = {column for _, column in composite} - {"tenant_id"}
    for name, primary, _, columns in keys:
        # A lone column that points, together with the organisation, at a row of the organisation
        # names a row no other organisation has: being unique alone cannot collide across.
        if primary or "tenant_id" in columns or (len(columns) == 1 and columns[0] in pointing):
            continue
        yield f"{name} is unique across organisations"


def faults_of_roles() -> Iterator[str]:
    """What is wrong with the roles the processes run as."""
    with connection.cursor() as cursor:
        for name, unsafe in rows(
            cursor,
            "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR"
            " rolreplication FROM pg_roles WHERE rolname = ANY(%s)",
            list(RUNTIME),
        ):
            if unsafe:
                yield f"{name}: may go around row security or make roles"
        for role, group in rows(
            cursor,
            "SELECT m.rolname, g.rolname FROM pg_auth_members am"
            " JOIN pg_roles m ON m.oid = am.member JOIN pg_roles g ON g.oid = am.roleid"
            " WHERE m.rolname = ANY(%s)",
            list(RUNTIME),
        ):
            yield f"{role}: is a member of {group}"
        for role, table, privilege in rows(
            cursor,
            "SELECT r.rolname, c.relname, p.privilege FROM pg_class c, pg_roles r,"
            " unnest(ARRAY['TRUNCATE', 'TRIGGER', 'REFERENCES']) p(privilege)"
            " WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace = 'public'::regnamespace"
            " AND r.rolname = ANY(%s) AND has_table_privilege(r.oid, c.oid, p.privilege)",
            list(RUNTIME),
        ):
            yield f"{role}: holds {privilege} on {table}"
        for role, name in rows(
            cursor,
            "SELECT r.rolname, c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
            " WHERE r.rolname = ANY(%s)",
            list(RUNTIME),
        ):
            yield f"{role}: owns {name}"
        for (role,) in rows(
            cursor,
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
            " AND has_schema_privilege(oid, 'public', 'CREATE')",
            list(RUNTIME),
        ):
            yield f"{role}: may create tables"


def test_every_table_is_walled_off_or_named_as_global(db: None) -> None:
    assert list(faults_of_tables()) == []


def test_every_global_table_still_exists(db: None) -> None:
    with connection.cursor() as cursor:
        names = {row[1] for row in rows(cursor, TABLES)}
    assert set(GLOBAL) - names == set()


def test_the_models_and_the_database_agree_on_what_belongs_to_an_organisation(db: None) -> None:
    with connection.cursor() as cursor:
        names = {row[1] for row in rows(cursor, TABLES)}
    assert tenant_tables() == names - set(GLOBAL)


def test_no_runtime_role_can_go_around_row_security(db: None) -> None:
    assert list(faults_of_roles()) == []


FLAWS = {
    "bare": ("CREATE TABLE flawed (id bigint PRIMARY KEY)", "no tenant_id"),
    "without row security": (
        "CREATE TABLE flawed (id bigint, tenant_id bigint NOT NULL, PRIMARY KEY (tenant_id, id))",
        "row security is not enabled and forced",
    ),
    "not forced": ("ALTER TABLE catalogue_domain NO FORCE ROW LEVEL SECURITY", "and forced"),
    "without policy": ("DROP POLICY tenant ON catalogue_domain", "no policy"),
    "a second policy that opens": (
        "CREATE POLICY all_of_it ON catalogue_domain USING (true) WITH CHECK (true)",
        "something else",
    ),
    "an alternative in the policy": (
        f"CREATE POLICY a ON catalogue_domain USING ({TENANT_RULE} OR id = 1) WITH CHECK (true)",
        "something else",
    ),
    "nothing on writing": (
        f"CREATE POLICY reading ON catalogue_domain USING ({TENANT_RULE})",
        "both what is seen and what is written",
    ),
    "null organisation": (
        "ALTER TABLE catalogue_domain ALTER tenant_id DROP NOT NULL",
        "never null",
    ),
    "unique across": (
        "CREATE UNIQUE INDEX names ON catalogue_domain (name)",
        "unique across organisations",
    ),
    "foreign key that crosses": (
        "ALTER TABLE catalogue_capability DROP CONSTRAINT catalogue_capability_domain_id_tenant",
        "can point into another organisation",
    ),
    "materialised view": ("CREATE MATERIALIZED VIEW flawed AS SELECT 1", "a view, kind m"),
    "view with the owner's eyes": (
        "CREATE VIEW flawed AS SELECT * FROM catalogue_domain",
        "a view, kind v",
    ),
    "function with the owner's rights": (
        "CREATE FUNCTION flawed() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "rights of its owner",
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_made_on_purpose_is_found(db: None, flaw: str) -> None:
    sql, sign = FLAWS[flaw]
    with as_role(OWNER), connection.cursor() as cursor:
        cursor.execute(sql)
    assert any(sign in fault for fault in faults_of_tables()), list(faults_of_tables())


@pytest.mark.parametrize(
    ("sql", "sign"),
    [
        ("GRANT TRUNCATE ON catalogue_domain TO wellserved_web", "holds TRUNCATE"),
        ("GRANT CREATE ON SCHEMA public TO wellserved_worker", "may create"),
    ],
)
def test_a_right_given_on_purpose_is_found(db: None, sql: str, sign: str) -> None:
    with as_role(OWNER), connection.cursor() as cursor:
        cursor.execute(sql)
    assert any(sign in fault for fault in faults_of_roles())


def readable(role: str) -> list[str]:
    with connection.cursor() as cursor:
        return [
            name
            for (name,) in rows(
                cursor,
                "SELECT t FROM unnest(%s::text[]) t WHERE has_table_privilege(%s, t, 'SELECT')",
                sorted(tenant_tables()),
                role,
            )
        ]


def count(table: str) -> int:
    """Rows that row security shows, past the product's own refusal to ask."""
    with connection.connection.cursor() as cursor:
        found: tuple[int] = cursor.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    return found[0]


@pytest.mark.parametrize("role", [OWNER, *RUNTIME])
def test_without_an_organisation_no_role_sees_a_row(cast: Cast, role: str) -> None:
    tables = readable(role)
    with as_role(role):
        assert {table: count(table) for table in tables} == dict.fromkeys(tables, 0)
    if role == PUBLIC:
        assert tables == []  # nothing is published yet, so this role reads no organisation's rows
        return
    assert len(tables) > 20
    with as_role(role), acting(cast.acme.pk):  # the wall hides rows that are there
        assert count("catalogue_domain") == 1


def test_another_organisation_sees_none_of_acmes_rows(cast: Cast) -> None:
    tables = readable(WEB)
    with acting(cast.acme.pk):
        filled = [table for table in tables if count(table)]
    assert len(filled) >= 5
    with acting(cast.globex.pk):
        assert {table: count(table) for table in filled} == dict.fromkeys(filled, 0)


def test_a_row_cannot_be_written_into_another_organisation(cast: Cast) -> None:
    with acting(cast.acme.pk):
        calendar = cast.it.calendar
        assert Domain.objects.create(tenant=cast.acme, key="hr", name="HR", calendar=calendar).pk
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Domain.objects.create(tenant=cast.globex, key="hr", name="HR", calendar=calendar)
