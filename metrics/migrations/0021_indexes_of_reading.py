"""Indexes for what a scorecard reads beside its columns: the backlog, comments, what came back."""

from django.db import migrations

_INDEXES = {
    # What was open at a moment: not ended, or ended since.
    "work_item_by_end": "tickets_workitem (tenant_id, ended_at)",
    "work_item_repeated": "tickets_workitem (tenant_id, capability_id, first_resolution_at)"
    " WHERE repeat_contact_at IS NOT NULL",
    "resolution_reopened": "tickets_resolution (tenant_id, capability_id, at) WHERE reopened",
    "escalation_by_instant": "tickets_escalation (tenant_id, at)",
    "surveyed_by_capability": "surveys_surveyedevent (tenant_id, capability_id, at)",
}


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0020_narrow_blocks"),
        ("tickets", "0011_uploads"),
        ("surveys", "0006_protect_comment_readings"),
    ]

    operations = [
        migrations.RunSQL(f"CREATE INDEX {name} ON {on}", f"DROP INDEX {name}")
        for name, on in _INDEXES.items()
    ]
