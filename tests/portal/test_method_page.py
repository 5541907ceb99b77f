"""The method page: everything that decides a figure, and every version of it."""

from __future__ import annotations

from datetime import UTC, datetime

from metrics import definitions
from metrics.deciding_settings import change_settings
from portal.audit.trail import Actor
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.portal.test_one_number import Shown, browser

METHOD = "/acme/method/"


def test_every_metric_is_explained_with_what_it_leaves_out_and_how_it_is_gamed(cast: Cast) -> None:
    page = Shown(browser(cast, "rui").get(METHOD).content.decode())
    for metric in definitions.BY_KEY.values():
        said = page.text_of[metric.key]
        for words in (
            metric.question,
            metric.formula,
            metric.population,
            metric.excluded,
            metric.guardrail_words,
            metric.gaming,
            *(view.name for view in metric.views),
        ):
            assert words in said, f"{metric.key}: {words}"
        in_no_figure = "spam, test tickets, tickets merged into another" in said
        assert in_no_figure is (metric.key not in {"self_service_completion", "telemetry_proxy"})


def test_the_settings_in_force_and_every_version_are_told(
    cast: Cast, django_assert_max_num_queries: object
) -> None:
    assert "Version 1 is in force" in browser(cast).get(METHOD).content.decode()
    decided = ({"reopen_line": 0.15}, {"reopen_line": 0.25, "severity_policy": "governed"})
    for number, values in enumerate(decided, start=1):
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            change_settings(
                tenant=cast.acme,
                values=values,
                reason=f"Reason {number}.",
                by=Actor(cast.ada.actor_key, cast.ada.name),
                at=datetime(2026, 3, number, 12, tzinfo=UTC),
            )
    client = browser(cast)
    with django_assert_max_num_queries(15):  # type: ignore[operator]
        answer = client.get(METHOD)
    said = Shown(answer.content.decode()).text_of["settings"]
    assert "Version 3 is in force" in said
    assert (
        "Version 3, 02 March 2026, Ada: Reason 2. (Which severity targets and figures use: recorded"
        " to governed; Line of the reopen rate: 0.15 to 0.25)" in said
    )
    assert "governed: milder only with a reason and another's approvalrecorded: as the" in said
    assert "Version 2, 01 March 2026, Ada: Reason 1. (Line of the reopen rate: 0.2 to 0.15)" in said
    assert said.index("Version 3, 02") < said.index("Version 2, 01") < said.index("Version 1:")
