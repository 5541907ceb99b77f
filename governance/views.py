"""The pages of targets: the list, one sheet with its signatures, proposing, accepting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_safe

from governance import cosigning, signing
from governance.binding import is_unaltered
from governance.models import Target, TargetSheet
from governance.suggestions import Benchmark, Suggested, Wish, suggested
from governance.targets import (
    STARTERS,
    NotProposable,
    NotTheProcessOwner,
    Starter,
    Wanted,
    full_sheets,
    in_force_from,
    in_words,
    lives,
    measurement_changed,
    missing,
    needed,
    next_period,
    propose,
    status_of,
)
from metrics.definitions import find
from metrics.measure import Reader
from metrics.standing import Direction
from metrics.suggesting import STEPS, Source, Suggestion
from metrics.words import count, day, percent
from portal.audit.models import AuditEntry
from portal.catalogue.models import Capability, Domain
from portal.organisations import Member, MemberRequest, needs
from portal.people.confirming import ConfirmForm
from portal.people.roles import Right, Role
from portal.tenancy.models import Organisation

REFUSALS = (
    NotProposable,
    NotTheProcessOwner,
    cosigning.NotTheirs,
    cosigning.AlreadySigned,
    cosigning.AlreadyDeclined,
    cosigning.ProposerMayNotCosign,
    cosigning.TermsAltered,
    cosigning.CannotBeDeclined,
    cosigning.NothingToRevoke,
    signing.ConfirmAgain,
    signing.NotTheirRole,
)


@dataclass(frozen=True, slots=True)
class Term:
    """A target of a sheet in words, and how it differs from the sheet before."""

    what: str
    words: str
    guardrail: str
    before: str
    digest: str
    #: The definition changed what the number means since this was signed.
    to_be_signed_again: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that is needed: given, or still missing."""

    role: str
    name: str
    meaning: str
    at: datetime | None
    digest: str


@dataclass(frozen=True, slots=True)
class SheetPage:
    """A sheet as pages show it."""

    sheet: TargetSheet
    status: str
    begins: Any
    terms: list[Term]
    #: Targets of the sheet before that this one has no longer: what, and its value in words.
    dropped: list[tuple[str, str]]
    signatures: list[Signed]
    unaltered: bool
    audit: list[int]
    declined: str
    revoked: str

    @property
    def is_open(self) -> bool:
        """Whether a signature is still asked for."""
        return self.status in ("proposed", "partially signed")


def sheet_page(tenant: Organisation, sheet: TargetSheet, now: datetime) -> SheetPage:
    """Everything there is to know of a sheet before signing it."""
    previous = _words_of(sheet.predecessor) if sheet.predecessor else {}
    given = {signature.role: signature for signature in sheet.signatures.all()}
    declined = sheet.declines.select_related("person").first()
    revoked = sheet.revocations.select_related("person").first()
    now_named = {_what(target) for target in sheet.targets.select_related("capability")}
    entries = AuditEntry.objects.for_tenant(tenant).filter(
        subject_kind="target_sheet", subject_id=str(sheet.pk)
    )
    return SheetPage(
        sheet=sheet,
        status=status_of(sheet, tenant, on=now.astimezone(tenant.zone).date()).value,
        begins=in_force_from(sheet, tenant),
        terms=[
            Term(
                _what(target),
                in_words(target),
                find(target.metric)[0].guardrail_words,
                previous.get(_what(target), "new") if sheet.predecessor else "",
                bytes(target.digest).hex()[:16],
                measurement_changed(target),
            )
            for target in sheet.targets.select_related("capability")
        ],
        dropped=[(what, words) for what, words in previous.items() if what not in now_named],
        signatures=[
            Signed(
                signing.capacity(sheet, role),
                given[role].printed_name if role in given else (person.name if person else ""),
                signing.meaning(sheet, role),
                given[role].at if role in given else None,
                bytes(given[role].sheet_digest).hex()[:16] if role in given else "",
            )
            for role, person in needed(sheet)
        ],
        unaltered=is_unaltered(sheet),
        audit=list(entries.order_by("sequence").values_list("sequence", flat=True)),
        declined=f"{declined.person.name}: {declined.reason}" if declined else "",
        revoked=f"{revoked.person.name}: {revoked.reason}" if revoked else "",
    )


def _words_of(sheet: TargetSheet) -> dict[str, str]:
    return {_what(t): in_words(t) for t in sheet.targets.select_related("capability")}


def _what(target: Target) -> str:
    _, view = find(target.metric)
    where = target.capability.name if target.capability else "every service"
    severity = f", {target.severity} severity" if target.severity else ""
    return f"{view.name} ({where}{severity})"


def find_sheet(tenant: Organisation, sheet: int) -> TargetSheet:
    """A sheet of the organisation, or 404."""
    return get_object_or_404(
        full_sheets(tenant),
        pk=sheet,
    )


@needs(Right.READ_PAGES)
@require_safe
def targets(request: MemberRequest, organisation: str) -> HttpResponse:
    """Every sheet with its status, the newest first."""
    tenant, now = request.organisation, timezone.now()
    rows = [
        {
            "sheet": life.sheet,
            "status": life.status(now.astimezone(tenant.zone).date()).value,
            "missing": [
                role.label for role in missing(life.sheet, list(life.sheet.signatures.all()))
            ],
        }
        for life in lives(tenant)
    ]
    context = {"rows": rows, "may_propose": request.member.may(Right.PROPOSE_TARGETS)}
    return render(request, "governance/targets.html", context)


@needs(Right.READ_PAGES)
@require_http_methods(["GET", "HEAD", "POST"])
def target_sheet(request: MemberRequest, organisation: str, sheet: int) -> HttpResponse:
    """One sheet: terms, signatures, whether it is unaltered.

    POST declines it, or revokes it with `act=revoke`; both take a reason.
    """
    found = find_sheet(request.organisation, sheet)
    error = ""
    if request.method == "POST":
        theirs = {found.manager_id, found.lead_id}
        if request.POST.get("act") == "revoke":
            theirs.add(found.proposed_by_id)
        if request.member.person.pk not in theirs:
            raise Http404  # these acts are theirs whose signature is asked for
        reason = request.POST.get("reason", "").strip()
        try:
            if not reason:
                raise NotProposable("Say why, so that the next proposal can be better.")
            _refuse(request, found, reason)
            return redirect("target_sheet", organisation, found.pk)
        except REFUSALS as refusal:
            error = str(refusal)
    member = request.member
    context = {
        "page": sheet_page(request.organisation, found, timezone.now()),
        "asked": _asked(found, member),
        "revocable": cosigning.is_revocable(
            request.organisation, found, by=member.person, at=timezone.now()
        ),
        "error": error,
    }
    return render(request, "governance/target.html", context, status=400 if error else 200)


def _refuse(request: MemberRequest, sheet: TargetSheet, reason: str) -> None:
    """Decline what is not signed yet, or revoke what is."""
    by, now = request.member.person, timezone.now()
    if request.POST.get("act") == "revoke":
        cosigning.revoke(
            tenant=request.organisation, sheet_id=sheet.pk, by=by, reason=reason, at=now
        )
    else:
        cosigning.decline(sheet_id=sheet.pk, by=by, reason=reason, at=now)


def _asked(sheet: TargetSheet, member: Member) -> str:
    """What this member is asked to do with the sheet: accept, cosign or nothing."""
    roles = missing(sheet, list(sheet.signatures.all()))
    if Role.SERVICE_DESK_MANAGER in roles and sheet.manager_id == member.person.pk:
        return "accept"
    if Role.BUSINESS_UNIT_LEAD in roles and sheet.lead_id == member.person.pk:
        return "cosign"
    return ""


@needs(Right.ACCEPT_TARGETS)
@require_http_methods(["GET", "HEAD", "POST"])
def accept_sheet(request: MemberRequest, organisation: str, sheet: int) -> HttpResponse:
    """The service desk manager takes accountability, after confirming who they are."""
    found = find_sheet(request.organisation, sheet)
    return sign_page(
        request,
        found,
        act=cosigning.accept,
        role=Role.SERVICE_DESK_MANAGER,
        template="governance/sign.html",
        done=lambda: redirect("target_sheet", organisation, found.pk),
    )


def sign_page(
    request: MemberRequest,
    sheet: TargetSheet,
    *,
    act: Callable[..., object],
    role: Role,
    template: str,
    done: Callable[[], HttpResponse],
    extra: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Show a sheet with the sentence to sign; sign it on POST, after confirming."""
    person, now = request.member.person, timezone.now()
    form = ConfirmForm(person, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            act(sheet_id=sheet.pk, by=person, at=now, reauthenticated_at=now)
            return done()
        except REFUSALS as refusal:
            form.add_error(None, str(refusal))
    context = {
        "page": sheet_page(request.organisation, sheet, now),
        "form": form,
        "sentence": signing.sentence(sheet, role, person),
        "asked": role in missing(sheet, list(sheet.signatures.all())),
        **(extra or {}),
    }
    return render(request, template, context, status=400 if form.errors else 200)


class ProposeForm(ConfirmForm):
    """A sheet to propose: its period, its reasons, and a value for each starter that is wanted."""

    domain = forms.ModelChoiceField(Domain.objects.none(), empty_label=None)
    effective_from = forms.DateField(
        label="From", widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    )
    effective_until = forms.DateField(
        label="Up to, not including",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    rationale = forms.CharField(
        label="Why these", widget=forms.Textarea(attrs={"rows": 3}), max_length=2000
    )
    field_order = ("domain", "effective_from", "effective_until", "rationale")

    def __init__(
        self, member: Member, suggestions: Sequence[Suggested], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(member.person, *args, **kwargs)
        tenant = member.organisation
        start = next_period(tenant, timezone.now())
        offered = {(one.wish.metric, one.wish.severity): one for one in suggestions}
        domain = self.fields["domain"]
        assert isinstance(domain, forms.ModelChoiceField)
        domain.queryset = (
            Domain.objects.for_tenant(tenant)
            .filter(capabilities__process_owner=member.person)
            .distinct()
        )
        self.fields["effective_from"].initial = start
        self.fields["effective_until"].initial = start.replace(year=start.year + 1)
        for starter in STARTERS:
            told = offered.get((starter.metric, starter.severity))
            found = told.suggestion if told else None
            self.fields[_name(starter)] = forms.DecimalField(
                label=_label(starter),
                required=False,
                min_value=0,
                max_value=100,
                decimal_places=1,
                initial=(Decimal(str(found.target)) if found else starter.value)
                .scaleb(2)
                .quantize(Decimal("0.1")),
                help_text=(
                    format_html("Suggested for {}; you decide.", told.capability.name)
                    if told and found
                    else "Percent; leave empty to set no target."
                ),
            )
            self.fields[f"{_name(starter)}-for"] = forms.ModelChoiceField(
                Capability.objects.for_tenant(tenant).filter(process_owner=member.person),
                label=f"{_label(starter)}: for",
                required=False,
                empty_label="every service of the domain",
                initial=told.capability if told and found else None,
            )
        confirming: list[str] = [name for name in ("password", "code") if name in self.fields]
        self.order_fields([name for name in self.fields if name not in confirming] + confirming)

    def wanted(self) -> list[Wanted]:
        """The targets that were given a value."""
        return [
            Wanted(
                starter.metric,
                (Decimal(self.cleaned_data[_name(starter)]) / 100).quantize(Decimal("0.0001")),
                capability=self.cleaned_data.get(f"{_name(starter)}-for"),
                severity=starter.severity,
            )
            for starter in STARTERS
            if self.cleaned_data.get(_name(starter)) is not None
        ]


def _name(starter: Starter) -> str:
    return starter.metric.replace(".", "-")


def _label(starter: Starter) -> str:
    _, view = find(starter.metric)
    return view.name + (f", {starter.severity} severity" if starter.severity else "")


class SuggestForm(forms.Form):
    """What a suggestion needs: the service, the maturity of its process, and where others stand."""

    maturity = forms.TypedChoiceField(
        label="Maturity of the process, by your own judgement",
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "not judged"), *((n, str(n)) for n in range(1, len(STEPS) + 1))],
        help_text="1 is hardly written down, 5 is measured and improved. It decides how far a step"
        " towards a benchmark goes.",
    )

    def __init__(self, member: Member, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["for"] = forms.ModelChoiceField(
            Capability.objects.for_tenant(member.organisation)
            .filter(process_owner=member.person)
            .select_related("tenant"),
            label="Service",
            to_field_name="slug",
            empty_label=None,
        )
        self.order_fields(["for", "maturity"])
        for starter in STARTERS:
            name, label = _name(starter), _label(starter)
            self.fields[f"benchmark-{name}"] = forms.DecimalField(
                label=f"{label}: where others stand, percent",
                required=False,
                min_value=0,
                max_value=100,
                max_digits=6,
            )
            self.fields[f"source-{name}"] = forms.CharField(
                label=f"{label}: who says so", required=False, max_length=200
            )
            self.fields[f"on-{name}"] = forms.DateField(
                label=f"{label}: of when",
                required=False,
                widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
            )

    def clean(self) -> dict[str, Any]:
        """Refuse a benchmark without its source, its date, or the maturity it needs."""
        said = super().clean() or {}
        for starter in STARTERS:
            name = _name(starter)
            if said.get(f"benchmark-{name}") is None:
                continue
            if not said.get(f"source-{name}") or not said.get(f"on-{name}"):
                self.add_error(
                    f"benchmark-{name}", "A benchmark has a source and a date; name both."
                )
            if said.get("maturity") is None and "maturity" not in self.errors:
                self.add_error("maturity", "A step towards a benchmark needs the maturity.")
        return said

    @property
    def benchmarks(self) -> list[Any]:
        """The fields of benchmarks, which most suggestions do without."""
        return [field for field in self if field.name not in ("for", "maturity")]

    def wishes(self) -> list[Wish]:
        """What is asked of every starter."""
        said, wishes = self.cleaned_data, []
        for starter in STARTERS:
            name = _name(starter)
            share = said[f"benchmark-{name}"]
            benchmark = (
                None
                if share is None
                else Benchmark(float(share) / 100, said[f"source-{name}"], said[f"on-{name}"])
            )
            wishes.append(Wish(starter.metric, starter.severity, benchmark, said["maturity"]))
        return wishes


@needs(Right.PROPOSE_TARGETS)
@require_http_methods(["GET", "HEAD", "POST"])
def propose_targets(request: MemberRequest, organisation: str) -> HttpResponse:
    """Propose a sheet; proposing is the process owner's signature.

    Asked for a service in the query, the page suggests what would be realistic for it.
    """
    now = timezone.now()
    asking = SuggestForm(request.member, request.GET if "for" in request.GET else None)
    found: list[Suggested] = []
    if asking.is_bound and asking.is_valid():
        reader = Reader(request.organisation, as_of=now)
        found = suggested(reader, asking.cleaned_data["for"], asking.wishes())
    form = ProposeForm(request.member, found, request.POST if request.method == "POST" else None)
    if form.is_bound and asking.errors:
        form.add_error(None, "What was asked for a suggestion is not complete.")
    if form.is_bound and form.is_valid():
        try:
            sheet = propose(
                tenant=request.organisation,
                domain=form.cleaned_data["domain"],
                wanted=form.wanted(),
                effective_from=form.cleaned_data["effective_from"],
                effective_until=form.cleaned_data["effective_until"],
                rationale=form.cleaned_data["rationale"],
                by=request.member.person,
                at=now,
                reauthenticated_at=now,
                suggestions=found,
            )
            return redirect("target_sheet", organisation, sheet.pk)
        except REFUSALS as refusal:
            form.add_error(None, str(refusal))
    context = {"form": form, "asking": asking, "suggestions": [_in_words(one) for one in found]}
    return render(request, "governance/propose.html", context, status=400 if form.errors else 200)


@dataclass(frozen=True, slots=True)
class Offer:
    """A suggestion in words, with every input."""

    what: str
    suggested: str
    labels: list[str]
    inputs: list[str]


def _in_words(one: Suggested) -> Offer:
    metric, view = find(one.wish.metric)
    lower = metric.direction_of(view) is Direction.LOWER
    what = view.name + (f", {one.wish.severity} severity" if one.wish.severity else "")
    inputs = _months(one)
    if one.baseline is not None:
        inputs.append(
            f"Now {percent(one.baseline.value)}, over {one.baseline.periods} months and drawn to"
            " what the organisation's services have in common."
        )
    if one.wish.benchmark is not None:
        told = one.wish.benchmark
        inputs.append(
            f"Others stand at {percent(told.value)} ({told.source}, {day(told.on)}); the"
            f" process has maturity {one.wish.maturity}."
        )
    if one.natural_limit is not None:
        inputs.append(
            f"By itself it stays {'above' if lower else 'below'} {percent(one.natural_limit)}."
        )
    found = one.suggestion
    if found is None:
        return Offer(what, f"Unknown: {one.why_not}.", [], inputs)
    if found.source is Source.OWN_CAPABILITIES:
        inputs.append(
            f"No benchmark: a quarter of the organisation's own {one.services} services stands"
            " there or better."
        )
    unit = ("answer", "answers") if metric.from_answers else ("item", "items")
    return Offer(
        what,
        f"{'at most' if lower else 'at least'} {percent(found.target)}"
        + (" (hold what is reached)" if found.hold else ""),
        _labels(one, found, unit),
        inputs,
    )


def _months(one: Suggested) -> list[str]:
    """The months of the baseline, then those that are left out, by what is wrong with them."""
    used = [f"{month.label}: {month.x} of {month.n}" for month in one.months if not month.why_not]
    reasons = dict.fromkeys(month.why_not for month in one.months if month.why_not)
    out = [
        f"Left out, {reason}: {', '.join(m.label for m in one.months if m.why_not == reason)}."
        for reason in reasons
    ]
    return [f"{'; '.join(used)}.", *out] if used else out


def _labels(one: Suggested, found: Suggestion, unit: tuple[str, str]) -> list[str]:
    labels = []
    if found.needs_process_change:
        labels.append("needs a process change")
    if found.cannot_be_judged_monthly:
        assert found.answers_needed is not None
        need = f"{count(found.answers_needed, *unit)}, at {one.a_month:,} a month"
        months = (
            f"{count(found.months_needed, 'month', 'months')}" if found.months_needed else "never"
        )
        labels.append(f"cannot be judged monthly: telling it from now needs {need}: {months}")
    return labels
