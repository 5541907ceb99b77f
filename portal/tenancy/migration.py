"""What a migration says of a table: whose rows it holds, who may touch it, whether it only grows.

`protect()` gives a tenant table row security with FORCE, the UNIQUE (tenant_id, id) that composite
foreign keys point at, a composite foreign key beside each of Django's own to another tenant table,
and the grants of each database role. `append_only()` refuses UPDATE, DELETE and TRUNCATE.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

WEB, WORKER, PUBLIC = "wellserved_web", "wellserved_worker", "wellserved_public"
BACKUP = "wellserved_backup"
READ = "SELECT"
WRITE = "SELECT, INSERT, UPDATE, DELETE"
TENANT = "nullif(current_setting('app.tenant', true), '')::bigint"
PERSON = "nullif(current_setting('app.person', true), '')::bigint"


class _TableOperation(migrations.operations.base.Operation):
    """An operation on the table of one model."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, model: str) -> None:
        self.model = model

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """The state of the models does not change."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model)
        for statement in self.forwards(model):
            schema_editor.execute(statement, params=None)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = from_state.apps.get_model(app_label, self.model)
        for statement in self.backwards(model):
            schema_editor.execute(statement, params=None)

    def forwards(self, model: type[models.Model]) -> list[str]:
        raise NotImplementedError

    def backwards(self, model: type[models.Model]) -> list[str]:
        raise NotImplementedError


class Protect(_TableOperation):
    """Row security, composite keys and grants of one tenant table."""

    def __init__(
        self, model: str, *, web: str = "", worker: str = "", public: str = "", own: str = ""
    ) -> None:
        super().__init__(model)
        self.web, self.worker, self.public = web, worker, public
        self.own = own

    def describe(self) -> str:
        return f"Protect the rows of {self.model}"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        keywords = {"web": self.web, "worker": self.worker, "public": self.public, "own": self.own}
        return type(self).__name__, [self.model], {k: v for k, v in keywords.items() if v}

    def forwards(self, model: type[models.Model]) -> list[str]:
        table = model._meta.db_table
        own_row = f" AND (current_user <> '{WEB}' OR {self.own})" if self.own else ""
        statements = [
            f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
            (
                f'CREATE POLICY tenant ON "{table}" USING (tenant_id = {TENANT}{own_row})'
                f" WITH CHECK (tenant_id = {TENANT}{own_row})"
            ),
        ]
        if not isinstance(model._meta.pk, models.CompositePrimaryKey):
            statements.append(
                f'ALTER TABLE "{table}" ADD CONSTRAINT "{table}_tenant_id_id"'
                f' UNIQUE (tenant_id, "{model._meta.pk.column}")'
            )
        statements += [_composite_key(table, field) for field in _tenant_references(model)]
        statements += _grants(model, self.web, self.worker, self.public)
        return statements

    def backwards(self, model: type[models.Model]) -> list[str]:
        table = model._meta.db_table
        statements = [
            f'ALTER TABLE "{table}" DROP CONSTRAINT "{_composite_name(table, field)}"'
            for field in _tenant_references(model)
        ]
        if not isinstance(model._meta.pk, models.CompositePrimaryKey):
            statements.append(
                f'ALTER TABLE "{table}" DROP CONSTRAINT "{table}_tenant_id_id" CASCADE'
            )
        return [
            *statements,
            f'DROP POLICY tenant ON "{table}"',
            f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY',
            f'REVOKE ALL ON "{table}" FROM {WEB}, {WORKER}, {PUBLIC}, {BACKUP}',
        ]


class Grant(_TableOperation):
    """Grants on one of the few tables that stand outside row security."""

    def __init__(self, model: str, *, web: str = "", worker: str = "", public: str = "") -> None:
        super().__init__(model)
        self.web, self.worker, self.public = web, worker, public

    def describe(self) -> str:
        return f"Grant access to {self.model}"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        keywords = {"web": self.web, "worker": self.worker, "public": self.public}
        return type(self).__name__, [self.model], {k: v for k, v in keywords.items() if v}

    def forwards(self, model: type[models.Model]) -> list[str]:
        return _grants(model, self.web, self.worker, self.public)

    def backwards(self, model: type[models.Model]) -> list[str]:
        table = model._meta.db_table
        return [f'REVOKE ALL ON "{table}" FROM {WEB}, {WORKER}, {PUBLIC}, {BACKUP}']


class OneKey(_TableOperation):
    """Drop the foreign keys that `Protect`'s composite ones say again: half the checks of a row.

    Goes as well: the key of `tenant`, where a reference that is never null leads to a row that
    holds the organisation itself.
    """

    def describe(self) -> str:
        return f"Check each reference of {self.model} once"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.model], {}

    def forwards(self, model: type[models.Model]) -> list[str]:
        table = model._meta.db_table
        return [_drop_own_key(table, field) for field in _doubled_references(model)]

    def backwards(self, model: type[models.Model]) -> list[str]:
        table = model._meta.db_table
        return [
            f'ALTER TABLE "{table}" ADD CONSTRAINT "{f"{table}_{field.column}_alone"[:63]}"'
            f' FOREIGN KEY ("{field.column}") REFERENCES "{field.related_model._meta.db_table}"'
            f' ("{field.related_model._meta.pk.column}") DEFERRABLE INITIALLY DEFERRED'
            for field in _doubled_references(model)
        ]


class AddedReference(_TableOperation):
    """The composite key of a reference that a protected table was given later, and it alone."""

    def __init__(self, model: str, field: str) -> None:
        super().__init__(model)
        self.field = field

    def describe(self) -> str:
        return f"Keep {self.field} of {self.model} inside the organisation"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.model, self.field], {}

    def forwards(self, model: type[models.Model]) -> list[str]:
        table, field = model._meta.db_table, model._meta.get_field(self.field)
        return [_drop_own_key(table, field), _composite_key(table, field)]

    def backwards(self, model: type[models.Model]) -> list[str]:
        table, field = model._meta.db_table, model._meta.get_field(self.field)
        return [f'ALTER TABLE "{table}" DROP CONSTRAINT "{_composite_name(table, field)}"']


class AppendOnly(_TableOperation):
    """Rows of this table are written once: a trigger refuses UPDATE, DELETE and TRUNCATE."""

    def describe(self) -> str:
        return f"Let {self.model} only grow"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.model], {}

    def forwards(self, model: type[models.Model]) -> list[str]:
        table = model._meta.db_table
        return [
            (
                f'CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON "{table}"'
                " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            ),
            (
                f'CREATE TRIGGER append_only_table BEFORE TRUNCATE ON "{table}"'
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
        ]

    def backwards(self, model: type[models.Model]) -> list[str]:
        table = model._meta.db_table
        return [
            f'DROP TRIGGER append_only_rows ON "{table}"',
            f'DROP TRIGGER append_only_table ON "{table}"',
        ]


REFUSE_CHANGE = migrations.RunSQL(
    sql="""
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    reverse_sql="DROP FUNCTION refuse_change()",
)


def _is_tenant_model(model: type[models.Model]) -> bool:
    return any(field.name == "tenant" for field in model._meta.local_fields)


def _tenant_references(model: type[models.Model]) -> list[Any]:
    """Foreign keys of a tenant table to other tenant tables."""
    return [
        field
        for field in model._meta.local_fields
        if isinstance(field, models.ForeignKey)
        and field.name != "tenant"
        and _is_tenant_model(field.related_model)
        and not isinstance(field.related_model._meta.pk, models.CompositePrimaryKey)
    ]


def _doubled_references(model: type[models.Model]) -> list[Any]:
    """Foreign keys that the composite ones imply, the tenant's own among them where they do."""
    doubled = _tenant_references(model)
    if any(not field.null for field in doubled):
        doubled = [*doubled, model._meta.get_field("tenant")]
    return doubled


def _drop_own_key(table: str, field: Any) -> str:
    """Drop the foreign key that Django made of one column, whatever it called it."""
    return f"""
        DO $$
        DECLARE doubled name;
        BEGIN
            SELECT o.conname INTO STRICT doubled
              FROM pg_constraint o JOIN pg_attribute a
                ON a.attrelid = o.conrelid AND o.conkey = ARRAY[a.attnum]
             WHERE o.contype = 'f' AND o.conrelid = '"{table}"'::regclass
               AND a.attname = '{field.column}';
            EXECUTE format('ALTER TABLE "{table}" DROP CONSTRAINT %I', doubled);
        END $$
        """  # noqa: S608 - names of our own tables and columns


def _composite_name(table: str, field: Any) -> str:
    return f"{table}_{field.column}_tenant"[:63]


def _composite_key(table: str, field: Any) -> str:
    """A foreign key check ignores row security; with the tenant in the key it cannot cross."""
    target = field.related_model._meta
    return (
        f'ALTER TABLE "{table}" ADD CONSTRAINT "{_composite_name(table, field)}"'
        f' FOREIGN KEY (tenant_id, "{field.column}")'
        f' REFERENCES "{target.db_table}" (tenant_id, "{target.pk.column}")'
        " DEFERRABLE INITIALLY DEFERRED"
    )


def _grants(model: type[models.Model], web: str, worker: str, public: str) -> list[str]:
    table = model._meta.db_table
    wanted = [(WEB, web), (WORKER, worker), (PUBLIC, public), (BACKUP, READ)]
    statements = [f'GRANT {rights} ON "{table}" TO {role}' for role, rights in wanted if rights]
    if isinstance(model._meta.pk, models.AutoField):
        statements += [
            f"""GRANT USAGE ON SEQUENCE "{table}_{model._meta.pk.column}_seq" TO {role}"""
            for role, rights in wanted
            if "INSERT" in rights
        ]
    return statements
