"""Who reads and labels comments, and the marks that a reading leaves on its answer's day."""

from django.db import migrations

from portal.tenancy.migration import WRITE, Protect


class Migration(migrations.Migration):
    dependencies = [("surveys", "0005_comment_readings")]

    operations = [
        Protect("CommentReading", web="SELECT, UPDATE (decided, decided_at)", worker=WRITE),
        Protect("CommentLabel", web="SELECT, INSERT, UPDATE", worker=WRITE),
    ]
