"""The pages of targets, below `/<organisation>/targets/`."""

from __future__ import annotations

from django.urls import path

from governance import views

urlpatterns = [
    path("", views.targets, name="targets"),
    path("propose/", views.propose_targets, name="propose_targets"),
    path("<int:sheet>/", views.target_sheet, name="target_sheet"),
    path("<int:sheet>/accept/", views.accept_sheet, name="accept_sheet"),
]
