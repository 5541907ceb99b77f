"""Triggers that mark the days of first contacts: of items that have one, and of their resolutions."""

from django.db import migrations

_DECIDED = {
    "first_responses": ("first_response", "first_response_at", "response_deadline"),
    "meaningful_responses": ("first_meaningful", "first_meaningful_at", "response_deadline"),
    "resolution_promises": ("resolution", "ended_at", "resolution_deadline"),
}
#: As in 0025.
_ITEM = [
    "SELECT c.tenant_id, 'items', c.opened_at FROM changed c",
    *(
        f"SELECT c.tenant_id, '{name}', (CASE c.{promise}_in_time WHEN true THEN c.{fulfilled}"  # noqa: S608
        f" WHEN false THEN c.{deadline} END) FROM changed c"
        for name, (promise, fulfilled, deadline) in _DECIDED.items()
    ),
]
_RESOLVED = (
    "SELECT r.tenant_id, 'resolutions', r.at FROM changed c JOIN tickets_resolution r"
    " ON r.tenant_id = c.tenant_id AND r.work_item_id = c.id"
)
_FIRST_CONTACT = (
    "SELECT c.tenant_id, 'first_contacts', c.first_resolution_at FROM changed c"
    " WHERE c.first_contact <> ''"
)
#: Whoever never added that line is not looked through for it: a row security policy holds here.
_OF_FIRST_RESOLUTIONS = """
    IF EXISTS (SELECT 1 FROM tickets_foldversion WHERE written_line) THEN
        INSERT INTO metrics_mark (tenant_id, kind, day)
        SELECT DISTINCT f.tenant_id, 'first_contacts', (f.at AT TIME ZONE o.time_zone)::date
          FROM changed AS f
          JOIN tickets_workitem w ON w.tenant_id = f.tenant_id AND w.id = f.work_item_id
          JOIN tenancy_organisation o ON o.id = f.tenant_id
         WHERE f.number = 1 AND w.first_contact <> '';
    END IF;
"""


def _items(function, selects):
    return f"""
        CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO metrics_mark (tenant_id, kind, day)
            SELECT DISTINCT f.tenant_id, f.kind, (f.at AT TIME ZONE o.time_zone)::date
              FROM ({" UNION ALL ".join(selects)}) AS f(tenant_id, kind, at)
              JOIN tenancy_organisation o ON o.id = f.tenant_id
             WHERE f.at IS NOT NULL;
            RETURN NULL;
        END $$
    """  # noqa: S608 - every part is declared above


def _resolutions(also):
    """As in 0024, and what else is marked."""
    return f"""
        CREATE OR REPLACE FUNCTION metrics_mark_tickets_resolution() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO metrics_mark (tenant_id, kind, day)
            SELECT DISTINCT f.tenant_id, k.kind, (f.at AT TIME ZONE o.time_zone)::date
              FROM changed AS f
              JOIN tenancy_organisation o ON o.id = f.tenant_id
              CROSS JOIN LATERAL (VALUES ('resolutions'), ('surveyed'), ('themes')) AS k(kind)
             WHERE f.at IS NOT NULL;
            {also}
            RETURN NULL;
        END $$
    """  # noqa: S608 - every part is declared above


def _statements(item, of_first_resolutions):
    return [
        _items("metrics_mark_tickets_workitem_insert", item),
        _items("metrics_mark_tickets_workitem", [*item, _RESOLVED]),
        _resolutions(of_first_resolutions),
    ]


class Migration(migrations.Migration):
    dependencies = [("metrics", "0027_carry_settings"), ("tickets", "0028_first_contacts")]

    operations = [
        migrations.RunSQL(
            sql=_statements([*_ITEM, _FIRST_CONTACT], _OF_FIRST_RESOLUTIONS),
            reverse_sql=_statements(_ITEM, ""),
        )
    ]
