"""Answers to signals are written by the web role and never changed."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("metrics", "0009_signal_answer")]

    operations = [
        Protect("SignalAnswer", web="SELECT, INSERT", worker=READ),
        AppendOnly("SignalAnswer"),
    ]
