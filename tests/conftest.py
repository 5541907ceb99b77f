"""The database of the test run and the cast everyone knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from hypothesis import settings

from metrics.keeping import KEPT
from metrics.settled import SETTLED
from portal.tenancy import context
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, build_cast

#: A search says what is wrong, never what is slow: the machine may be busy with other things.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")

connection_created.connect(roles.set_role, dispatch_uid="tests.roles")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The owner created and migrated the database; from here on the web role is tested."""
    connection.close()
    roles.become(roles.WEB)
    yield
    roles.become(roles.OWNER)
    connection.close()


@pytest.fixture(autouse=True)
def nobody_acts() -> Iterator[None]:
    """No context outlives the test that entered it, as none outlives a request."""
    yield
    context._leave((None, None))


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """No test finds blocks that another one read: what it asks would depend on their order."""
    KEPT.clear()
    SETTLED.clear()


@pytest.fixture
def cast(db: None) -> Cast:
    """Acme with Olga, Sam, Bea, Agnes, Arjun, Rui, Pia, Cleo, Ada and Aude; Globex with Eve."""
    with roles.as_role(roles.OWNER):
        return build_cast()


@pytest.fixture
def in_acme(cast: Cast) -> Iterator[Cast]:
    """The cast, with Acme as the acting organisation."""
    with acting(cast.acme.pk):
        yield cast


@pytest.fixture
def worker(db: None) -> Iterator[None]:
    """Act as the worker's database role."""
    with roles.as_role(roles.WORKER):
        yield


@pytest.fixture
def owner(db: None) -> Iterator[None]:
    """Act as the owner's database role, for setting up."""
    with roles.as_role(roles.OWNER):
        yield
