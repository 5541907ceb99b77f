"""Reading export files row by row: CSV plain or gzipped and JSON lines, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

#: The longest cell that is read; exports with longer ones are damaged or hostile.
LONGEST_CELL = 65_536
#: JSON lines may leave out what is empty; so many are asked for the names of columns.
_LOOKED_AT = 1_000


class UnreadableFile(ValueError):
    """A file cannot be read (further): not UTF-8, not CSV, without a header, without rows."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row that is no row: its number and why."""

    number: int
    reason: str


class ExportFile:
    """One export file; iterate over `rows()`, watch `share_read`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = max(path.stat().st_size, 1)
        self._raw: BinaryIO | None = None

    @property
    def is_json(self) -> bool:
        """Whether each line is a JSON object (.jsonl, .jsonl.gz)."""
        return self.path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson"))

    @property
    def share_read(self) -> float:
        """How much of the file has been read, 0 to 1."""
        if self._raw is None:
            return 0.0
        return 1.0 if self._raw.closed else min(1.0, self._raw.tell() / self._size)

    def sha256(self) -> bytes:
        """Return the digest of the file as it lies there."""
        with self.path.open("rb") as raw:
            return hashlib.file_digest(raw, "sha256").digest()

    def header(self) -> list[str]:
        """Return the names of the columns: of JSON lines, those of the first thousand."""
        names: dict[str, None] = {}
        for _, row in islice(self.rows(), _LOOKED_AT if self.is_json else None):
            if isinstance(row, dict):
                names |= dict.fromkeys(row)
                if not self.is_json:
                    break
        if names:
            return list(names)
        raise UnreadableFile(f"{self.path.name} has no rows; nothing was imported.")

    def rows(self) -> Iterator[tuple[int, dict[str, Any] | Damaged]]:
        """Yield (row number from 1, row). Raises UnreadableFile where reading cannot go on."""
        number = 0
        try:
            with self.path.open("rb") as raw:
                self._raw = raw
                opened = cast("BinaryIO", gzip.GzipFile(fileobj=raw) if self._is_gzipped() else raw)
                text = io.TextIOWrapper(opened, encoding="utf-8-sig", newline="")
                reader = _json_rows(text) if self.is_json else _csv_rows(text)
                for number, row in enumerate(reader, start=1):
                    yield number, Damaged(number, row) if isinstance(row, str) else row
        except (
            UnicodeDecodeError,
            gzip.BadGzipFile,
            EOFError,
            OSError,
            csv.Error,
        ) as error:
            raise UnreadableFile(
                f"{self.path.name} cannot be read behind row {number}: {error}. Mend the"
                " file and import it again; batches that were kept before are recognised."
            ) from error

    def _is_gzipped(self) -> bool:
        return self.path.name.endswith(".gz")


def _csv_rows(text: io.TextIOWrapper) -> Iterator[dict[str, Any] | str]:
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(text, strict=True)
    header = [name.strip() for name in next(reader, [])]
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise csv.Error(f"the header names {', '.join(sorted(repeated))} twice")
    for cells in reader:
        if len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        elif cells:
            yield f"{len(cells)} cells where the header names {len(header)}"


def _json_rows(text: io.TextIOWrapper) -> Iterator[dict[str, Any] | str]:
    for line in text:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            yield f"not JSON: {error}"[:300]
            continue
        yield row if isinstance(row, dict) else "not a JSON object"
