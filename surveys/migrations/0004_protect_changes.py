"""Who may touch what 0003 added (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import Protect


class Migration(migrations.Migration):
    dependencies = [("surveys", "0003_change_after_release"), ("surveys", "0002_protect")]

    operations = [
        migrations.RunSQL(
            "GRANT UPDATE (changed_score) ON surveys_answer TO wellserved_web",
            "REVOKE UPDATE (changed_score) ON surveys_answer FROM wellserved_web",
        ),
        Protect("LinkScan", web="SELECT, INSERT", worker="SELECT, DELETE"),
    ]
