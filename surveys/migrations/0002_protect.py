"""Who may touch these tables, and whose rows they hold (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import READ, WRITE, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("surveys", "0001_initial"), ("tickets", "0002_protect")]

    operations = [
        Protect("Campaign", web=WRITE, worker="SELECT, INSERT"),
        Protect("SurveyedEvent", web=READ, worker="SELECT, INSERT, UPDATE"),
        Protect("Invitation", web=READ, worker=WRITE),
        Protect("NotSent", web=READ, worker="SELECT, INSERT"),
        Protect(
            "Answer",
            web="SELECT, INSERT, UPDATE (score, answered_at, late, contact_allowed, complete)",
            worker="SELECT, INSERT, UPDATE",
        ),
        Protect("AnswerRevision", web="SELECT, INSERT", worker="SELECT, INSERT"),
        AppendOnly("AnswerRevision"),
        Protect("Comment", web="SELECT, INSERT, UPDATE", worker=WRITE),
        Protect("OptOut", web="SELECT, INSERT, DELETE", worker="SELECT, INSERT"),
    ]
