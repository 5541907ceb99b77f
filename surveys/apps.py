"""The surveys room as a Django app."""

from django.apps import AppConfig


class SurveysConfig(AppConfig):
    name = "surveys"

    def ready(self) -> None:
        import surveys.imported_ratings  # noqa: F401 - declares who enters messages of type answer
