"""Two indexes nothing asks any more: what stands beside a figure is picked from counted rows."""

from django.db import migrations

_UNUSED = {
    "work_item_repeated": "tickets_workitem (tenant_id, capability_id, first_resolution_at)"
    " WHERE repeat_contact_at IS NOT NULL",
    "escalation_by_instant": "tickets_escalation (tenant_id, at)",
}


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0025_mark_decisions"),
        ("tickets", "0021_flawed_by_last_event"),
    ]

    operations = [
        migrations.RunSQL(f"DROP INDEX {name}", f"CREATE INDEX {name} ON {on}")
        for name, on in _UNUSED.items()
    ]
