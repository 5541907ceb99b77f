"""Who may touch attempts at self-service."""

from django.db import migrations

from portal.tenancy.migration import READ, WRITE, Protect


class Migration(migrations.Migration):
    dependencies = [("tickets", "0006_attempts")]

    operations = [Protect("SelfServiceAttempt", web=READ, worker=WRITE)]
