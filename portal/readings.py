"""A reading as somebody outside asks for it: names of the slice in, the display contract out.

The command, the REST endpoints and every export ask here; pages, which know their objects, ask
`metrics.measure`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any

from governance.comparing import Standing, against, standings
from governance.guarding import Among, guarded
from metrics.cross_checking import with_cohort
from metrics.data_quality import with_data_quality
from metrics.definitions import find, names_told
from metrics.evidence import Piece, beside
from metrics.folded import past_reader
from metrics.leaving_out import with_left_out
from metrics.measure import Reader, Reading, Slice
from metrics.parts import SEGMENTS, SEVERITY, measure, tell
from metrics.periods import is_askable
from metrics.restated import with_restatements
from metrics.undecided import with_paused
from portal.catalogue.models import Capability, Domain
from portal.catalogue.severity import Severity
from portal.tenancy.models import Organisation
from tickets import segments

DIMENSIONS = ("capability", "severity", "domain", "segment")
#: What a slice is told apart by; one of the segments' dimensions at a time.
SPLITS = ("capability", SEVERITY, "domain", *segments.DIMENSIONS)
LONGEST = timedelta(days=3 * 366)


class NotAskable(ValueError):
    """The question names something that is not there; the message says what."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One slice by the names of its dimensions; None means all.

    A segment is asked for by its dimension and value, such as "tenure:new" (METRICS.md D1).
    """

    start: date
    until: date
    capability: str | None = None
    severity: str | None = None
    domain: str | None = None
    segment: str | None = None

    def __post_init__(self) -> None:
        if not is_askable(self.start, self.until, longest=LONGEST):
            raise NotAskable(
                f"The period {self.start} to {self.until} is empty, longer than three years or none"
                " of these times: the first day comes before the last, which is not included."
            )
        if self.severity is not None and self.severity not in set(Severity):
            raise NotAskable(
                f"There is no severity {self.severity!r}; there are {', '.join(Severity)}."
            )
        if self.segment is not None and self.segment not in SEGMENTS:
            raise NotAskable(no_segment(self.segment))


def no_segment(name: str) -> str:
    """Why a name is refused, with those that there are."""
    return f"There is no segment {name!r}; there are {', '.join(SEGMENTS)}."


class Answering:
    """Answers questions of one reader by name; catalogue and targets are looked up once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        tenant = reader.tenant
        self._domains = dict(Domain.objects.for_tenant(tenant).values_list("key", "pk"))
        self._served = {
            slug: (pk, domain)
            for slug, pk, domain in Capability.objects.for_tenant(tenant).values_list(
                "slug", "pk", "domain_id"
            )
        }
        self._standings: dict[int, list[Standing]] = {}

    def measure(self, metric: str, asked: Asked) -> Reading:
        """The reading of one figure. Raises NotAskable, and what `Reader.measure` raises."""
        self._refuse_not_added(metric)
        cut = self._cut(asked)
        return self._beside(measure(self.reader, metric, cut), cut, asked)

    def tell(self, metric: str, asked: Asked) -> Reading:
        """As `measure`; what cannot be one figure is unknown and says so (`metrics.parts.tell`)."""
        self._refuse_not_added(metric)
        cut = self._cut(asked)
        return self._beside(tell(self.reader, metric, cut), cut, asked)

    def _refuse_not_added(self, name: str) -> None:
        _, view = find(name)
        if not view.is_told(self.reader.settings):
            raise NotAskable(
                f"{name} is told where an organisation has added it, and"
                f" {self.reader.tenant.slug} has not: its setting {view.added_by} is off."
            )

    def evidence(self, metric: str, asked: Asked) -> list[Piece]:
        """What stands beside a metric, by its key. Raises NotAskable."""
        return beside(self.reader, self._cut(asked), metric)

    def all(
        self, metrics: Sequence[str], asked: Asked, dimensions: Collection[str]
    ) -> list[Reading]:
        """The readings of several figures, or of all there are where none is named.

        Split by the dimensions. A duration that is asked for among all of them is told for each
        severity; one that is named without is refused.
        """
        self.reader.fetch_for(asked.start, asked.until, self._capabilities(asked))
        told = []
        for name in metrics or names_told(self.reader.settings):
            _, view = find(name)
            by = {*dimensions, "severity"} if view.per_severity and not metrics else dimensions
            told += [
                (self.measure if metrics else self.tell)(name, part)
                for part in self.split(asked, by)
            ]
        return told

    def split(self, asked: Asked, dimensions: Collection[str]) -> Iterator[Asked]:
        """The slice in parts, one for each combination of the dimensions' values, in their order.

        Without a dimension it is the slice itself. Raises NotAskable.
        """
        values: Mapping[str, list[str]] = {
            "capability": [asked.capability] if asked.capability else self._slugs(asked.domain),
            "severity": [asked.severity] if asked.severity else [s.value for s in Severity],
            "domain": [asked.domain] if asked.domain else sorted(self._domains),
            "segment": _segments(asked, dimensions),
        }
        by = {"segment" if name in segments.DIMENSIONS else name for name in dimensions}
        names = [name for name in DIMENSIONS if name in by]
        for combination in product(*(values[name] for name in names)):
            chosen: dict[str, Any] = dict(zip(names, combination, strict=True))
            part = replace(asked, **chosen)
            if part.domain is None or part.capability in (None, *self._slugs(part.domain)):
                yield part

    def _slugs(self, domain: str | None) -> list[str]:
        of = None if domain is None else self._domains.get(domain)
        return sorted(slug for slug, (_, d) in self._served.items() if domain is None or d == of)

    def _cut(self, asked: Asked) -> Slice:
        segment = None if asked.segment is None else SEGMENTS[asked.segment]
        return Slice(asked.start, asked.until, self._capabilities(asked), asked.severity, segment)

    def _capabilities(self, asked: Asked) -> frozenset[int] | None:
        tenant = self.reader.tenant
        if asked.domain is not None and asked.domain not in self._domains:
            raise NotAskable(f"There is no domain {asked.domain!r} in {tenant.slug}.")
        domain = self._domains[asked.domain] if asked.domain is not None else None
        if asked.capability is not None:
            pk, of = self._served.get(asked.capability, (None, None))
            if pk is None or domain not in (None, of):
                where = f"domain {asked.domain!r}" if asked.domain else tenant.slug
                raise NotAskable(f"There is no capability {asked.capability!r} in {where}.")
            return frozenset([pk])
        if domain is None:
            return None
        return frozenset(pk for pk, of in self._served.values() if of == domain)

    def _beside(self, reading: Reading, cut: Slice, asked: Asked) -> Reading:
        """The reading with its flaws, what was restated or is left out of it, and its target.

        A target is one for each capability of its domain: a pooled reading has none, and neither
        has a segment. Flaws are those of all tickets of the slice, whoever they are of.
        """
        reading = with_data_quality(reading, cut, self.reader)
        reading = with_restatements(reading, cut, self.reader)
        reading = with_paused(with_left_out(reading, cut, self.reader), cut, self.reader)
        reading = with_cohort(reading, cut, self.reader)
        among = Among((), None)
        if asked.capability is not None and asked.segment is None:
            pk, domain = self._served[asked.capability]
            if domain not in self._standings:
                self._standings[domain] = standings(
                    self.reader.tenant, domain_id=domain, on=self.reader.today()
                )
            reading = against(
                reading,
                self._standings[domain],
                capability_id=pk,
                severity=asked.severity,
                period=(asked.start, asked.until),
            )
            among = Among(self._standings[domain], pk)
        reading = guarded(reading, cut, self.reader, among)
        return replace(reading, slice={name: getattr(asked, name) for name in DIMENSIONS})


def _segments(asked: Asked, dimensions: Collection[str]) -> list[str]:
    """The segments a slice is told apart by: those of one dimension. Raises NotAskable."""
    by = [name for name in segments.DIMENSIONS if name in dimensions]
    if asked.segment is not None:
        by = list({*by, SEGMENTS[asked.segment][0]})
    if len(by) > 1:
        raise NotAskable(
            f"Segments are told by one of {', '.join(segments.DIMENSIONS)} at a time, not by"
            f" {' and '.join(sorted(by))}: each would be of too few people."
        )
    if asked.segment is not None:
        return [asked.segment]
    return [name for name, (dimension, _) in SEGMENTS.items() if dimension in by]


def reader_of(
    tenant: Organisation, *, now: datetime, as_of: datetime | None, start: date, until: date
) -> Reader:
    """A reader of the present, or of an earlier moment; the past is read as the worker only."""
    if as_of is None:
        return Reader(tenant, as_of=now)
    if as_of > now:
        raise NotAskable(f"{as_of.isoformat()} has not come yet; nothing is known of it.")
    return past_reader(tenant, as_of=as_of, start=start, until_day=until)
