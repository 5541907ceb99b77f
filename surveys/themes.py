"""What comments are about: themes that are suggested, and confirmed by people before they count.

A theme belongs to one capability and is a list of phrases (METRICS.md M08b). Workers suggest from
released comments of the last 90 days; whose service it is confirms, renames or dismisses.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from portal.audit.trail import Actor, record
from portal.tenancy.context import acting
from surveys import suggesting_themes
from surveys.models import Comment, Theme
from surveys.suggesting_themes import Said, pattern_of
from surveys.sweeping import each_organisation

#: Comments that suggestions rest on: as old as this, and so many of a capability at most.
WINDOW, MOST_COMMENTS = timedelta(days=90), 2_000
#: A capability is looked at again for as long after a batch of its answers was released.
LOOKED_FOR = timedelta(days=1)
#: Fewer comments than this lead to their authors.
ENOUGH_COMMENTS = 5
LONGEST_NAME = 80


class ThemeRefused(ValueError):
    """A theme cannot be named so, or is not where the act needs it; the message says why."""


def sweep(now: datetime) -> int:
    """Suggest themes where new comments were released; return how many are new."""
    return each_organisation("Suggesting themes", lambda tenant_id: _suggest_for(tenant_id, now))


def _suggest_for(tenant_id: int, now: datetime) -> int:
    with acting(tenant_id):
        fresh = (
            Comment.objects.for_tenant(tenant_id)
            .filter(
                answer__released_at__gt=now - LOOKED_FOR,
                answer__event__capability__isnull=False,
            )
            .exclude(text="")
        )
        capabilities = fresh.values_list("answer__event__capability", flat=True).distinct()
        return sum(_suggest(tenant_id, capability, now) for capability in list(capabilities))


def _suggest(tenant_id: int, capability: int, now: datetime) -> int:
    told = (
        Comment.objects.readable(tenant_id)
        .filter(answer__event__capability=capability, answer__event__at__gt=now - WINDOW)
        .order_by("-pk")
        .values_list("pk", "answer__event__requester", "text")[:MOST_COMMENTS]
    )
    # Whom nobody knows is a person of their own.
    said = [Said(-pk if by is None else by, text) for pk, by, text in told]
    if len(said) < ENOUGH_COMMENTS:
        return 0
    known = set(
        Theme.objects.for_tenant(tenant_id)
        .filter(capability=capability)
        .values_list("language", "phrases__0")
    )
    new = [
        Theme(
            tenant_id=tenant_id,
            capability_id=capability,
            language=one.language,
            name=one.name[:LONGEST_NAME],
            phrases=list(one.phrases),
            pattern=pattern_of(one.phrases),
            people=one.people,
            suggested_at=now,
        )
        for one in suggesting_themes.suggest(said)
        if (one.language, one.phrases[0]) not in known
    ]
    # Another worker may suggest the same at the same time.
    Theme.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


@transaction.atomic
def confirm(*, theme: Theme, name: str, by: Actor, at: datetime) -> Theme:
    """Let a theme count under a name; a confirmed one is renamed. Raises ThemeRefused."""
    mine = _locked(theme)
    said = " ".join(name.split())
    if not said or len(said) > LONGEST_NAME or not said.isprintable():
        raise ThemeRefused(f"A theme has a name of 1 to {LONGEST_NAME} characters.")
    if mine.state == Theme.State.DISMISSED:
        raise ThemeRefused("This theme was dismissed.")
    others = Theme.objects.for_tenant(mine.tenant_id).exclude(pk=mine.pk)
    if others.filter(
        capability=mine.capability_id, state=Theme.State.CONFIRMED, name__iexact=said
    ).exists():
        raise ThemeRefused(f"There is a theme {said} for this service already.")
    act = "renamed" if mine.state == Theme.State.CONFIRMED else "confirmed"
    mine.state, mine.name = Theme.State.CONFIRMED, said
    return _decide(mine, act=act, by=by, at=at)


@transaction.atomic
def dismiss(*, theme: Theme, by: Actor, at: datetime) -> Theme:
    """Say that a theme is none, confirmed or not: it counts no longer. Raises ThemeRefused."""
    mine = _locked(theme)
    if mine.state == Theme.State.DISMISSED:
        raise ThemeRefused("This theme was dismissed.")
    mine.state = Theme.State.DISMISSED
    return _decide(mine, act="dismissed", by=by, at=at)


def _locked(theme: Theme) -> Theme:
    """The theme as it stands, until the transaction ends; deciders of a capability take turns."""
    themes = Theme.objects.for_tenant(theme.tenant_id).filter(capability=theme.capability_id)
    return {one.pk: one for one in themes.order_by("pk").select_for_update()}[theme.pk]


def _decide(theme: Theme, *, act: str, by: Actor, at: datetime) -> Theme:
    theme.decided_at, theme.decided_by = at, by.name
    theme.save(update_fields=["state", "name", "decided_at", "decided_by"])
    record(
        tenant_id=theme.tenant_id,
        actor=by,
        act=act,
        subject_kind="theme of comments",
        subject_id=theme.pk,
        at=at,
        detail={"name": theme.name, "phrases": theme.phrases, "capability": theme.capability_id},
    )
    return theme
