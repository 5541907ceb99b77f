"""Who may touch these tables, and whose rows they hold (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("tenancy", "0002_protect")]

    operations = [
        Protect("AuditEntry", web="SELECT, INSERT", worker="SELECT, INSERT"),
        AppendOnly("AuditEntry"),
    ]
