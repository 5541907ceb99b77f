"""The roof: pages, REST API and commands that stand above every room."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        from django.utils.module_loading import autodiscover_modules

        from portal.admin_site import site

        autodiscover_modules("admin", register_to=site)
        from portal import checks  # noqa: F401 - registers the system checks
