"""Blocks name their layout by a fingerprint: what was packed before has none and is packed anew."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0003_marks")]

    operations = [
        migrations.AlterField("block", "layout", models.CharField(max_length=16)),
        # Fingerprints are no numbers: going back, the cache is emptied, past row security.
        migrations.RunSQL(sql=migrations.RunSQL.noop, reverse_sql="TRUNCATE metrics_block"),
    ]
