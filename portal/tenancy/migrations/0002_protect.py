"""Who may touch these tables, and whose rows they hold (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import READ, REFUSE_CHANGE, WRITE, Grant


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial")]

    operations = [
        REFUSE_CHANGE,
        Grant("Organisation", web=READ, worker=READ, public=READ),
        Grant("Door", web="SELECT, INSERT, DELETE", worker="SELECT, INSERT, DELETE"),
        Grant("Due", web=WRITE, worker=WRITE),
    ]
