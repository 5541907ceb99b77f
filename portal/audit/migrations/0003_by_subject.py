"""What was done to one thing is found without reading the whole trail."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_protect"),
        ("tenancy", "0002_protect"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                fields=["tenant", "subject_kind", "subject_id"], name="audit_by_subject"
            ),
        ),
    ]
