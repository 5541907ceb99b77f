"""Themes of comments in the reading queue: suggestions to decide about, and what counts.

Of the reader's own capabilities only, with comments of released batches, masked, and from five
people or more; nobody is named in a theme (TRUST.md T14, B2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import Http404

from metrics.evidence import SMALLEST_BATCH, week_of
from metrics.masking import Mask
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member
from surveys import themes
from surveys.models import Comment, Theme
from surveys.suggesting_themes import speaks_of
from surveys.themes import ThemeRefused

#: Suggestions on the page, comments beside each, and comments that are looked through for them.
SHOWN, EXAMPLES, LOOKED_THROUGH = 20, 2, 300


@dataclass(frozen=True, slots=True)
class Example:
    """A comment that speaks of a theme."""

    text: str
    week: str


@dataclass(frozen=True, slots=True)
class Row:
    """A theme as the page shows it."""

    id: int
    name: str
    capability: str
    phrases: str
    people: int
    examples: list[Example] = field(default_factory=list)
    decided: str = ""
    #: Why what was sent could not be done, and the name that was sent.
    refused: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows."""

    suggested: list[Row]
    confirmed: list[Row]


def page(member: Member, *, refused: Mapping[int, tuple[str, str]] | None = None) -> Page:
    """Themes this member may decide about: suggestions by number of people, then confirmed ones.

    `refused` says of a theme what was sent and why it could not be done.
    """
    mask = Mask.of(member.organisation)
    # A phrase that holds a colleague's name is no theme.
    found = [one for one in _mine(member) if not mask.hides_in(one.name, *one.phrases)]
    suggested = [one for one in found if one.state == Theme.State.SUGGESTED][:SHOWN]
    confirmed = [one for one in found if one.state == Theme.State.CONFIRMED]
    comments = _comments(member, {one.capability_id for one in suggested})
    said = refused or {}

    def row(theme: Theme) -> Row:
        sent, why = said.get(theme.pk, ("", ""))
        return Row(
            theme.pk,
            theme.name,
            str(theme.capability),
            ", ".join(theme.phrases),
            theme.people,
            _examples(theme, comments.get(theme.capability_id, ()), mask),
            f"{theme.decided_by}, {theme.decided_at:%-d %B %Y}" if theme.decided_at else "",
            why,
            sent or theme.name,
        )

    return Page([row(one) for one in suggested], [row(one) for one in confirmed])


def _mine(member: Member) -> QuerySet[Theme]:
    """Themes of the member's own capabilities that nobody dismissed, most people first."""
    tenant = member.organisation
    mine = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
    return (
        Theme.objects.for_tenant(tenant)
        .filter(capability__in=mine)
        .exclude(state=Theme.State.DISMISSED)
        .select_related("capability")
        .order_by("-people", "capability__name", "name", "pk")
    )


def _comments(member: Member, capabilities: set[int]) -> dict[int, list[Comment]]:
    """The latest readable comments of capabilities that have five of them or more."""
    latest = (
        Comment.objects.readable(member.organisation)
        .filter(answer__event__capability__in=capabilities)
        .select_related("answer__event")
        .order_by("-at", "-pk")[:LOOKED_THROUGH]
    )
    found: dict[int, list[Comment]] = defaultdict(list)
    for comment in latest:
        found[comment.answer.event.capability_id or 0].append(comment)
    return {key: some for key, some in found.items() if len(some) >= SMALLEST_BATCH}


def _examples(theme: Theme, comments: Iterable[Comment], mask: Mask) -> list[Example]:
    if theme.state != Theme.State.SUGGESTED:
        return []
    speaking = [one for one in comments if speaks_of(one.text, theme.pattern)]
    return [Example(mask(one.text), week_of(one.at)) for one in speaking[:EXAMPLES]]


def decide(
    member: Member, said: Mapping[str, str], *, at: datetime
) -> Mapping[int, tuple[str, str]]:
    """Confirm, rename or dismiss a theme; return what was refused, as `page` takes it.

    Raises BadRequest; Http404 for a theme that is not the member's.
    """
    number, name, act = (said.get(key, "") for key in ("theme", "name", "do"))
    if not number.isdecimal() or act not in ("confirm", "dismiss"):
        raise BadRequest("Which theme, and is it to be confirmed or dismissed?")
    theme = _mine(member).filter(pk=number).first()
    if theme is None:
        raise Http404
    try:
        if act == "dismiss":
            themes.dismiss(theme=theme, by=member.actor, at=at)
        else:
            if Mask.of(member.organisation).hides_in(name):
                raise ThemeRefused("A theme names no colleague.")
            themes.confirm(theme=theme, name=name, by=member.actor, at=at)
    except ThemeRefused as refusal:
        return {theme.pk: (name, str(refusal))}
    return {}
