"""Which organisation a request is for, who asks, and whether they may: one door for every page.

Every view declares what it needs with `@needs(right)`, `@signed_in` or `@anybody`; a view that
declares nothing is refused, so a forgotten declaration closes a page instead of opening it. The
whole request runs in one transaction whose acting context is the path's organisation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import get_script_prefix, reverse, set_script_prefix

from portal.audit.trail import Actor
from portal.people.mfa import has_second_factor
from portal.people.models import Membership, Person
from portal.people.roles import GOVERNING, Right, Role, rights_of
from portal.tenancy import context
from portal.tenancy.models import Organisation

View = Callable[..., Any]

#: Django's admin is mounted once, at /admin/; an organisation's stands at /<organisation>/admin/.
_ADMIN_PATH = re.compile(r"/(?P<slug>[-\w]+)(?P<rest>/admin(?:/.*)?)", re.DOTALL)

#: Rights of which one opens the administration; each page there asks for its own.
ADMINISTERS = frozenset(
    {
        Right.CONFIGURE,
        Right.READ_AUDIT,
        Right.PROPOSE_TARGETS,
        Right.ACCEPT_TARGETS,
        Right.COSIGN_TARGETS,
    }
)

#: Views of others that stand outside any organisation: sign-in, static documents.
_OPEN_NAMESPACES = ("allauth.", "django.contrib.staticfiles", "django.views.i18n")


@dataclass(frozen=True, slots=True)
class Member:
    """The signed-in person as a member of the organisation in the path."""

    person: Person
    organisation: Organisation
    roles: frozenset[Role]

    @property
    def rights(self) -> frozenset[Right]:
        """Everything their roles allow in this organisation; the demo's mailbox is open to all."""
        extra = frozenset({Right.READ_MAILBOX}) if settings.DEMO else frozenset[Right]()
        return rights_of(self.roles) | extra

    @property
    def actor(self) -> Actor:
        """How the audit trail names them."""
        return Actor(self.person.actor_key, self.person.name)

    def may(self, right: Right) -> bool:
        """Whether one of their roles holds the right."""
        return right in self.rights

    @property
    def administers(self) -> bool:
        """Whether some page of the administration is theirs."""
        return bool(self.rights & ADMINISTERS)


class MemberRequest(HttpRequest):
    """A request that came through the door of an organisation."""

    member: Member
    organisation: Organisation


def needs(right: Right) -> Callable[[View], View]:
    """Declare that a page of an organisation needs a right."""

    def declare(view: View) -> View:
        view.access = right  # type: ignore[attr-defined]
        return view

    return declare


def signed_in(view: View) -> View:
    """Declare that a page outside organisations needs a signed-in person, nothing more."""
    view.access = "signed_in"  # type: ignore[attr-defined]
    return view


def anybody(view: View) -> View:
    """Declare that a page is for anyone: it must look up its own organisation, if any."""
    view.access = "anybody"  # type: ignore[attr-defined]
    return view


class UndeclaredView(RuntimeError):
    """A view says nothing about who may open it."""


class OrganisationMiddleware:
    """Opens the transaction and, in `process_view`, the door."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = context.current()
        prefix = get_script_prefix()
        _point_to_admin(request)
        try:
            with transaction.atomic():
                response = self.get_response(request)
                if response.status_code >= 500 or getattr(request, "view_failed", False):
                    transaction.set_rollback(True)
        finally:
            set_script_prefix(prefix)
            context.restore(before)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """A view that failed leaves nothing behind.

        Only marked here: the sign-in library answers "confirm that it is you" from an exception
        and still has to read which ways of confirming the person has.
        """
        request.view_failed = True  # type: ignore[attr-defined]

    def process_view(
        self, request: HttpRequest, view: View, args: Any, kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        match = request.resolver_match
        if match is not None and "admin" in match.namespaces:
            return self._enter_admin(request)
        access = access_of(view)
        if access == "anybody":
            return None
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if access == "signed_in":
            return None
        return self._enter(request, frozenset({access}), kwargs["organisation"])

    def _enter_admin(self, request: HttpRequest) -> HttpResponse | None:
        slug = getattr(request, "admin_of", None)
        if slug is None:
            raise Http404  # /admin/ itself: no organisation is named
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        answer = self._enter(request, ADMINISTERS, slug)
        if answer is None:
            # Django's admin writes its own addresses; with this they begin with the organisation.
            set_script_prefix(f"/{slug}/")
        return answer

    def _enter(
        self, request: HttpRequest, rights: frozenset[Right], slug: str
    ) -> HttpResponse | None:
        member = member_of(request.user, slug)  # type: ignore[arg-type]
        if member is None or not member.rights & rights:
            raise Http404
        if (
            settings.REQUIRE_MFA
            and member.roles & GOVERNING
            and not has_second_factor(member.person)
        ):
            return redirect(reverse("mfa_activate_totp"))
        context.enter(member.organisation.pk, person_id=member.person.pk)
        request.organisation = member.organisation  # type: ignore[attr-defined]
        request.member = member  # type: ignore[attr-defined]
        return None


def _point_to_admin(request: HttpRequest) -> None:
    """Let /<organisation>/admin/… reach the one mounted admin, and remember the organisation."""
    match = _ADMIN_PATH.fullmatch(request.path_info)
    if match:
        request.admin_of = match["slug"]  # type: ignore[attr-defined]
        request.path_info = match["rest"]


def access_of(view: View) -> Any:
    """What a view declared: a Right, "signed_in" or "anybody". Raises UndeclaredView."""
    declared = getattr(view, "access", None) or getattr(
        getattr(view, "view_class", None) or getattr(view, "cls", None), "access", None
    )
    if declared is None and view.__module__.startswith(_OPEN_NAMESPACES):
        return "anybody"  # allauth asks for a signed-in person itself where one is needed
    if declared is None:
        raise UndeclaredView(f"{view.__module__}.{view.__qualname__} declares no access.")
    return declared


def member_of(person: Person, slug: str) -> Member | None:
    """The person as a member of the organisation, or None: no such one, or not theirs."""
    memberships = list(
        Membership.objects.filter(person=person, tenant__slug=slug).select_related("tenant")
    )
    if not memberships:
        return None
    return Member(
        person=person,
        organisation=memberships[0].tenant,
        roles=frozenset(Role(membership.role) for membership in memberships),
    )
