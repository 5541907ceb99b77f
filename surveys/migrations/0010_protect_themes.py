"""Who may touch themes of comments: workers suggest, people decide and change nothing else."""

from django.db import migrations

from portal.tenancy.migration import WRITE, Protect


class Migration(migrations.Migration):
    dependencies = [("surveys", "0009_themes")]

    operations = [
        Protect("Theme", web="SELECT, UPDATE (state, name, decided_at, decided_by)", worker=WRITE),
    ]
