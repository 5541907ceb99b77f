"""The pages of sources, below `/<organisation>/sources/`."""

from __future__ import annotations

from django.urls import path

from tickets import views

urlpatterns = [
    path("", views.sources, name="sources"),
    path("connect/", views.connect_source, name="connect_source"),
    path("quality/", views.data_quality, name="data_quality"),
    path("<slug:source>/", views.source, name="source"),
    path("<slug:source>/access/", views.source_access, name="source_access"),
    path("<slug:source>/hook/", views.source_hook, name="source_hook"),
    path("<slug:source>/mapping/", views.source_mapping, name="source_mapping"),
    path("<slug:source>/mapping/versions/", views.mapping_versions, name="mapping_versions"),
    path("<slug:source>/roles/", views.source_roles, name="source_roles"),
    path("<slug:source>/imports/<int:run>/", views.source_import, name="source_import"),
]
