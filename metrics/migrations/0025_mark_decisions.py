"""Days are marked, and promises found, by the instant that decided each of them once."""

from django.db import migrations

_DECIDED = {
    "first_responses": ("first_response", "first_response_at", "first_response_s", "response"),
    "meaningful_responses": (
        "first_meaningful",
        "first_meaningful_at",
        "first_meaningful_s",
        "response",
    ),
    "resolution_promises": ("resolution", "ended_at", "clock_s", "resolution"),
}
_INSERT, _CHANGE = "metrics_mark_tickets_workitem_insert", "metrics_mark_tickets_workitem"
_RESOLVED = (
    "SELECT r.tenant_id, 'resolutions', r.at FROM changed c JOIN tickets_resolution r"
    " ON r.tenant_id = c.tenant_id AND r.work_item_id = c.id"
)


def _decided(name, alias):
    promise, fulfilled, _, deadline = _DECIDED[name]
    return (
        f"(CASE {alias}{promise}_in_time WHEN true THEN {alias}{fulfilled}"
        f" WHEN false THEN {alias}{deadline}_deadline END)"
    )


def _decided_before(name, alias):
    """As in 0003: by the clock and the target of the last severity."""
    _, fulfilled, clock, promise = _DECIDED[name]
    return (
        f"(CASE WHEN {alias}{fulfilled} IS NOT NULL AND {alias}{clock} <= {alias}{promise}_target_s"
        f" THEN {alias}{fulfilled} WHEN {alias}{promise}_target_s IS NOT NULL"
        f" THEN {alias}{promise}_deadline END)"
    )


def _statements(decided):
    selects = [
        "SELECT c.tenant_id, 'items', c.opened_at FROM changed c",
        *(
            f"SELECT c.tenant_id, '{name}', {decided(name, 'c.')} FROM changed c"  # noqa: S608
            for name in _DECIDED
        ),
    ]
    statements = [
        f"""
        CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO metrics_mark (tenant_id, kind, day)
            SELECT DISTINCT f.tenant_id, f.kind, (f.at AT TIME ZONE o.time_zone)::date
              FROM ({" UNION ALL ".join(told)}) AS f(tenant_id, kind, at)
              JOIN tenancy_organisation o ON o.id = f.tenant_id
             WHERE f.at IS NOT NULL;
            RETURN NULL;
        END $$
        """  # noqa: S608 - every part is declared above
        for function, told in ((_INSERT, selects), (_CHANGE, [*selects, _RESOLVED]))
    ]
    for name in _DECIDED:
        statements += [
            f"DROP INDEX work_item_{name}",
            f"CREATE INDEX work_item_{name} ON tickets_workitem (tenant_id, {decided(name, '')})",
        ]
    return statements


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0024_mark_left_out"),
        ("tickets", "0019_decided_once"),
    ]

    operations = [
        migrations.RunSQL(sql=_statements(_decided), reverse_sql=_statements(_decided_before))
    ]
