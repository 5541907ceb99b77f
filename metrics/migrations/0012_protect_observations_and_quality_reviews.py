"""Words and marks are written once; authors are the author's own rows; workers release reviews."""

from django.db import migrations

from portal.tenancy.migration import PERSON, READ, AppendOnly, Protect

WRITE_ONCE = "SELECT, INSERT"


class Migration(migrations.Migration):
    dependencies = [("metrics", "0011_observations_and_quality_reviews")]

    operations = [
        Protect("Observation", web=WRITE_ONCE, worker=READ),
        AppendOnly("Observation"),
        Protect(
            "ObservationAuthor",
            web=WRITE_ONCE,
            worker="SELECT, DELETE",
            own=f"person_id = {PERSON}",
        ),
        Protect("ObservationAnswer", web=WRITE_ONCE, worker=READ),
        AppendOnly("ObservationAnswer"),
        Protect("QualityReview", web=WRITE_ONCE, worker=READ),
        AppendOnly("QualityReview"),
        Protect("QualityRelease", web=READ, worker=WRITE_ONCE),
        AppendOnly("QualityRelease"),
    ]
