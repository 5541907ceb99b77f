"""The page of observations: writing one, what became of one's own, and those of one's services.

Whoever reads an observation learns in what role it was written, never by whom; the database shows
authors to themselves only (metrics/models.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Prefetch, QuerySet
from django.http import Http404

from metrics.answering_signals import may_answer
from metrics.evidence import week_of
from metrics.masking import Mask
from metrics.models import Observation, ObservationAnswer
from metrics.observing import (
    NotObservable,
    answer_observation,
    observed_metrics,
    standpoint_of,
    write_observation,
)
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member

SHOWN = 50


class ObservationForm(forms.Form):
    """What somebody saw, about which service and figure."""

    capability = forms.ModelChoiceField(
        Capability.objects.none(), label="Service", to_field_name="slug"
    )
    metric = forms.ChoiceField(label="Read beside", required=False)
    text = forms.CharField(
        label="What did you see?",
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Up to 1,000 characters; about the service and its work, not about a person.",
    )

    def __init__(self, member: Member, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        served = self.fields["capability"]
        assert isinstance(served, forms.ModelChoiceField)
        served.queryset = Capability.objects.for_tenant(member.organisation).order_by("name")
        metric = self.fields["metric"]
        assert isinstance(metric, forms.ChoiceField)
        metric.choices = [
            ("", "the service in general"),
            *((one.key, one.name) for one in observed_metrics()),
        ]


@dataclass(frozen=True, slots=True)
class Shown:
    """An observation as the page tells it."""

    id: int
    heading: str
    text: str
    about: str
    answers: tuple[ObservationAnswer, ...]
    may_answer: bool = False


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    form: ObservationForm
    standpoint: str
    own: list[Shown]
    #: Of the services whose figures the member reads live; unanswered ones first.
    others: list[Shown]
    reads: bool
    error: str = ""


def page(member: Member, form: ObservationForm | None = None) -> Page:
    """The page as this member may see it."""
    tenant = member.organisation
    live = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
    # Those of others only where they are the member's to read; one's own wherever.
    own = list(_all(member).filter(author__person=member.person)[:SHOWN])
    others = list(_all(member).filter(capability__in=live)[:SHOWN])
    mask = Mask.of(tenant) if others else None
    return Page(
        form=form or ObservationForm(member),
        standpoint=standpoint_of(member.roles).label,
        own=[_shown(one, one.text) for one in own],
        others=sorted(
            (
                _shown(
                    one,
                    mask(one.text) if mask else one.text,
                    may_answer=may_answer(member.person, member.roles, one.capability),
                )
                for one in others
            ),
            key=lambda one: bool(one.answers),
        ),
        reads=live.exists(),
    )


def _all(member: Member) -> QuerySet[Observation]:
    answers = ObservationAnswer.objects.for_tenant(member.organisation)
    return (
        Observation.objects.for_tenant(member.organisation)
        .select_related("capability__domain")
        .prefetch_related(Prefetch("answers", answers))
    )


def _shown(observation: Observation, text: str, *, may_answer: bool = False) -> Shown:
    names = {metric.key: metric.name for metric in observed_metrics()}
    name = names.get(observation.metric)
    about = f"the figure “{name}”" if name else "the service in general"
    return Shown(
        id=observation.pk,
        heading=f"{observation.capability.name}, week {week_of(observation.at)}",
        text=text,
        about=f"{observation.get_standpoint_display()}, about {about}",
        answers=tuple(observation.answers.all()),
        may_answer=may_answer,
    )


def write(member: Member, form: ObservationForm, at: datetime) -> bool:
    """Keep what the form says; False, with its errors, where it cannot be kept."""
    if not form.is_valid():
        return False
    said = form.cleaned_data
    try:
        write_observation(
            tenant=member.organisation,
            capability=said["capability"],
            metric=said["metric"],
            standpoint=standpoint_of(member.roles),
            text=said["text"],
            by=member.actor,
            author=member.person,
            at=at,
        )
    except NotObservable as refused:
        form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        return False
    return True


def answer(member: Member, *, observation: str, outcome: str, reason: str, at: datetime) -> str:
    """Say what became of an observation; the words of a refusal, empty where it is kept.

    Raises Http404 for an observation that is not the member's to answer.
    """
    live = live_capabilities(member.organisation.pk, person=member.person, roles=member.roles)
    found = (
        _all(member).filter(pk=observation, capability__in=live).first()
        if observation.isdecimal() and len(observation) < 19
        else None
    )
    if found is None or not may_answer(member.person, member.roles, found.capability):
        raise Http404
    if outcome not in ObservationAnswer.Outcome.values:
        return "Say what becomes of it: choose one."
    if len(reason) > 500:
        return "A reason has up to 500 characters; nothing was kept."
    try:
        answer_observation(
            observation=found,
            outcome=ObservationAnswer.Outcome(outcome),
            reason=reason,
            by=member.person,
            roles=member.roles,
            at=at,
        )
    except NotObservable as refused:
        return str(refused)
    return ""
