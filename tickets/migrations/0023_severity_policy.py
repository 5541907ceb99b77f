"""Which severity governs is decided with the windows of the fold."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0022_how_it_was_told")]

    operations = [
        migrations.AddField(
            "FoldVersion",
            "severity_policy",
            models.CharField(
                choices=[("recorded", "recorded"), ("governed", "governed")],
                db_default="recorded",
                max_length=10,
            ),
        ),
    ]
