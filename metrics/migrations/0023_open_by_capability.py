"""What was open at a moment is found by capability: that stands in the indexes it is asked of."""

from django.db import migrations

_OPEN = "ON tickets_workitem (tenant_id, capability_id) WHERE ended_at IS NULL"
_OPEN_BEFORE = "ON tickets_workitem (tenant_id) WHERE ended_at IS NULL"
_ENDED = "ON tickets_workitem (tenant_id, ended_at, capability_id)"
_ENDED_BEFORE = "ON tickets_workitem (tenant_id, ended_at)"


class Migration(migrations.Migration):
    dependencies = [("metrics", "0022_versions_of_blocks")]

    operations = [
        migrations.RunSQL(
            f"DROP INDEX {name}; CREATE INDEX {name} {now}",
            f"DROP INDEX {name}; CREATE INDEX {name} {before}",
        )
        for name, now, before in (
            ("work_item_open", _OPEN, _OPEN_BEFORE),
            ("work_item_by_end", _ENDED, _ENDED_BEFORE),
        )
    ]
