"""Who may touch these tables, and whose rows they hold (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import READ, WRITE, Grant, Protect


class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial"), ("tenancy", "0002_protect")]

    operations = [
        Grant("Person", web="SELECT, INSERT, UPDATE", worker=READ),
        Grant("Membership", web=WRITE, worker=READ),
        Protect("ApiKey", web="SELECT, INSERT, UPDATE", worker=READ),
    ]
