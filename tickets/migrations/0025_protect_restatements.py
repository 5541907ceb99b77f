"""Restatements are written by the worker with the facts they tell of, and never changed."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("tickets", "0024_restatements")]

    operations = [
        Protect("Restatement", web=READ, worker="SELECT, INSERT"),
        AppendOnly("Restatement"),
    ]
