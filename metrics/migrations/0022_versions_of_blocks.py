"""Blocks are numbered as they are packed, so that whoever read them knows which ones are new."""

import django.db.models.deletion
from django.db import migrations, models

from portal.tenancy.migration import READ, WRITE, Protect


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0021_indexes_of_reading"),
        ("tenancy", "0002_protect"),
    ]

    operations = [
        migrations.AddField("Block", "version", models.BigIntegerField(default=0)),
        migrations.CreateModel(
            name="Packing",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "kind",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("kind", models.CharField(max_length=20)),
                ("version", models.BigIntegerField()),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.organisation",
                    ),
                ),
            ],
            options={"abstract": False},
        ),
        Protect("Packing", web=READ, worker=WRITE),
    ]
