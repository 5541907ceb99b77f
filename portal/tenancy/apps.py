"""The tenancy room of the ground floor as a Django app."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class TenancyConfig(AppConfig):
    name = "portal.tenancy"
    label = "tenancy"

    def ready(self) -> None:
        from portal.tenancy.context import watch
        from portal.tenancy.role import refuse_unsafe_role

        connection_created.connect(watch, dispatch_uid="tenancy.watch")
        connection_created.connect(refuse_unsafe_role, dispatch_uid="tenancy.role")
