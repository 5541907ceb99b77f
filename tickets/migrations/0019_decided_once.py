"""Each promise of time is decided once, under severity and capability of its own."""

import django.db.models.deletion
from django.db import migrations, models

from portal.tenancy.migration import AddedReference

_SEVERITIES = [(name, name) for name in ("critical", "high", "medium", "low")]
_DECIDED = {
    "first_response": ("first_response_s", "response_target_s"),
    "first_meaningful": ("first_meaningful_s", "response_target_s"),
    "resolution": ("clock_s", "resolution_target_s"),
}
_SAID = ", ".join(
    f"{name}_in_time = CASE WHEN {target} IS NOT NULL THEN coalesce({clock} <= {target}, false) END"
    for name, (clock, target) in _DECIDED.items()
)
#: As it was told so far, until every ticket is folded again. Organisation by organisation: row
#: security holds for the owner as well.
_TELL = f"""
    DO $$
    DECLARE one bigint;
    BEGIN
        FOR one IN SELECT id FROM tenancy_organisation LOOP
            PERFORM set_config('app.tenant', one::text, true);
            UPDATE tickets_workitem SET {_SAID} WHERE tenant_id = one;
            INSERT INTO tickets_refoldwork (tenant_id, connection_id, ticket_id)
            SELECT tenant_id, connection_id, id FROM tickets_ticket WHERE tenant_id = one
            ON CONFLICT DO NOTHING;
            INSERT INTO tenancy_due (tenant_id, kind, due_at) VALUES (one, 'refold', now())
            ON CONFLICT (tenant_id, kind) DO NOTHING;
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$
"""  # noqa: S608 - every part is declared above


def _fields(name):
    return [
        migrations.AddField(
            "WorkItem", f"{name}_in_time", models.BooleanField(blank=True, null=True)
        ),
        migrations.AddField(
            "WorkItem",
            f"{name}_severity",
            models.CharField(blank=True, choices=_SEVERITIES, db_default="", max_length=10),
        ),
        migrations.AddField(
            "WorkItem",
            f"{name}_capability",
            models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalogue.capability",
            ),
        ),
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("catalogue", "0003_quick_within"),
        ("tenancy", "0002_protect"),
        ("tickets", "0018_not_before"),
    ]

    operations = [
        *(operation for name in _DECIDED for operation in _fields(name)),
        *(AddedReference("WorkItem", f"{name}_capability") for name in _DECIDED),
        migrations.RunSQL(_TELL, migrations.RunSQL.noop),
    ]
