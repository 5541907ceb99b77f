"""What was declared beforehand is never changed; a mark on charts may be taken away again."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("metrics", "0013_declared_and_occurrences")]

    operations = [
        Protect("DeclaredComparison", web="SELECT, INSERT", worker=READ),
        AppendOnly("DeclaredComparison"),
        Protect("Occurrence", web="SELECT, INSERT, DELETE", worker=READ),
    ]
