"""How many different persons sign a sheet stands in it."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalogue", "0004_capability_advanced"),
        ("governance", "0009_protect_survey_pilot"),
        ("tenancy", "0002_protect"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="targetsheet",
            name="persons",
            field=models.PositiveSmallIntegerField(db_default=2),
        ),
        migrations.AddConstraint(
            model_name="targetsheet",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("persons", 2),
                    models.Q(
                        ("lead__isnull", False),
                        ("persons", 3),
                        models.Q(("manager", models.F("proposed_by")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="sheet_signed_by_so_many",
            ),
        ),
    ]
