"""The windows of the fold are written by the web role and never changed."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("tickets", "0012_event_facts")]

    operations = [
        Protect("FoldVersion", web="SELECT, INSERT", worker=READ),
        AppendOnly("FoldVersion"),
    ]
