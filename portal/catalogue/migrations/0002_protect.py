"""Who may touch these tables, and whose rows they hold (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import WRITE, Protect


class Migration(migrations.Migration):
    dependencies = [("catalogue", "0001_initial"), ("tenancy", "0002_protect")]

    operations = [
        Protect("BusinessCalendar", web=WRITE, worker=WRITE),
        Protect("CalendarVersion", web=WRITE, worker=WRITE),
        Protect("Domain", web=WRITE, worker=WRITE),
        Protect("BusinessUnit", web=WRITE, worker=WRITE),
        Protect("Capability", web=WRITE, worker=WRITE),
        Protect("SeverityCalendar", web=WRITE, worker=WRITE),
        Protect("TimeTarget", web=WRITE, worker=WRITE),
    ]
