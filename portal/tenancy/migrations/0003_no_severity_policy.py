"""Which severity governs is one of the settings (metrics.0026 carries it over)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_protect")]

    operations = [migrations.RemoveField("Organisation", "severity_policy")]
