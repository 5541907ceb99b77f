"""What was decided in a period that is over, and is decided otherwise now, is logged."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalogue", "0004_capability_advanced"),
        ("tenancy", "0002_protect"),
        ("tickets", "0023_severity_policy"),
    ]

    operations = [
        migrations.CreateModel(
            name="Restatement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveSmallIntegerField()),
                (
                    "promise",
                    models.CharField(
                        choices=[
                            ("first_response", "first reply"),
                            ("first_meaningful", "first helpful reply"),
                            ("resolution", "resolution"),
                        ],
                        max_length=20,
                    ),
                ),
                ("noticed_at", models.DateTimeField()),
                (
                    "was",
                    models.CharField(
                        choices=[
                            ("met", "met"),
                            ("missed", "missed"),
                            ("undecided", "undecided"),
                            ("withdrawn", "withdrawn"),
                            ("not_counted", "not counted"),
                        ],
                        max_length=12,
                    ),
                ),
                ("was_at", models.DateTimeField(blank=True, null=True)),
                (
                    "was_severity",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("critical", "critical"),
                            ("high", "high"),
                            ("medium", "medium"),
                            ("low", "low"),
                        ],
                        db_default="",
                        max_length=10,
                    ),
                ),
                (
                    "now",
                    models.CharField(
                        choices=[
                            ("met", "met"),
                            ("missed", "missed"),
                            ("undecided", "undecided"),
                            ("withdrawn", "withdrawn"),
                            ("not_counted", "not counted"),
                        ],
                        max_length=12,
                    ),
                ),
                ("now_at", models.DateTimeField(blank=True, null=True)),
                (
                    "now_severity",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("critical", "critical"),
                            ("high", "high"),
                            ("medium", "medium"),
                            ("low", "low"),
                        ],
                        db_default="",
                        max_length=10,
                    ),
                ),
                (
                    "now_capability",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalogue.capability",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.organisation",
                    ),
                ),
                (
                    "ticket",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="restatements",
                        to="tickets.ticket",
                    ),
                ),
                (
                    "was_capability",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalogue.capability",
                    ),
                ),
            ],
            options={
                "ordering": ("noticed_at", "id"),
                "indexes": [
                    models.Index(fields=["tenant", "ticket"], name="restatement_by_ticket"),
                    models.Index(fields=["tenant", "was_at"], name="restatement_by_decision"),
                    models.Index(fields=["tenant", "now_at"], name="restatement_by_new_decision"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("was_at__isnull", False), ("now_at__isnull", False), _connector="OR"
                        ),
                        name="restatement_of_a_decision",
                    )
                ],
            },
        ),
    ]
