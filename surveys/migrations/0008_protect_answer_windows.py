"""The window for answers is written by the web role and never changed."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("surveys", "0007_event_facts")]

    operations = [
        Protect("AnswerWindow", web="SELECT, INSERT", worker=READ),
        AppendOnly("AnswerWindow"),
    ]
