"""Profile and severity policy are settings (metrics.0027 carries them over)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_protect")]

    operations = [
        migrations.RemoveField("Organisation", "profile"),
        migrations.RemoveField("Organisation", "severity_policy"),
    ]
