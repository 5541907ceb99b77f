"""Blocks hold slices by capability and a stream beside their rows; the worker packs them anew."""

from django.db import migrations, models

from metrics.models import NumbersField


class Migration(migrations.Migration):
    dependencies = [("metrics", "0019_protect_double_checks")]

    operations = [
        # A block of the former packing is of another layout: nobody would read it again.
        migrations.RunSQL("TRUNCATE metrics_block", migrations.RunSQL.noop),
        migrations.AddField(
            "Block",
            "capabilities",
            NumbersField("integer"),
            preserve_default=False,
        ),
        migrations.AddField(
            "Block",
            "ends",
            NumbersField("bigint"),
            preserve_default=False,
        ),
        migrations.AddField("Block", "far", models.BinaryField(), preserve_default=False),
        migrations.RunSQL(
            "ALTER TABLE metrics_block ALTER COLUMN far SET STORAGE EXTERNAL",
            "ALTER TABLE metrics_block ALTER COLUMN far SET STORAGE EXTENDED",
        ),
    ]
