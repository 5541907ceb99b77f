"""The pages of uploaded files, below `/<organisation>/sources/upload/`."""

from __future__ import annotations

from django.urls import path

from tickets import upload_views

urlpatterns = [
    path("", upload_views.uploads, name="uploads"),
    path("<int:upload>/", upload_views.upload, name="upload"),
    path("<int:upload>/refused.csv", upload_views.refused_rows, name="upload_refused"),
]
