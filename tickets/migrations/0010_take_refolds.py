"""Workers take tickets off the queue of refolds: locking a row needs the right to update it."""

from django.db import migrations

from portal.tenancy.migration import WORKER


class Migration(migrations.Migration):
    dependencies = [("tickets", "0009_rating_words")]

    operations = [
        migrations.RunSQL(
            f"GRANT UPDATE ON tickets_refoldwork TO {WORKER}",
            f"REVOKE UPDATE ON tickets_refoldwork FROM {WORKER}",
        ),
    ]
