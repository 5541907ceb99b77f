"""How fine an instant was told, until when everything was read, and what a rating answers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0021_flawed_by_last_event")]

    operations = [
        migrations.AddField(
            "ticketevent",
            "precision",
            models.CharField(blank=True, default="", max_length=4),
        ),
        migrations.AddField("connection", "read_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "toldrating", "question", models.CharField(blank=True, default="", max_length=300)
        ),
        migrations.AddField("toldrating", "alone", models.BooleanField(default=True)),
        migrations.AddField("toldrating", "agent_key", models.UUIDField(blank=True, null=True)),
    ]
