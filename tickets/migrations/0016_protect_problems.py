"""Who may touch problems; a work item's problem is one of its own organisation."""

from django.db import migrations

from portal.tenancy.migration import READ, WRITE, AddedReference, Protect


class Migration(migrations.Migration):
    dependencies = [("tickets", "0015_problems")]

    operations = [
        Protect("Problem", web=READ, worker=WRITE),
        AddedReference("WorkItem", "problem"),
    ]
