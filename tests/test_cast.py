"""The test database itself: the right role, a context, and nothing without one."""

import pytest
from django.db import connection

from portal.catalogue.models import Capability
from portal.tenancy.context import NoActingTenant, acting
from tests.factories import Cast


def test_the_tests_run_as_the_web_role(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("wellserved_web",)


def test_an_organisation_sees_its_own_rows_only(cast: Cast) -> None:
    with acting(cast.acme.pk):
        assert {c.slug for c in Capability.objects.all()} == {"accounts", "network"}
    with acting(cast.globex.pk):
        assert not Capability.objects.exists()


def test_without_a_context_a_query_is_refused(cast: Cast) -> None:
    with pytest.raises(NoActingTenant):
        Capability.objects.exists()
