"""When a help desk may be asked again, and how often a ticket could not be fetched."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0017_flawed")]

    operations = [
        migrations.AddField(
            "connection", "not_before", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField("fetchwork", "tries", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("fetchwork", "due_at", models.DateTimeField(blank=True, null=True)),
    ]
