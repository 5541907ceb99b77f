"""Addresses behind a survey link, under `/s/`."""

from django.urls import path

from surveys import views

urlpatterns = [
    path("<str:token>/", views.Survey.as_view(), name="survey"),
    path("<str:token>/thanks/", views.Thanks.as_view(), name="survey_thanks"),
    path("<str:token>/unsubscribe/", views.Unsubscribe.as_view(), name="survey_unsubscribe"),
    path("<str:token>/more/", views.HiddenLink.as_view(), name="survey_hidden"),
]
