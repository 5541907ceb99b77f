"""Files that come by a page: stored as they arrive, imported by workers, removed afterwards.

The bytes lie below UPLOADS_FOLDER, a folder for each organisation, outside the database. A worker
leases an order; one that is stopped leaves it to the next, which goes on behind the last batch.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopUpload
from django.db.models import Q, Sum
from django.http import HttpRequest

from portal.audit.trail import Actor, record
from portal.tenancy import due
from portal.tenancy.context import acting
from portal.tenancy.hints import hint
from portal.tenancy.models import Due
from tickets import dumps, importing
from tickets.files import UnreadableFile
from tickets.importing import ImportRefused, RecordRatings
from tickets.mapping import Mapping, MappingError
from tickets.models import ImportOrder, ImportRun, Upload
from tickets.storable import storable

#: The kind of `Due` row that leads a worker to orders.
IMPORT = "import"
#: One file, and all files of an organisation that wait, in bytes.
MOST_BYTES = 200 * 1024 * 1024
QUOTA = 1024 * 1024 * 1024
#: Rows that are read from a page's file.
MOST_ROWS = 2_000_000
#: What surrounds a file in a request: the token and the form's boundaries.
ENVELOPE = 64 * 1024
#: How long files lie without being imported.
KEPT = timedelta(days=7)
#: How long a worker may be silent before another one goes on.
LEASE = timedelta(minutes=5)
#: Workers that may be stopped by one order without reading a batch.
TRIES = 5
#: Names of files that are taken, by their ending.
ENDINGS = (".csv", ".txt", ".tsv", ".jsonl", ".ndjson", ".xlsx")


class NotStored(Exception):
    """A file was not taken; the message says why."""


def folder_of(tenant_id: int) -> Path:
    """Where an organisation's files lie."""
    return Path(settings.UPLOADS_FOLDER) / str(tenant_id)


def path_of(upload: Upload) -> Path:
    """Where an upload's bytes lie, or lay."""
    return folder_of(upload.tenant_id) / upload.stored_as


def ending_of(name: str) -> str:
    """The ending by which a file is read; empty where it is not taken."""
    return next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")


def quota_left(tenant_id: int) -> int:
    """Bytes an organisation may still store."""
    stored = Upload.objects.for_tenant(tenant_id).filter(removed_at=None)
    return QUOTA - (stored.aggregate(bytes=Sum("size"))["bytes"] or 0)


if TYPE_CHECKING:
    _Uploaded = UploadedFile[bytes]
else:
    _Uploaded = UploadedFile


class StoredFile(_Uploaded):
    """An uploaded file that lies in its folder already."""

    def __init__(self, path: Path, name: str, size: int, digest: bytes) -> None:
        super().__init__(None, name, size=size)
        self.path, self.digest = path, digest

    def __bool__(self) -> bool:
        return True


class ToFolder(FileUploadHandler):
    """Writes one file of a request to the organisation's folder as it arrives."""

    def __init__(self, request: HttpRequest, tenant_id: int, most: int) -> None:
        super().__init__(request)
        self._folder, self._most = folder_of(tenant_id), most
        self._path: Path | None = None
        self.is_too_large = False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Open the file; only the first one named `file` is taken."""
        super().new_file(*args, **kwargs)
        if self.field_name != "file" or self._path is not None or not self.file_name:
            raise SkipFile
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = self._folder / f"{uuid.uuid4().hex}{ending_of(self.file_name) or '.part'}"
        self._file = self._path.open("xb")
        self._path.chmod(0o600)
        self._digest, self._size = hashlib.sha256(), 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write a piece; stops the request where the file is longer than it may be."""
        self._size += len(raw_data)
        if self._size > self._most:
            self.is_too_large = True
            self.upload_interrupted()
            raise StopUpload(connection_reset=True)
        self._file.write(raw_data)
        self._digest.update(raw_data)

    def file_complete(self, file_size: int) -> StoredFile:
        """Hand the stored file over."""
        assert self._path is not None
        self._file.close()
        return StoredFile(self._path, self.file_name or "", self._size, self._digest.digest())

    def upload_interrupted(self) -> None:
        """Remove what came of a file that did not come whole."""
        if self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)


def keep(*, tenant_id: int, file: StoredFile, by: Actor, at: datetime) -> Upload:
    """Note a stored file as an upload. Raises NotStored, and the bytes are gone."""
    try:
        if not ending_of(file.name or ""):
            raise NotStored(
                f"{file.name} is not taken. Files end in {', '.join(ENDINGS)}; archives are"
                " unpacked first."
            )
        if not file.size:
            raise NotStored(f"{file.name} is empty.")
        if file.size > quota_left(tenant_id):
            raise NotStored(
                f"The files that wait would be more than {QUOTA >> 30} GB. Import or wait: a file"
                f" goes when it has been imported, or after {KEPT.days} days."
            )
    except NotStored:
        file.path.unlink(missing_ok=True)
        raise
    upload = Upload.objects.create(
        tenant_id=tenant_id,
        name=(file.name or "")[:300],
        stored_as=file.path.name,
        size=file.size,
        sha256=file.digest,
        uploaded_at=at,
        uploaded_by=by.name[:200],
    )
    due.note(tenant_id, IMPORT, at + KEPT)
    return upload


def order(
    *,
    tenant_id: int,
    upload: Upload,
    source: str,
    mapping: dict[str, Any],
    by: Actor,
    at: datetime,
    kind: str = "",
    stream: str = "",
) -> ImportOrder:
    """Ask a worker to import an upload."""
    ordered = ImportOrder.objects.create(
        tenant_id=tenant_id,
        upload=upload,
        source=source,
        kind=kind,
        stream=stream,
        mapping=mapping,
        asked_at=at,
        asked_by=by.name[:200],
    )
    record(
        tenant_id=tenant_id,
        actor=by,
        act="import.asked",
        subject_kind="import_order",
        subject_id=ordered.pk,
        at=at,
        detail={"source": source, "file": upload.name, "sha256": bytes(upload.sha256).hex()},
    )
    due.note(tenant_id, IMPORT, at)
    hint("import_uploads")
    return ordered


def sweep(now: datetime, *, record_ratings: RecordRatings) -> int:
    """Import what is ordered, as the worker; return how many orders ended."""
    ended = 0
    for tenant_id in due.tenants_due(IMPORT, now):
        while ordered := _take(tenant_id, now):
            _carry_out(ordered, now, record_ratings)
            ended += 1
        _settle(tenant_id, now)
    return ended


def _take(tenant_id: int, now: datetime) -> ImportOrder | None:
    """Lease an order that nobody has; the try is counted before it begins."""
    with acting(tenant_id):
        ordered = (
            ImportOrder.objects.for_tenant(tenant_id)
            .filter(Q(leased_until=None) | Q(leased_until__lte=now), finished_at=None)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("upload")
            .order_by("asked_at", "id")
            .first()
        )
        if ordered is not None:
            ordered.leased_until = now + LEASE
            ordered.attempts += 1
            ordered.began_at = ordered.began_at or now
            ordered.save(update_fields=["leased_until", "attempts", "began_at"])
    return ordered


def _carry_out(ordered: ImportOrder, now: datetime, record_ratings: RecordRatings) -> None:
    """Import the file and say how it ended; the database's failures are left to the next try."""
    began = time.monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=time.monotonic() - began)

    def progress(rows: int, share: float) -> None:
        ordered.rows, ordered.share, ordered.heard_at = rows, share, clock()
        ordered.leased_until, ordered.attempts = clock() + LEASE, 0
        _save(ordered, "rows", "share", "heard_at", "leased_until", "attempts")

    try:
        if ordered.attempts > TRIES:
            raise ImportRefused(f"It stopped the worker {TRIES} times without getting any further.")
        if ordered.upload.removed_at is not None or not path_of(ordered.upload).is_file():
            raise ImportRefused("The file is no longer there. Upload it again.")
        ordered.report = _import(ordered, now, progress, record_ratings)
    except (MappingError, ImportRefused, UnreadableFile) as error:
        said = str(error).replace(ordered.upload.stored_as, ordered.upload.name)
        ordered.trouble = storable(said[:1000])
    ordered.finished_at = clock()
    _save(ordered, "report", "trouble", "finished_at")
    if not ordered.trouble:
        _remove(ordered.upload, ordered.finished_at)


def _import(
    ordered: ImportOrder,
    now: datetime,
    progress: Callable[[int, float], None],
    record_ratings: RecordRatings,
) -> dict[str, Any]:
    upload = ordered.upload

    def began(this_run: ImportRun) -> None:
        ordered.run = this_run
        _save(ordered, "run")

    if ordered.kind:
        report, _ = dumps.store(
            tenant_id=ordered.tenant_id,
            source=ordered.source,
            kind=ordered.kind,
            path=path_of(upload),
            name=upload.name,
            stream=ordered.stream or dumps.stream_of(Path(upload.name)),
            at=now,
            progress=progress,
            began=began,
        )
        return report.as_dict()
    return importing.run(
        tenant_id=ordered.tenant_id,
        source=ordered.source,
        path=path_of(upload),
        name=upload.name,
        mapping=Mapping.parse(ordered.mapping, name=f"of {upload.name}"),
        at=now,
        progress=progress,
        record_ratings=record_ratings,
        most_rows=MOST_ROWS,
        began=began,
    ).as_dict()


def _save(ordered: ImportOrder, *fields: str) -> None:
    with acting(ordered.tenant_id):
        ordered.save(update_fields=list(fields))


def _remove(upload: Upload, at: datetime) -> None:
    """Remove an upload's bytes, then note it: a file that is noted as gone is gone."""
    path_of(upload).unlink(missing_ok=True)
    upload.removed_at = at
    with acting(upload.tenant_id):
        upload.save(update_fields=["removed_at"])


def _settle(tenant_id: int, now: datetime) -> None:
    """Remove what lay too long, and note when there is work again."""
    with acting(tenant_id):
        open_orders = ImportOrder.objects.for_tenant(tenant_id).filter(finished_at=None)
        busy = set(open_orders.values_list("upload_id", flat=True))
        stored = list(Upload.objects.for_tenant(tenant_id).filter(removed_at=None))
    for upload in stored:
        if upload.pk not in busy and upload.uploaded_at <= now - KEPT:
            _remove(upload, now)
    _remove_strays(tenant_id, {upload.stored_as for upload in stored}, now)
    waiting = [upload.uploaded_at + KEPT for upload in stored if upload.removed_at is None]
    with acting(tenant_id):
        Due.objects.filter(tenant_id=tenant_id, kind=IMPORT, due_at__lte=now).delete()
        waiting += [ordered.leased_until or now for ordered in open_orders.only("leased_until")]
        if waiting:
            due.note(tenant_id, IMPORT, max(min(waiting), now + timedelta(seconds=1)))


def _remove_strays(tenant_id: int, known: set[str], now: datetime) -> None:
    """Remove files no upload names: their request ended before it was committed."""
    folder = folder_of(tenant_id)
    for path in folder.iterdir() if folder.is_dir() else ():
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if path.name not in known and written < now - timedelta(days=1):
            path.unlink(missing_ok=True)
