"""Triggers that mark the days a change of facts concerns, and indexes by the deciding instant."""

from django.db import migrations

_DECIDED = {
    "first_responses": ("first_response_at", "first_response_s", "response"),
    "meaningful_responses": ("first_meaningful_at", "first_meaningful_s", "response"),
    "resolution_promises": ("ended_at", "clock_s", "resolution"),
}


def _decided(name, alias):
    fulfilled, clock, promise = _DECIDED[name]
    return (
        f"(CASE WHEN {alias}{fulfilled} IS NOT NULL AND {alias}{clock} <= {alias}{promise}_target_s"
        f" THEN {alias}{fulfilled} WHEN {alias}{promise}_target_s IS NOT NULL"
        f" THEN {alias}{promise}_deadline END)"
    )


#: Table -> selects of (kind, instant) from the changed rows `c`.
_MARKED = {
    "tickets_workitem": [
        "SELECT c.tenant_id, 'items', c.opened_at FROM changed c",
        *(
            f"SELECT c.tenant_id, '{name}', {_decided(name, 'c.')} FROM changed c"  # noqa: S608
            for name in _DECIDED
        ),
    ],
    "tickets_resolution": ["SELECT c.tenant_id, 'resolutions', c.at FROM changed c"],
    "surveys_surveyedevent": ["SELECT c.tenant_id, 'surveyed', c.at FROM changed c"],
    **{
        table: [
            (
                "SELECT c.tenant_id, 'surveyed', e.at FROM changed c JOIN surveys_surveyedevent e"
                " ON e.tenant_id = c.tenant_id AND e.id = c.event_id"
            )
        ]
        for table in ("surveys_invitation", "surveys_notsent", "surveys_answer")
    },
}
#: A changed work item changes the columns of its resolutions; a new one has none yet.
_RESOLVED = (
    "SELECT r.tenant_id, 'resolutions', r.at FROM changed c JOIN tickets_resolution r"
    " ON r.tenant_id = c.tenant_id AND r.work_item_id = c.id"
)
_CHANGED = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS changed"),
    "update_old": ("UPDATE", "REFERENCING OLD TABLE AS changed"),
    "update_new": ("UPDATE", "REFERENCING NEW TABLE AS changed"),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS changed"),
}


def _function(name, selects):
    """A trigger function that marks the local days of the selected instants."""
    return f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO metrics_mark (tenant_id, kind, day)
            SELECT DISTINCT f.tenant_id, f.kind, (f.at AT TIME ZONE o.time_zone)::date
              FROM ({" UNION ALL ".join(selects)}) AS f(tenant_id, kind, at)
              JOIN tenancy_organisation o ON o.id = f.tenant_id
             WHERE f.at IS NOT NULL;
            RETURN NULL;
        END $$
    """  # noqa: S608 - every part is declared above


def _function_name(table, change):
    inserted = table == "tickets_workitem" and change == "insert"
    return f"metrics_mark_{table}{'_insert' if inserted else ''}"


def _forwards():
    statements = []
    for table, selects in _MARKED.items():
        statements.append(_function(_function_name(table, "insert"), selects))
        if table == "tickets_workitem":
            changed = [*selects, _RESOLVED]
            statements.append(_function(_function_name(table, "update"), changed))
        statements += [
            f"CREATE TRIGGER metrics_mark_{name} AFTER {event} ON {table} {rows}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {_function_name(table, name)}()"
            for name, (event, rows) in _CHANGED.items()
        ]
    statements += [
        f"CREATE INDEX work_item_{name} ON tickets_workitem (tenant_id, {_decided(name, '')})"
        for name in _DECIDED
    ]
    statements.append(
        "CREATE INDEX work_item_open ON tickets_workitem (tenant_id) WHERE ended_at IS NULL"
    )
    statements.append("ALTER TABLE metrics_block ALTER COLUMN columns SET STORAGE EXTERNAL")
    return statements


def _backwards():
    statements = [f"DROP INDEX work_item_{name}" for name in (*_DECIDED, "open")]
    for table in _MARKED:
        statements += [f"DROP TRIGGER metrics_mark_{name} ON {table}" for name in _CHANGED]
        functions = {_function_name(table, name) for name in _CHANGED}
        statements += [f"DROP FUNCTION {function}()" for function in sorted(functions)]
    return statements


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0002_protect"),
        ("tickets", "0003_follows"),
        ("surveys", "0002_protect"),
    ]

    operations = [migrations.RunSQL(sql=_forwards(), reverse_sql=_backwards())]
