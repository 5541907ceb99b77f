"""Whoever signs for the business unit is nobody else on the sheet, and somebody is accountable."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("governance", "0002_protect"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="targetsheet",
            name="manager",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="targetsheet",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("lead__isnull", False),
                        ("needs_business_unit_lead", True),
                        models.Q(("lead", models.F("proposed_by")), _negated=True),
                        models.Q(("lead", models.F("manager")), _negated=True),
                    ),
                    models.Q(
                        ("lead__isnull", True),
                        ("needs_business_unit_lead", False),
                        models.Q(("manager", models.F("proposed_by")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="sheet_signed_by_others_too",
            ),
        ),
    ]
