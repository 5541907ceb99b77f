"""The pages of uploaded files: choosing one, saying what its columns mean, watching the import."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import connection as database
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from portal.catalogue.models import Domain
from portal.organisations import MemberRequest, needs
from portal.people.roles import Right
from tickets import refused_rows as refused
from tickets import uploads as storing
from tickets.files import Layout, UnreadableFile
from tickets.guessing import guess
from tickets.models import Connection, ImportOrder, QuarantinedRow, Upload
from tickets.sampling import Sample, sample
from tickets.upload_forms import FileForm, LayoutForm, MappingForm, RecordsForm
from tickets.uploads import NotStored, StoredFile, ToFolder

#: Rows a page looks at; the command line looks at more.
LOOKED_AT = 1_000
#: Files a page lists.
LISTED = 50
#: A long upload sends no statement: without this the database would end its transaction.
UPLOAD_SECONDS = 30 * 60


@csrf_exempt  # the token is checked below, once it is said where the file goes
@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def uploads(request: MemberRequest, organisation: str) -> HttpResponse:
    """The files that came, and a place for another one."""
    if request.method != "POST":
        return _list(request, FileForm())
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > storing.MOST_BYTES + storing.ENVELOPE:
        return _too_large(request)  # nothing of it is read
    with database.cursor() as cursor:
        cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{UPLOAD_SECONDS}s'")
    handler = ToFolder(request, request.organisation.pk, storing.MOST_BYTES)
    request.upload_handlers = [handler]
    answer: HttpResponse = _receive(request, handler)
    if answer.status_code != 302:
        handler.upload_interrupted()  # refused, for whatever reason: nothing of it stays
    return answer


@csrf_protect
def _receive(request: MemberRequest, handler: ToFolder) -> HttpResponse:
    """Read the request's file into its folder, and note it."""
    form = FileForm(request.POST, request.FILES)  # here at the latest the body is read
    if handler.is_too_large:
        return _too_large(request)
    file = request.FILES.get("file")
    if not isinstance(file, StoredFile):
        form.is_valid()
        return _list(request, form, status=400)
    try:
        upload = storing.keep(
            tenant_id=request.organisation.pk,
            file=file,
            by=request.member.actor,
            at=timezone.now(),
        )
    except NotStored as error:
        form.add_error("file", str(error))
        return _list(request, form, status=400)
    return redirect("upload", request.organisation.slug, upload.pk)


def _too_large(request: MemberRequest) -> HttpResponse:
    most = storing.MOST_BYTES >> 20
    form = FileForm({})
    form.is_valid()
    form.errors["file"] = form.error_class(
        [f"The file is larger than {most} MB. Import it with manage.py import_tickets."]
    )
    answer = _list(request, form, status=413)
    answer["Connection"] = "close"
    return answer


def _list(request: MemberRequest, form: FileForm, status: int = 200) -> HttpResponse:
    stored = list(
        Upload.objects.for_tenant(request.organisation.pk).prefetch_related("orders")[:LISTED]
    )
    return render(
        request,
        "tickets/uploads.html",
        {
            "form": form,
            "uploads": stored,
            "left_mb": storing.quota_left(request.organisation.pk) >> 20,
        },
        status=status,
    )


@needs(Right.CONFIGURE)
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: MemberRequest, organisation: str, upload: int) -> HttpResponse:
    """One file: what its columns mean, or how far its import is."""
    tenant_id = request.organisation.pk
    stored = get_object_or_404(Upload.objects.for_tenant(tenant_id), pk=upload)
    ordered = stored.orders.select_related("run").first()
    again = ordered is not None and bool(ordered.trouble) and "map" in request.GET
    if request.method == "POST" and (ordered is None or ordered.trouble):
        return _map(request, stored)
    if ordered is None or again:
        return _map(request, stored)
    return _progress(request, stored, ordered)


def _map(request: MemberRequest, stored: Upload) -> HttpResponse:
    """The mapping form, with a preview where it is valid."""
    tenant_id = request.organisation.pk
    page: dict[str, Any] = {"upload": stored}
    sources = Connection.objects.for_tenant(tenant_id).exclude(mapping={})
    layout = LayoutForm(request.GET or None, sources=[one.name for one in sources])
    layout.is_valid()
    page["layout"] = layout
    try:
        if stored.removed_at is not None or not storing.path_of(stored).is_file():
            raise UnreadableFile(f"{stored.name} is no longer there. Upload it again.")
        looked_at = _sample(stored, getattr(layout, "cleaned_data", {}))
    except UnreadableFile as error:
        page["trouble"] = str(error).replace(stored.stored_as, stored.name)
        return render(request, "tickets/upload.html", page, status=_status(request))
    if looked_at.is_records or request.POST.get("action") == "records":
        return _map_records(request, stored, page)
    like = getattr(layout, "cleaned_data", {}).get("like")
    before = next((one.mapping for one in sources if one.name == like), None)
    guessed = guess(looked_at)
    form = MappingForm(
        request.POST if request.method == "POST" else None,
        sample=looked_at,
        mapping=before or guessed.source(),
        domains=list(Domain.objects.for_tenant(tenant_id)),
    )
    form.initial["source"] = like or slugify(stored.name.rsplit(".", 1)[0])[:60]
    page |= {"form": form, "guessed": guessed, "sample": looked_at}
    if request.method == "POST" and form.is_valid() and form.mapping is not None:
        if request.POST.get("action") == "start":
            return _start(request, stored, form.cleaned_data["source"], form.mapping.source)
        page["preview"] = form.preview()
    elif request.method == "POST":
        return render(request, "tickets/upload.html", page, status=400)
    return render(request, "tickets/upload.html", page)


def _map_records(request: MemberRequest, stored: Upload, page: dict[str, Any]) -> HttpResponse:
    """Raw records of a help desk need no mapping: only whose they are."""
    form = RecordsForm(request.POST if request.method == "POST" else None)
    page["records"] = form
    if request.method != "POST":
        return render(request, "tickets/upload.html", page)
    if not form.is_valid():
        return render(request, "tickets/upload.html", page, status=400)
    said = form.cleaned_data
    return _start(request, stored, said["source"], {}, kind=said["kind"], stream=said["stream"])


def _sample(stored: Upload, said: dict[str, Any]) -> Sample:
    """The file's beginning, read as somebody said it is written."""
    path = storing.path_of(stored)
    stated = {name: said[name] for name in ("encoding", "delimiter", "sheet") if said.get(name)}
    if not stated:
        return sample(path, rows=LOOKED_AT)
    found = Layout() if "sheet" in stated else sample(path, rows=1).layout
    return sample(path, replace(found, **{"encoding": "", **stated}), rows=LOOKED_AT)


def _status(request: MemberRequest) -> int:
    return 400 if request.method == "POST" else 200


def _start(
    request: MemberRequest,
    stored: Upload,
    source: str,
    mapping: dict[str, Any],
    *,
    kind: str = "",
    stream: str = "",
) -> HttpResponse:
    storing.order(
        tenant_id=request.organisation.pk,
        upload=stored,
        source=source,
        mapping=mapping,
        by=request.member.actor,
        at=timezone.now(),
        kind=kind,
        stream=stream,
    )
    return redirect("upload", request.organisation.slug, stored.pk)


def _progress(request: MemberRequest, stored: Upload, ordered: ImportOrder) -> HttpResponse:
    """How far the import is, and what became of it."""
    problems = QuarantinedRow.objects.for_tenant(ordered.tenant_id).filter(run=ordered.run)
    return render(
        request,
        "tickets/upload_progress.html",
        {
            "upload": stored,
            "order": ordered,
            "pace": _pace(ordered),
            "problems": list(problems[:20]) if ordered.run_id else [],
            "refused": problems.filter(row_refused=True).values("row_number").distinct().count()
            if ordered.run_id
            else 0,
            "lost": problems.filter(row_refused=False).count() if ordered.run_id else 0,
        },
    )


def _pace(ordered: ImportOrder) -> tuple[float, timedelta | None]:
    """Rows a second, and the time left at this pace; None while nobody can say."""
    if ordered.began_at is None or ordered.heard_at is None:
        return 0.0, None
    took = max((ordered.heard_at - ordered.began_at).total_seconds(), 0.001)
    left = None
    if 0 < ordered.share < 1:
        left = timedelta(seconds=round(took * (1 - ordered.share) / ordered.share))
    return ordered.rows / took, left


@needs(Right.CONFIGURE)
@require_safe
def refused_rows(request: MemberRequest, organisation: str, upload: int) -> HttpResponse:
    """The rows and values that were refused, as CSV."""
    stored = get_object_or_404(Upload.objects.for_tenant(request.organisation.pk), pk=upload)
    ordered = stored.orders.exclude(run=None).select_related("run").first()
    lines = refused.lines(ordered.run) if ordered and ordered.run else iter(())
    answer = HttpResponse("".join(lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="refused-{stored.pk}.csv"'
    return answer
