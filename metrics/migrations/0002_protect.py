"""Who may touch these tables, and whose rows they hold (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import READ, WRITE, Protect


class Migration(migrations.Migration):
    dependencies = [("metrics", "0001_initial"), ("surveys", "0002_protect")]

    operations = [
        Protect("Block", web=READ, worker=WRITE),
        Protect("Mark", web="SELECT, INSERT", worker=WRITE),
    ]
