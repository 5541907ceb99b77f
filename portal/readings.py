"""A reading as somebody outside asks for it: names of the slice in, the display contract out.

The command and the REST endpoint ask here; pages, which know their objects, ask `metrics.measure`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import product

from governance.comparing import against, standings
from metrics.data_quality import with_data_quality
from metrics.folded import past_reader
from metrics.measure import Reader, Reading, Slice
from portal.catalogue.models import Capability, Domain
from portal.catalogue.severity import Severity
from portal.tenancy.models import Organisation

DIMENSIONS = ("capability", "severity", "domain")
LONGEST = timedelta(days=3 * 366)


class NotAskable(ValueError):
    """The question names something that is not there; the message says what."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One slice by the names of its dimensions; None means all."""

    start: date
    until: date
    capability: str | None = None
    severity: str | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        if not self.start < self.until <= self.start + LONGEST:
            raise NotAskable(
                f"The period {self.start} to {self.until} is empty or longer than three years: the"
                " first day comes before the last, which is not included."
            )
        if self.severity is not None and self.severity not in set(Severity):
            raise NotAskable(
                f"There is no severity {self.severity!r}; there are {', '.join(Severity)}."
            )


def tell(reader: Reader, metric: str, asked: Asked) -> Reading:
    """The reading of `metric` or `metric.view`, beside its target if one capability is asked for.

    A target is one for each capability of its domain, so a pooled reading stands beside none.
    Raises NotAskable, and what `Reader.measure` raises.
    """
    tenant = reader.tenant
    served = Capability.objects.for_tenant(tenant)
    if asked.domain is not None:
        if not Domain.objects.for_tenant(tenant).filter(key=asked.domain).exists():
            raise NotAskable(f"There is no domain {asked.domain!r} in {tenant.slug}.")
        served = served.filter(domain__key=asked.domain)
    one = None
    if asked.capability is not None:
        one = served.filter(slug=asked.capability).first()
        if one is None:
            where = f"domain {asked.domain!r}" if asked.domain else tenant.slug
            raise NotAskable(f"There is no capability {asked.capability!r} in {where}.")
    named = {one.pk} if one else set(served.values_list("pk", flat=True)) if asked.domain else None
    cut = Slice(
        asked.start, asked.until, None if named is None else frozenset(named), asked.severity
    )
    reading = with_data_quality(reader.measure(metric, cut), cut, reader)
    if one is not None:
        reading = against(
            reading,
            standings(tenant, domain_id=one.domain_id, on=reader.today()),
            capability_id=one.pk,
            severity=asked.severity,
            period=(asked.start, asked.until),
        )
    return replace(reading, slice={name: getattr(asked, name) for name in DIMENSIONS})


def reader_of(
    tenant: Organisation, *, now: datetime, as_of: datetime | None, start: date, until: date
) -> Reader:
    """A reader of the present, or of an earlier moment; the past is read as the worker only."""
    if as_of is None:
        return Reader(tenant, as_of=now)
    if as_of > now:
        raise NotAskable(f"{as_of.isoformat()} has not come yet; nothing is known of it.")
    return past_reader(tenant, as_of=as_of, start=start, until_day=until)


def split(tenant: Organisation, asked: Asked, dimensions: Collection[str]) -> Iterator[Asked]:
    """The slice in parts, one for each combination of the dimensions' values, in their order."""
    values: Mapping[str, list[str]] = {
        "capability": _capabilities(tenant, asked),
        "severity": [asked.severity] if asked.severity else [s.value for s in Severity],
        "domain": _domains(tenant, asked),
    }
    names = [name for name in DIMENSIONS if name in dimensions]
    served = _domain_of_capabilities(tenant)
    for combination in product(*(values[name] for name in names)):
        chosen = dict(zip(names, combination, strict=True))
        part = replace(
            asked,
            capability=chosen.get("capability", asked.capability),
            severity=chosen.get("severity", asked.severity),
            domain=chosen.get("domain", asked.domain),
        )
        whole = part.domain is None or part.capability is None
        if whole or served.get(part.capability or "") == part.domain:
            yield part


def _capabilities(tenant: Organisation, asked: Asked) -> list[str]:
    if asked.capability is not None:
        return [asked.capability]
    served = Capability.objects.for_tenant(tenant).order_by("slug")
    if asked.domain is not None:
        served = served.filter(domain__key=asked.domain)
    return list(served.values_list("slug", flat=True))


def _domains(tenant: Organisation, asked: Asked) -> list[str]:
    if asked.domain is not None:
        return [asked.domain]
    keys = Domain.objects.for_tenant(tenant).order_by("key")
    return list(keys.values_list("key", flat=True))


def _domain_of_capabilities(tenant: Organisation) -> dict[str, str]:
    return dict(Capability.objects.for_tenant(tenant).values_list("slug", "domain__key"))
