"""What HDI's rule for written channels makes of first resolutions, where that line is added."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tickets", "0027_rating_outcome_reason"),
    ]

    operations = [
        migrations.AddField(
            model_name="foldversion",
            name="written_line",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="workitem",
            name="first_contact",
            field=models.CharField(
                blank=True,
                choices=[
                    ("within", "in writing, solved within one business hour"),
                    ("later", "in writing, and not solved by then"),
                    ("live", "by telephone or chat"),
                    ("unknown", "by a channel that is not known"),
                ],
                db_default="",
                max_length=7,
            ),
        ),
        migrations.AddIndex(
            model_name="workitem",
            index=models.Index(
                condition=models.Q(("first_contact", ""), _negated=True),
                fields=["tenant", "first_resolution_at"],
                name="work_item_by_first_contact",
            ),
        ),
        migrations.AddConstraint(
            model_name="workitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("first_contact", ""),
                    models.Q(
                        ("first_contact__in", ("within", "later", "live", "unknown")),
                        ("first_resolution_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="work_item_first_contact",
            ),
        ),
    ]
