"""Who may touch the comments read blind: workers draw, people read, nobody changes anything."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("surveys", "0011_blind_readings")]

    operations = [
        Protect("DrawnComment", web=READ, worker="SELECT, INSERT"),
        AppendOnly("DrawnComment"),
        Protect("BlindReading", web="SELECT, INSERT", worker=READ),
        AppendOnly("BlindReading"),
    ]
