"""Going through every organisation: one that fails stops no other and is not forgotten."""

from __future__ import annotations

import logging
from collections.abc import Callable

from portal.tenancy.models import Organisation

log = logging.getLogger(__name__)


class SweepFailed(ExceptionGroup[Exception]):
    """The work of some organisations failed; the next tick tries them again."""


def each_organisation(what: str, work: Callable[[int], int]) -> int:
    """Do `work(tenant_id)` for every organisation; return the sum of what was done.

    Raises SweepFailed with every failure, after all organisations had their turn.
    """
    done, failures = 0, []
    for tenant_id, slug in Organisation.objects.order_by("pk").values_list("pk", "slug"):
        try:
            done += work(tenant_id)
        except Exception as failure:  # noqa: BLE001 - raised below, with the others
            log.error("%s failed for %s: %s", what, slug, failure)
            failures.append(failure)
    if failures:
        raise SweepFailed(f"{what}: {len(failures)} organisations failed", failures)
    return done
