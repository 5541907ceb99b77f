"""The pages of sources: connect a help desk, map its words, correct roles, see what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from portal.catalogue.scope import live_capabilities
from portal.organisations import MemberRequest, needs
from portal.people.roles import Right
from tickets import access, account_roles, connecting, mapping_page, sources_page, surveying
from tickets.access import NotConnectable
from tickets.connecting import NewHook
from tickets.connectors import CONNECTORS, connector_of
from tickets.connectors.base import Asked, Connector
from tickets.lens import WordsError
from tickets.models import Connection, ImportRun, MappingSurvey, QuarantinedRow
from tickets.quality import issues
from tickets.storable import storable
from tickets.words import SavedMeanwhile, save_version, words_of

#: Accounts and quarantined rows on one page.
PAGE = 50


def find(request: MemberRequest, source: str) -> Connection:
    """A source of the organisation, or 404."""
    return get_object_or_404(Connection.objects.for_tenant(request.organisation), name=source)


# --- the list and one source ---------------------------------------------------------------------


@needs(Right.CONFIGURE)
@require_safe
def sources(request: MemberRequest, organisation: str) -> HttpResponse:
    """Every source: how it stands, what waits, what was imported last."""
    found = sources_page.sources(request.organisation.pk, now=timezone.now())
    return render(request, "tickets/sources.html", {"sources": found})


@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def source(request: MemberRequest, organisation: str, source: str) -> HttpResponse:
    """One source. POST with `act`: `check` tests it, `pause` and `resume` stop and start pulling.

    With `part=check` the answer is the part of the page that waits for the test.
    """
    connection = find(request, source)
    if request.method == "POST":
        acts: dict[str, Callable[..., Any]] = {
            "check": access.ask_for_check,
            "pause": access.pause,
            "resume": access.resume,
        }
        act = acts.get(request.POST.get("act", ""))
        if act is None:
            return _refused(request)
        act(connection=connection, by=request.member.actor, at=timezone.now())
        return redirect("source", organisation, source)
    check = access.checks_of(connection).first()
    context: dict[str, Any] = {"connection": connection, "check": check}
    if request.GET.get("part") == "check":
        return render(request, "tickets/part_check.html", context)
    now = timezone.now()
    runs = ImportRun.objects.for_tenant(request.organisation).filter(connection=connection)
    found = sources_page.sources(request.organisation.pk, now=now, name=source)
    context |= {
        "source": found[0],
        "connector": connector_of(connection.kind),
        "can_be_changed": access.can_be_changed(connection),
        "imports": [sources_page.progress(run, now) for run in runs[:20]],
    }
    return render(request, "tickets/source.html", context)


def _refused(request: MemberRequest) -> HttpResponse:
    """The answer to a form that names no act."""
    context = {"words": "The form named no act. Nothing was changed."}
    return render(request, "tickets/refused.html", context, status=400)


@needs(Right.CONFIGURE)
@require_safe
def source_import(request: MemberRequest, organisation: str, source: str, run: int) -> HttpResponse:
    """One import: how far it is, and the rows that were not used, each with its reason."""
    connection = find(request, source)
    runs = ImportRun.objects.for_tenant(request.organisation).filter(connection=connection)
    found = get_object_or_404(runs, pk=run)
    rows = QuarantinedRow.objects.for_tenant(request.organisation).filter(run=found)
    context = {
        "connection": connection,
        "progress": sources_page.progress(found, timezone.now()),
        "rows": Paginator(rows.order_by("row_number", "field"), PAGE).get_page(
            request.GET.get("page")
        ),
    }
    return render(request, "tickets/import.html", context)


# --- connecting ----------------------------------------------------------------------------------


class AccessForm(forms.Form):
    """Where a help desk is and what opens it: what its connector asks for."""

    def __init__(
        self, connector: Connector, *args: Any, connection: Connection | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.connector = connector
        if connector.pulls:
            self.fields["base_url"] = forms.CharField(
                label="Address",
                max_length=300,
                help_text="Where its API is, such as https://desk.example.org.",
                widget=forms.URLInput(attrs={"placeholder": "https://", "autocomplete": "off"}),
            )
        for ask in connector.asks:
            self.fields[ask.name] = _field(ask, new=connection is None)

    def answers(self) -> dict[str, str]:
        """What was entered, by the names the connector asks for."""
        return {ask.name: self.cleaned_data.get(ask.name, "") for ask in self.connector.asks}

    def take(self, refusal: NotConnectable) -> None:
        """Show each mistake beside its field."""
        for name, words in refusal.mistakes.items():
            self.add_error(name if name in self.fields else None, words)


class ConnectForm(AccessForm):
    """A new source."""

    field_order = ("name", "base_url")
    name = forms.CharField(
        label="Name",
        max_length=60,
        help_text="Small letters, digits and hyphens; it stands in addresses and stays.",
    )


def _field(ask: Asked, *, new: bool) -> forms.CharField:
    """A field for what a connector asks; secrets are never shown again."""
    widget: type[forms.Widget] = forms.PasswordInput if ask.secret else forms.TextInput
    widget = forms.Textarea if ask.long else widget
    hint = ask.help
    if ask.secret and not new:
        hint = f"{hint} Leave it empty to keep what is stored.".strip()
    return forms.CharField(
        label=ask.label,
        help_text=hint,
        required=ask.required and (new or not ask.secret),
        max_length=20_000 if ask.long else 2000,
        widget=widget(attrs={"autocomplete": "off"}),
    )


@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def connect_source(request: MemberRequest, organisation: str) -> HttpResponse:
    """Choose a help desk (`kind`), then say where it is and what opens it."""
    asked = request.POST if request.method == "POST" else request.GET
    connector = CONNECTORS.get(asked.get("kind", ""))
    if connector is None:
        context: dict[str, Any] = {"connectors": list(CONNECTORS.values())}
        wrong = request.method == "POST" or bool(asked.get("kind"))
        return render(request, "tickets/choose.html", context, status=400 if wrong else 200)
    form = ConnectForm(connector, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            made = access.connect(
                tenant_id=request.organisation.pk,
                name=form.cleaned_data["name"],
                kind=connector.key,
                base_url=form.cleaned_data.get("base_url", ""),
                answers=form.answers(),
                by=request.member.actor,
                at=timezone.now(),
            )
            messages.success(request, f"{made.name} is connected.")
            return redirect("source", organisation, made.name)
        except NotConnectable as refusal:
            form.take(refusal)
    context = {"form": form, "connector": connector}
    return render(request, "tickets/connect.html", context, status=400 if form.errors else 200)


@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def source_access(request: MemberRequest, organisation: str, source: str) -> HttpResponse:
    """Change a source's address or credentials; another address needs the credentials again."""
    connection = find(request, source)
    connector = connector_of(connection.kind)
    form = AccessForm(
        connector,
        request.POST if request.method == "POST" else None,
        connection=connection,
        initial={**connection.options, "base_url": connection.base_url},
    )
    if form.is_bound and not access.can_be_changed(connection):
        return _refused(request)
    if form.is_bound and form.is_valid():
        try:
            access.change_access(
                connection=connection,
                base_url=form.cleaned_data.get("base_url", ""),
                answers=form.answers(),
                by=request.member.actor,
                at=timezone.now(),
            )
            tested = " A test of the connection was asked for." if connector.pulls else ""
            messages.success(request, f"Changed.{tested}")
            return redirect("source", organisation, source)
        except NotConnectable as refusal:
            form.take(refusal)
    context = {
        "connection": connection,
        "connector": connector,
        "form": form,
        "can_be_changed": access.can_be_changed(connection),
    }
    return render(request, "tickets/access.html", context, status=400 if form.errors else 200)


@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def source_hook(request: MemberRequest, organisation: str, source: str) -> HttpResponse:
    """Give a source a hook address, change its secret, or end both (`act`).

    `open`, `rotate` and `retire`; what is made is shown in the answer to the form and never again.
    """
    connection = find(request, source)
    act = request.POST.get("act", "") if request.method == "POST" else "show"
    who: dict[str, Any] = {
        "connection": connection,
        "by": request.member.actor,
        "at": timezone.now(),
    }
    secret, made, error = request.POST.get("secret", ""), NewHook("", ""), ""
    try:
        match act:
            case "open":
                made = connecting.open_hook(**who, secret=secret)
            case "rotate":
                made = NewHook("", connecting.rotate_secret(**who, secret=secret))
            case "retire":
                connecting.retire_hook(**who)
            case "show":
                pass
            case _:
                return _refused(request)
    except (connecting.TakesNoHooks, connecting.NoHook, connecting.BadSecret) as refusal:
        error = str(refusal)
    connection.refresh_from_db()
    context = {
        "connection": connection,
        "connector": connector_of(connection.kind),
        "made": made,
        "error": error,
    }
    return render(request, "tickets/hook.html", context, status=400 if error else 200)


# --- mapping -------------------------------------------------------------------------------------


@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def source_mapping(request: MemberRequest, organisation: str, source: str) -> HttpResponse:
    """What a source's own words mean. POST with `act`:

    `look` asks a worker for its words, `sure` and `all` fill in suggestions, `preview` asks what
    the draft would make of the last 30 days, `save` saves it as the next version.
    """
    connection = find(request, source)
    if request.method == "POST":
        return _map(request, connection)
    preview = _preview_of(connection, request.GET.get("draft", ""))
    page = mapping_page.page(connection, preview=preview)
    part = request.GET.get("part", "")
    template = {"preview": "part_preview", "words": "part_words"}.get(part, "mapping")
    response = render(request, f"tickets/{template}.html", _mapping_context(request, page))
    if part == "words" and page.survey is not None and page.survey.answered_at is not None:
        response["HX-Refresh"] = "true"  # the tables are all over the page
    return response


def _preview_of(connection: Connection, asked: str) -> MappingSurvey | None:
    """The preview of a number, or 404; None where none was asked for."""
    if not asked:
        return None
    previews = MappingSurvey.objects.for_tenant(connection.tenant_id).filter(connection=connection)
    return get_object_or_404(previews.exclude(draft={}), pk=int(asked) if asked.isdecimal() else 0)


def _mapping_context(request: MemberRequest, page: mapping_page.Page) -> dict[str, Any]:
    draft = page.preview.pk if page.preview is not None else ""
    return {"connection": page.connection, "page": page, "draft": draft}


def _map(request: MemberRequest, connection: Connection) -> HttpResponse:
    """Do what the mapping form asks for."""
    act, now = request.POST.get("act", ""), timezone.now()
    slug, here = request.organisation.slug, redirect(request.path)
    if act == "look":
        surveying.ask(connection, at=now)
        return here
    document = mapping_page.draft_of(connection, request.POST.dict(), words_of(connection))
    try:
        words = mapping_page.checked(connection, document)
        if act in ("sure", "all"):
            shown = mapping_page.page(connection, document=document)
            filled = mapping_page.with_suggestions(shown, document, only_sure=act == "sure")
            page = mapping_page.page(connection, document=filled)
            return render(request, "tickets/mapping.html", _mapping_context(request, page))
        if act == "preview":
            survey = surveying.ask(connection, at=now, draft=words.document())
            query = QueryDict(mutable=True)
            query["draft"] = str(survey.pk)
            return redirect(f"{request.path}?{query.urlencode()}#preview")
        if act == "save":
            based_on = request.POST.get("number", "")
            version = save_version(
                connection=connection,
                words=words,
                by=request.member.actor,
                at=now,
                based_on=int(based_on) if based_on.isdecimal() else 0,
            )
            messages.success(
                request,
                f"Version {version.number} is saved. Its tickets are folded again; figures follow"
                " within minutes.",
            )
            return redirect("source", slug, connection.name)
        mistakes = ["The form named no act. Nothing was changed."]
    except WordsError as error:
        mistakes = error.mistakes
    except SavedMeanwhile as error:
        mistakes = [str(error)]
    context = _mapping_context(request, mapping_page.page(connection)) | {"mistakes": mistakes}
    return render(request, "tickets/mapping.html", context, status=400)


@needs(Right.CONFIGURE)
@require_safe
def mapping_versions(request: MemberRequest, organisation: str, source: str) -> HttpResponse:
    """Every saved version: who, when, and what it changed."""
    connection = find(request, source)
    context = {"connection": connection, "versions": mapping_page.history(connection)}
    return render(request, "tickets/versions.html", context)


# --- roles ---------------------------------------------------------------------------------------


class RoleForm(forms.Form):
    """What an account is, from a day on."""

    account = forms.CharField(max_length=200, help_text="As the help desk names it.")
    role = forms.ChoiceField(
        choices=[("", "choose"), *((kind.value, kind.value) for kind in account_roles.CHOICES)]
    )
    since = forms.DateField(
        label="From",
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text="Empty: always.",
    )


@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def source_roles(request: MemberRequest, organisation: str, source: str) -> HttpResponse:
    """What each account was when. POST corrects a role, or with `withdraw` takes that back."""
    connection = find(request, source)
    by, now = request.member.actor, timezone.now()
    given = request.POST.get("withdraw", "")
    form = RoleForm(
        request.POST if request.method == "POST" and not given else None,
        initial={"account": request.GET.get("account", "")},
    )
    if given:
        correction = int(given) if given.isdecimal() else 0
        if account_roles.withdraw(connection=connection, correction_id=correction, by=by, at=now):
            messages.success(request, "Taken back. The tickets of the source are folded again.")
        return redirect("source_roles", organisation, source)
    if form.is_bound and form.is_valid():
        day = form.cleaned_data["since"]
        zone = request.organisation.zone
        try:
            account_roles.correct(
                connection=connection,
                external_id=form.cleaned_data["account"],
                role=form.cleaned_data["role"],
                since=datetime.combine(day, time(), tzinfo=zone) if day else account_roles.EVER,
                by=by,
                at=now,
            )
            messages.success(request, "Corrected. The tickets concerned are folded again.")
            return redirect("source_roles", organisation, source)
        except account_roles.NotCorrectable as refusal:
            form.add_error(None, str(refusal))
    context = _roles_context(request, connection, now) | {"form": form}
    return render(request, "tickets/roles.html", context, status=400 if form.errors else 200)


def _roles_context(request: MemberRequest, connection: Connection, now: datetime) -> dict[str, Any]:
    search = storable(request.GET.get("q", "").strip())
    role = storable(request.GET.get("role", ""))
    names = account_roles.names_of(connection, search=search, role=role)
    shown = Paginator(names, PAGE).get_page(request.GET.get("page"))
    surveys = MappingSurvey.objects.for_tenant(connection.tenant_id).filter(
        connection=connection, draft={}, answered_at__isnull=False
    )
    looked = surveys.first()
    return {
        "connection": connection,
        "accounts": account_roles.accounts_named(connection, shown.object_list, at=now),
        "pages": shown,
        "search": search,
        "role": role,
        "query": f"{urlencode({'q': search, 'role': role})}&",
        "choices": account_roles.CHOICES,
        "ever": account_roles.EVER,
        "unknown": looked.found.get("unknown_accounts", []) if looked else [],
        "looked_at": looked.answered_at if looked else None,
    }


# --- quality -------------------------------------------------------------------------------------


@needs(Right.READ_QUALITY)
@require_safe
def data_quality(request: MemberRequest, organisation: str) -> HttpResponse:
    """What is wrong with the data, on how many tickets, what it does, and what to do.

    Administrators see all of it; others that of their own services and of tickets of none.
    """
    member, tenant = request.member, request.organisation
    configures = member.may(Right.CONFIGURE)
    mine = None
    if not configures:
        live = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
        mine = list(live.values_list("pk", flat=True))
    context = {
        "issues": issues(tenant.pk, capabilities=mine),
        "configures": configures,
    }
    return render(request, "tickets/quality.html", context)
