"""Settings are written by the web role and never changed."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("metrics", "0006_settings_version")]

    operations = [
        Protect("SettingsVersion", web="SELECT, INSERT", worker=READ),
        AppendOnly("SettingsVersion"),
    ]
