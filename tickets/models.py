"""What the help desks told us: the append-only log, and the facts folded from it.

The log (`TicketEvent`) and what arrived (`InboundMessage`) are closed to the web role. Everything
below the log is a projection: `tickets/timeline.py` folds it, `tickets/ingest.py` writes it, and it
can be rebuilt at any time. Who did the work stands in `Attribution` only (TRUST.md decision 3).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from django.db import models
from django.db.models.functions import Coalesce

from portal.catalogue.models import Capability
from portal.catalogue.severity import SEVERITY_CHOICES, SeverityPolicy
from portal.people.models import Person
from portal.tenancy.models import TenantOwned, TenantQuerySet
from tickets.canonical import Flag, ProblemKind, UsageType


class Connection(TenantOwned):
    """A source of tickets: one help desk, one export, one tool behind the API."""

    #: The source's name in URLs, commands and the API.
    name = models.SlugField(max_length=60)
    #: A key of tickets/connectors (one file a help desk), or `file` or `api`.
    kind = models.CharField(max_length=30, default="file")
    #: The column mapping in force, as read from its TOML file (tickets/mapping.py).
    mapping = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    #: Where its API is, without a path: https://acme.example.
    base_url = models.URLField(max_length=300, blank=True)
    #: What its connector lets an administrator choose, by the connector's own names.
    options = models.JSONField(default=dict)
    #: When its first word mapping was saved: until then messages are kept, and nothing is folded.
    live_since = models.DateTimeField(null=True, blank=True)
    #: Nothing is pulled while paused; hooks are still taken in.
    paused = models.BooleanField(default=False)
    #: SHA-256 of the secret part of its hook address; null: it has none.
    hook_digest = models.BinaryField(max_length=32, null=True, blank=True)
    #: The vendor's own cursor by stream, committed with the page it follows.
    cursor = models.JSONField(default=dict)
    pulled_at = models.DateTimeField(null=True, blank=True)
    reconciled_at = models.DateTimeField(null=True, blank=True)
    #: When the last pull began that read everything: what changed until then has been seen.
    read_at = models.DateTimeField(null=True, blank=True)
    #: The last failure in words for a person; empty after a success.
    trouble = models.CharField(max_length=500, blank=True)
    troubles = models.PositiveIntegerField(default=0)
    #: After a trouble: it is not asked before then, as it said itself or as we back off.
    not_before = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="connection_name")]

    def __str__(self) -> str:
        return self.name


class Credential(TenantOwned):
    """What opens a help desk's API, sealed (portal/sealing.py). The web role may write it only."""

    connection = models.OneToOneField(Connection, on_delete=models.PROTECT, related_name="+")
    sealed = models.BinaryField()
    changed_at = models.DateTimeField()


class HookSecret(TenantOwned):
    """A secret that signs a connection's webhooks, sealed. Former ones hold on for a while."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    sealed = models.BinaryField()
    created_at = models.DateTimeField()
    #: Until when the former secret is still accepted; null: it is the one in force.
    accepted_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection"],
                condition=models.Q(accepted_until__isnull=True),
                name="hook_secret_in_force",
            ),
        ]


class ConnectionCheck(TenantOwned):
    """A test of a connection: asked on a page, made by a worker, answered in plain words."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    passed = models.BooleanField(default=False)
    answer = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-asked_at", "-id")


class MappingVersion(TenantOwned):
    """What a source's own words mean here, from a moment on. Append-only; the newest is in force.

    `words` is the document of tickets/lens.py (`Words.parse`).
    """

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    words = models.JSONField()
    saved_at = models.DateTimeField()
    #: The printed name of whoever saved it; the audit trail knows more.
    saved_by = models.CharField(max_length=200)

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "number"], name="mapping_version_number"
            ),
        ]


class MappingSurvey(TenantOwned):
    """What a worker found in a source's last 30 days: its words with counts, or a draft's preview.

    Asked on the mapping page; nothing of it is written to the facts.
    """

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    #: The draft that is previewed; empty where only the words are looked for.
    draft = models.JSONField(default=dict)
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    found = models.JSONField(default=dict)

    class Meta:
        ordering = ("-asked_at", "-id")


class AccountRole(TenantOwned):
    """What an account at the source was from an instant on: agent, bot, requester, system.

    Holds no actor key on purpose: an administrator may see roles, not who did what.
    """

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    external_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    #: A word of tickets/canonical.ActorKind.
    role = models.CharField(max_length=12)
    #: From when it is known; the earliest one holds for all time before as well.
    since = models.DateTimeField()
    #: Said by a person here, which outweighs what the help desk says of the same time.
    by_hand = models.BooleanField(default=False)

    class Meta:
        ordering = ("external_id", "since")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id", "since", "by_hand"],
                name="account_role_once",
            ),
        ]


class InboundMessageQuerySet(TenantQuerySet["InboundMessage"]):
    """Deliveries, and what became of them."""

    def with_status(self) -> Self:
        """With `status`, `status_at`, `errors` and `tries`, as the last outcome says.

        `waiting` (for its first try, or after a replay), `failed` (comes again), `folded` or
        `quarantined` (a dead letter).
        """
        outcomes = InboundOutcome.objects.filter(message=models.OuterRef("pk"))
        last = outcomes.order_by("-pk")
        tried = outcomes.exclude(status="replayed").order_by().values("message")
        return self.annotate(
            queued=models.Exists(InboundWork.objects.filter(message=models.OuterRef("pk"))),
            said=models.Subquery(last.values("status")[:1]),
            status_at=models.Subquery(last.values("at")[:1]),
            errors=models.Subquery(last.values("errors")[:1]),
            tries=Coalesce(models.Subquery(tried.annotate(n=models.Count("pk")).values("n")), 0),
            status=models.Case(
                models.When(queued=True, said="failed", then=models.Value("failed")),
                models.When(queued=True, then=models.Value("waiting")),
                models.When(said=None, then=models.Value("waiting")),
                default=models.F("said"),
                output_field=models.CharField(),
            ),
        )

    def in_status(self, status: str) -> Self:
        """Those of one status, annotated."""
        outcomes = InboundOutcome.objects.filter(message=models.OuterRef("pk"))
        found = self
        if status in ("failed", "quarantined", "folded"):
            # Looked for first: of millions of deliveries few are dead letters.
            found = found.filter(models.Exists(outcomes.filter(status=status)))
        return found.with_status().filter(status=status)


class InboundMessage(TenantOwned):
    """One delivery: that it came, when, how it was signed. Append-only; its body stands apart."""

    class Signature(models.TextChoices):
        #: Verified over the raw bytes.
        VALID = "valid"
        #: Came with an API key or was pulled by us: nothing to verify.
        TRUSTED = "trusted"
        #: Nothing signs it: only a hint to fetch.
        UNSIGNED = "unsigned"

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    delivery_id = models.CharField(max_length=200)
    #: What the body is, in its connector's words: `tickets`, `audits`, `hook`, `ticket` …
    topic = models.CharField(max_length=60)
    received_at = models.DateTimeField()
    signature = models.CharField(max_length=10, choices=Signature, default=Signature.TRUSTED)
    #: The few headers that say what a body is; never a secret.
    headers = models.JSONField(default=dict)
    body_sha256 = models.BinaryField(max_length=32)

    objects = InboundMessageQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "delivery_id"], name="inbound_delivery"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "received_at"], name="inbound_by_receipt")]


class InboundBody(TenantOwned):
    """The bytes of a delivery exactly as they came; emptied after 30 days."""

    message = models.OneToOneField(InboundMessage, on_delete=models.PROTECT, related_name="body")
    raw = models.BinaryField()


class InboundWork(TenantOwned):
    """That a delivery waits to be folded: the queue. A row goes when the delivery is done with."""

    message = models.OneToOneField(InboundMessage, on_delete=models.PROTECT, related_name="work")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    due_at = models.DateTimeField()
    #: Tries that began; counted before each try, so that one that kills the worker counts too.
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["tenant", "due_at", "message"], name="inbound_work_due")]


class InboundOutcome(TenantOwned):
    """What became of a delivery at one try. Append-only: a replay adds another; the last counts."""

    message = models.ForeignKey(InboundMessage, on_delete=models.PROTECT, related_name="outcomes")
    at = models.DateTimeField()
    #: `folded`, `failed` (comes again), `quarantined` (a dead letter) or `replayed` (asked for).
    status = models.CharField(max_length=20)
    errors = models.JSONField(default=list)

    class Meta:
        ordering = ("message", "id")
        indexes = [models.Index(fields=["tenant", "message"], name="inbound_outcome_of")]


class FetchWork(TenantOwned):
    """That a ticket is to be fetched whole: an unsigned or incomplete hook is only a hint."""

    pk = models.CompositePrimaryKey("tenant_id", "connection_id", "external_id")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    external_id = models.CharField(max_length=200)
    asked_at = models.DateTimeField()
    #: Tries that failed, and when the next is due; null: at once.
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)


class RefoldWork(TenantOwned):
    """That a ticket is to be folded again: a role, a mapping version or a burst changed under it.

    `ticket` is an id without a foreign key: a hint that may outlive what it points at.
    """

    pk = models.CompositePrimaryKey("tenant_id", "connection_id", "ticket_id")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    ticket_id = models.BigIntegerField()


class FoldVersion(TenantOwned):
    """The windows, the severity policy and further lines of the fold from here on. Append-only.

    See tickets/fold_rules.py. No row: the handbook's defaults.
    """

    reopen = models.DurationField()
    courtesy = models.DurationField()
    misclick = models.DurationField()
    #: Business time.
    triage = models.DurationField()
    severity_policy = models.CharField(
        max_length=10,
        choices=[(one.value, one.value) for one in SeverityPolicy],
        db_default=SeverityPolicy.RECORDED.value,
    )
    #: Whether first contact resolution has a line for written channels (METRICS.md M16).
    written_line = models.BooleanField(default=False, db_default=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    reopen__gt=timedelta(0),
                    courtesy__gte=timedelta(0),
                    misclick__gte=timedelta(0),
                    triage__gte=timedelta(0),
                    misclick__lte=models.F("reopen"),
                    courtesy__lte=models.F("reopen"),
                ),
                name="fold_version_windows",
            ),
        ]


class Requester(TenantOwned):
    """Somebody who asked for help, as a source knows them. Closed to the web role."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    external_id = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    #: When the source said this address; a later word replaces it, whichever came first.
    email_at = models.DateTimeField(null=True, blank=True)
    #: The person here, once known to be the same (an agent may not rate their own work).
    person = models.ForeignKey(
        Person, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="requester_external_id"
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "email"],
                name="requester_by_email",
                condition=~models.Q(email=""),
            ),
        ]


class AgentAccount(TenantOwned):
    """The one place that says whose account an actor key is. The web role sees its own row only."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    external_id = models.CharField(max_length=200)
    actor_key = models.UUIDField(default=uuid.uuid4)
    person = models.ForeignKey(
        Person, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="agent_account_external_id"
            ),
            models.UniqueConstraint(fields=["tenant", "actor_key"], name="agent_account_key"),
        ]


class TicketQuerySet(TenantQuerySet["Ticket"]):
    """Tickets."""

    def counted(self) -> Self:
        """Tickets that are in the figures: not spam, test, merged, deleted or migrated."""
        return self.filter(left_out="")

    def resolved(self) -> Self:
        """Tickets that are resolved or closed now."""
        return self.filter(state__in=("resolved", "closed"))

    def about(self, capability_slug: str) -> Self:
        """Tickets about a capability, as they stand now."""
        return self.filter(capability__slug=capability_slug)

    def in_state(self, state: str) -> Self:
        """Tickets in a canonical state now (tickets/canonical.py)."""
        return self.filter(state=state)


class Ticket(TenantOwned):
    """A ticket as it stands after its last event. Nobody who worked on it is named here."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="tickets")
    external_id = models.CharField(max_length=200)
    requester = models.ForeignKey(
        Requester, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    subject = models.CharField(max_length=500, blank=True)
    channel = models.CharField(max_length=40, blank=True)
    opened_at = models.DateTimeField()
    last_event_at = models.DateTimeField()
    state = models.CharField(max_length=30)
    severity = models.CharField(max_length=10, choices=SEVERITY_CHOICES)
    capability = models.ForeignKey(
        Capability, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: The queue or team it sits with, in the help desk's words.
    group = models.CharField(max_length=150, blank=True)
    #: Empty, or why it is in no figure: spam, test, merged, deleted, migration (METRICS.md 1.1), or
    #: incomplete: news of it came, but not yet how it was opened.
    left_out = models.CharField(max_length=20, blank=True)
    #: The ticket of which this one is a continuation, if any (METRICS.md 1.1, rule 3).
    continues = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: External id of the ticket it says it follows, heard of or not, soon enough or not.
    follows = models.CharField(max_length=200, blank=True)
    #: When subject, channel and requester were said, by name: the later word stands, whichever
    #: came first.
    labelled = models.JSONField(default=dict)
    #: Whether it has a flaw (TicketFlaw): few have, and a page finds those without the others.
    flawed = models.BooleanField(default=False)

    objects = TicketQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ("-opened_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "external_id"], name="ticket_external_id"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "opened_at", "id"], name="ticket_by_opening"),
            models.Index(fields=["tenant", "capability", "opened_at"], name="ticket_by_capability"),
            models.Index(fields=["tenant", "requester"], name="ticket_by_requester"),
            models.Index(
                fields=["tenant", "connection", "follows"],
                name="ticket_by_followed",
                condition=~models.Q(follows=""),
            ),
            models.Index(
                fields=["tenant", "capability", "last_event_at"],
                name="ticket_flawed",
                condition=models.Q(flawed=True),
            ),
            models.Index(
                fields=["tenant", "id"],
                name="ticket_left_out",
                condition=~models.Q(left_out__in=["", "incomplete"]),
            ),
            models.Index(
                fields=["tenant", "capability", "opened_at"],
                name="ticket_left_out_by_opening",
                condition=~models.Q(left_out__in=["", "incomplete"]),
            ),
        ]

    def __str__(self) -> str:
        return self.external_id


class TicketEvent(TenantOwned):
    """One thing that happened, in the words of tickets/canonical.py. Append-only."""

    pk = models.CompositePrimaryKey("tenant_id", "ticket_id", "key")
    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="events")
    #: 64 bits of the hash of the source's own event id: the same event arrives once.
    key = models.BigIntegerField()
    type = models.CharField(max_length=30)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    sequence = models.CharField(max_length=40, blank=True)
    actor_kind = models.CharField(max_length=12)
    actor_key = models.UUIDField(null=True, blank=True)
    public = models.BooleanField(default=False)
    data = models.JSONField(default=dict)
    #: How the source told it: native_event, derived_from_changelog, derived_from_snapshot_diff …
    fidelity = models.CharField(max_length=30, default="native_event")
    #: How fine its instant was told: `min` or `day`; empty: to the second or finer.
    precision = models.CharField(max_length=4, default="", blank=True)

    class Meta:
        ordering = ("at", "sequence", "key")
        indexes = [
            # Whose tickets are folded again when it is told what somebody was.
            models.Index(
                fields=["tenant", "actor_key"],
                name="event_by_unknown_actor",
                condition=models.Q(actor_kind="unknown", actor_key__isnull=False),
            ),
        ]


class MessageText(TenantOwned):
    """The words of a message, in a table that can be emptied (30 days by default)."""

    pk = models.CompositePrimaryKey("tenant_id", "ticket_id", "key")
    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="+")
    key = models.BigIntegerField()
    at = models.DateTimeField()
    text = models.TextField()


class Problem(TenantOwned):
    """What several tickets of a source may share: a problem record, a known defect, a duplicate."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=[(one.value, one.value) for one in ProblemKind])
    #: What the source calls it: PRB0040012, OPS-17.
    external_id = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "kind", "external_id"], name="problem_external_id"
            ),
        ]

    def __str__(self) -> str:
        return self.external_id


def _severity_of_a_decision() -> models.CharField[str, str]:
    """Empty: the item's own."""
    return models.CharField(max_length=10, choices=SEVERITY_CHOICES, blank=True, db_default="")


def _capability_of_a_decision() -> models.ForeignKey[Capability | None]:
    """Null: the item's own."""
    return models.ForeignKey(
        Capability,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )


class WorkItem(TenantOwned):
    """One problem of one requester: the unit of counting (METRICS.md 1.1).

    Seconds are business seconds of the governed severity's calendar unless a name says
    `requester_elapsed`. Running clocks are not stored: they follow at reading time from
    `opened_at`, `paused_s` and `paused_since`.
    """

    class Outcome(models.TextChoices):
        OPEN = "open"
        RESOLVED = "resolved"
        WITHDRAWN = "withdrawn"

    class FirstContact(models.TextChoices):
        """What HDI's rule for written channels makes of a first resolution (METRICS.md M16)."""

        WITHIN = "within", "in writing, solved within one business hour"
        LATER = "later", "in writing, and not solved by then"
        LIVE = "live", "by telephone or chat"
        UNKNOWN = "unknown", "by a channel that is not known"

    class Downgraded(models.TextChoices):
        """How near its target an item was when its severity was made milder (METRICS.md G8)."""

        EARLIER = "earlier"
        #: In the last fifth of the target then in force.
        LATE = "late"
        AFTER = "after"

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="work_items")
    #: 1, and 2, 3 … for what came back after 14 days.
    number = models.PositiveSmallIntegerField()
    requester = models.ForeignKey(
        Requester, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    capability = models.ForeignKey(
        Capability, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    severity = models.CharField(max_length=10, choices=SEVERITY_CHOICES)
    channel = models.CharField(max_length=40, blank=True)
    group = models.CharField(max_length=150, blank=True)
    opened_at = models.DateTimeField()
    state = models.CharField(max_length=30)
    outcome = models.CharField(max_length=10, choices=Outcome)
    #: The resolution that held, or the withdrawal; null while open.
    ended_at = models.DateTimeField(null=True, blank=True)
    #: The resolution clock when it ended; null while open.
    clock_s = models.PositiveIntegerField(null=True, blank=True)
    requester_elapsed_s = models.PositiveIntegerField(null=True, blank=True)
    #: Business seconds of accepted pauses and of gaps before counted reopens, finished ones only.
    paused_s = models.PositiveIntegerField(default=0)
    #: Since when the clock stands still now; null while it runs or has ended.
    paused_since = models.DateTimeField(null=True, blank=True)

    first_response_at = models.DateTimeField(null=True, blank=True)
    first_response_s = models.PositiveIntegerField(null=True, blank=True)
    first_meaningful_at = models.DateTimeField(null=True, blank=True)
    first_meaningful_s = models.PositiveIntegerField(null=True, blank=True)
    #: Whether the first human reply helped: meaningful, not_meaningful, unknown or empty (none).
    first_reply_meaning = models.CharField(max_length=14, blank=True)
    #: Opened by an agent without any contact of the requester: no response is owed.
    response_owed = models.BooleanField(default=True)

    first_resolution_at = models.DateTimeField(null=True, blank=True)
    reassignments = models.PositiveSmallIntegerField(default=0)
    escalations_functional = models.PositiveSmallIntegerField(default=0)
    escalations_hierarchical = models.PositiveSmallIntegerField(default=0)
    requester_messages = models.PositiveSmallIntegerField(default=0)
    fcr_claimed = models.BooleanField(default=False)
    #: Empty: nothing was resolved, or the organisation has not added that line (FoldVersion).
    first_contact = models.CharField(max_length=7, choices=FirstContact, blank=True, db_default="")
    #: When the same requester next opened an item for the same capability within 14 days (M17).
    repeat_contact_at = models.DateTimeField(null=True, blank=True)
    #: Should it have been self-service? Null: not classified (M25).
    routine = models.BooleanField(null=True, blank=True)
    #: What it shares with other items (M26).
    problem = models.ForeignKey(
        Problem,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="work_items",
        db_index=False,
    )

    #: What is promised under its severity and capability, in the version in force at its opening,
    #: business seconds; null: nothing.
    response_target_s = models.PositiveIntegerField(null=True, blank=True)
    resolution_target_s = models.PositiveIntegerField(null=True, blank=True)
    #: When the promised time runs out, or ran out first, whatever was changed later; null while
    #: paused or without a promise (tickets/clocks.py).
    response_deadline = models.DateTimeField(null=True, blank=True)
    resolution_deadline = models.DateTimeField(null=True, blank=True)
    #: Whether each came before its time ran out; null: nothing was promised of it. Beside it, where
    #: they are not the item's own, severity and capability of that: those in force when it came in
    #: time, else when the time ran out (METRICS.md 1.5, 1.7).
    first_response_in_time = models.BooleanField(null=True, blank=True)
    first_response_severity = _severity_of_a_decision()
    first_response_capability = _capability_of_a_decision()
    first_meaningful_in_time = models.BooleanField(null=True, blank=True)
    first_meaningful_severity = _severity_of_a_decision()
    first_meaningful_capability = _capability_of_a_decision()
    #: The resolution that holds, or the withdrawal.
    resolution_in_time = models.BooleanField(null=True, blank=True)
    resolution_severity = _severity_of_a_decision()
    resolution_capability = _capability_of_a_decision()

    #: Who somebody was to us when it was opened, as one number (tickets/segments.py).
    segments = models.PositiveSmallIntegerField(default=0, db_default=0)
    #: Of the public replies and the resolution so far: automation, both, person, unknown.
    handled_by = models.CharField(max_length=10, default="unknown", db_default="unknown")
    #: Moves to waiting for the requester in the last tenth of the resolution target, and those of
    #: them without a question to the requester within five minutes (METRICS.md G7).
    late_pauses = models.PositiveSmallIntegerField(default=0, db_default=0)
    late_pauses_unasked = models.PositiveSmallIntegerField(default=0, db_default=0)
    downgraded = models.CharField(max_length=7, choices=Downgraded, blank=True, db_default="")

    class Meta:
        ordering = ("opened_at", "id")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "ticket", "number"], name="work_item_number"),
            models.CheckConstraint(
                condition=models.Q(outcome="open", ended_at__isnull=True, clock_s__isnull=True)
                | (
                    ~models.Q(outcome="open")
                    & models.Q(ended_at__isnull=False, clock_s__isnull=False)
                ),
                name="work_item_ended_or_open",
            ),
            models.CheckConstraint(
                condition=models.Q(first_contact="")
                | models.Q(
                    first_contact__in=("within", "later", "live", "unknown"),
                    first_resolution_at__isnull=False,
                ),
                name="work_item_first_contact",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "first_resolution_at"],
                name="work_item_by_first_contact",
                condition=~models.Q(first_contact=""),
            ),
            models.Index(fields=["tenant", "opened_at"], name="work_item_by_opening"),
            models.Index(
                fields=["tenant", "requester", "capability", "opened_at"],
                name="work_item_by_requester",
            ),
            models.Index(
                fields=["tenant", "problem", "opened_at"],
                name="work_item_by_problem",
                condition=models.Q(problem__isnull=False),
            ),
        ]


class RestatedCount(NamedTuple):
    """Restatements that are alike: what was told otherwise, and where it stood and stands."""

    promise: str
    was: str
    now: str
    #: Whether it stood, and stands, in the period and capabilities asked for.
    was_in: bool
    now_in: bool
    was_severity: str
    now_severity: str
    items: int
    noticed_at: datetime


class RestatementQuerySet(TenantQuerySet["Restatement"]):
    """Questions about what was restated."""

    def of_period(
        self,
        start: datetime,
        end: datetime,
        *,
        capabilities: Collection[int] | None,
        until: datetime,
    ) -> Self:
        """What of start <= t < end was told otherwise before, noticed since and up to an instant.

        Of some capabilities, or (None) of all. `was_in` and `now_in` say which of the two stands in
        that slice: a decision may have left it, come to it, or been changed within it.
        """

        def within(side: str) -> models.Q:
            found = models.Q(**{f"{side}_at__gte": start, f"{side}_at__lt": end})
            if capabilities is not None:
                found &= models.Q(**{f"{side}_capability__in": capabilities})
            return found

        return self.filter(
            within("was") | within("now"), noticed_at__gte=end, noticed_at__lte=until
        ).annotate(
            was_in=models.ExpressionWrapper(within("was"), models.BooleanField()),
            now_in=models.ExpressionWrapper(within("now"), models.BooleanField()),
        )

    def of_severity(self, severity: str | None) -> Self:
        """Of a period's those that stood, or stand, there under a severity."""
        if severity is None:
            return self

        def under(side: str) -> models.Q:
            return models.Q(**{f"{side}_in": True, f"{side}_severity": severity})

        return self.filter(under("was") | under("now"))

    def counts(self) -> list[RestatedCount]:
        """How many of a period's are alike, and when the latest was noticed."""
        rows: Any = self  # `was_in` and `now_in` are annotations
        alike = rows.values_list(
            "promise", "was", "now", "was_in", "now_in", "was_severity", "now_severity"
        )
        counted = alike.annotate(items=models.Count("pk"), noticed_at=models.Max("noticed_at"))
        return [RestatedCount(*row) for row in counted.order_by()]


class Restatement(TenantOwned):
    """That a promise decided in a period that is over stands otherwise now (METRICS.md 1.8).

    Written with the fact it tells of (tickets/restating.py). Append-only. An item is known by its
    ticket and number, which outlive a new folding of the ticket.
    """

    class Promise(models.TextChoices):
        FIRST_RESPONSE = "first_response", "first reply"
        FIRST_MEANINGFUL = "first_meaningful", "first helpful reply"
        RESOLUTION = "resolution", "resolution"

    class Verdict(models.TextChoices):
        MET = "met", "met"
        MISSED = "missed", "missed"
        UNDECIDED = "undecided", "undecided"
        WITHDRAWN = "withdrawn", "withdrawn"
        #: Nothing is promised of it, or the item is counted no more.
        NOT_COUNTED = "not_counted", "not counted"

    ticket = models.ForeignKey(
        Ticket, on_delete=models.PROTECT, related_name="restatements", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    promise = models.CharField(max_length=20, choices=Promise)
    noticed_at = models.DateTimeField()
    #: How it stood: when that was decided, and under which capability and severity.
    was = models.CharField(max_length=12, choices=Verdict)
    was_at = models.DateTimeField(null=True, blank=True)
    was_capability = _capability_of_a_decision()
    was_severity = _severity_of_a_decision()
    #: How it stood when that was noticed.
    now = models.CharField(max_length=12, choices=Verdict)
    now_at = models.DateTimeField(null=True, blank=True)
    now_capability = _capability_of_a_decision()
    now_severity = _severity_of_a_decision()

    #: Of a period that was asked for (`of_period`).
    was_in: bool
    now_in: bool

    objects = RestatementQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ("noticed_at", "id")
        indexes = [
            models.Index(fields=["tenant", "ticket"], name="restatement_by_ticket"),
            models.Index(fields=["tenant", "was_at"], name="restatement_by_decision"),
            models.Index(fields=["tenant", "now_at"], name="restatement_by_new_decision"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(was_at__isnull=False) | models.Q(now_at__isnull=False),
                name="restatement_of_a_decision",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ticket_id}.{self.number}, {self.promise}: {self.was} to {self.now}"


class Resolution(TenantOwned):
    """A move from an open state to resolved or closed that was not void (METRICS.md 1.6)."""

    work_item = models.ForeignKey(WorkItem, on_delete=models.CASCADE, related_name="resolutions")
    #: The ticket it happened on: a continuation's resolution belongs to the parent's work item.
    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="resolutions")
    #: The key of the status event that resolved it; the identity that survives a re-fold.
    event_key = models.BigIntegerField()
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=12)
    #: Values at that instant.
    capability = models.ForeignKey(
        Capability, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    severity = models.CharField(max_length=10, choices=SEVERITY_CHOICES)
    group = models.CharField(max_length=150, blank=True)
    policy_denial = models.BooleanField(default=False)
    #: The one that stands now, if the item is resolved.
    holds = models.BooleanField(default=False)
    clock_s = models.PositiveIntegerField()
    reopen_at = models.DateTimeField(null=True, blank=True)
    #: counted, courtesy, system or empty; a misclick leaves no resolution (`slips`).
    reopen_kind = models.CharField(max_length=10, blank=True)
    #: A counted reopen within 14 x 24 h.
    reopened = models.BooleanField(default=False)
    #: Of the public replies up to it and of itself: automation, both, person, unknown.
    handled_by = models.CharField(max_length=10, default="unknown", db_default="unknown")
    #: When it was first called a policy denial or out of scope, before or after it was made, and
    #: whether whoever it was assigned to said so; null: nobody did, or nobody knows who.
    denied_at = models.DateTimeField(null=True, blank=True)
    denied_by_assignee = models.BooleanField(null=True, blank=True)
    #: When a follow-up ticket came that was too late to continue the item (METRICS.md G5).
    followed_at = models.DateTimeField(null=True, blank=True)
    #: Void resolutions that it follows, each taken back as a misclick (METRICS.md 1.6).
    slips = models.PositiveSmallIntegerField(default=0, db_default=0)
    #: Resolutions by one account, nobody says which, in the ten minutes up to this one; null where
    #: they are 20 or fewer, so that nothing tells whose the ordinary ones are (METRICS.md G10).
    burst = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("at", "id")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "ticket", "event_key"], name="resolution_event"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "at"], name="resolution_by_instant"),
            models.Index(fields=["tenant", "work_item"], name="resolution_by_item"),
            models.Index(
                fields=["tenant", "reopen_at"],
                name="resolution_by_reopen",
                condition=models.Q(reopen_at__isnull=False),
            ),
            models.Index(
                fields=["tenant", "ticket", "event_key"],
                name="resolution_denied",
                condition=models.Q(denied_at__isnull=False),
            ),
        ]


class Escalation(TenantOwned):
    """An escalation with its reason, functional or hierarchical (METRICS.md M19)."""

    work_item = models.ForeignKey(WorkItem, on_delete=models.CASCADE, related_name="escalations")
    event_key = models.BigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=12)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("at", "id")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "work_item", "event_key"], name="escalation_event"
            ),
        ]


class TicketFlaw(TenantOwned):
    """Something about a ticket's data that its figures rest on (tickets/flaws.py has the list)."""

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="flaws")
    kind = models.CharField(max_length=30)
    #: What exactly, in the source's words: the status nobody mapped, the two counts.
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "ticket", "kind", "detail"], name="ticket_flaw_once"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "kind", "detail"], name="ticket_flaw_by_kind")]


class ReopenBurst(TenantOwned):
    """Tickets of one source moved back within seconds, as no person does (tickets/bursts.py)."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    tickets = models.PositiveIntegerField()

    class Meta:
        ordering = ("started_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "started_at"], name="reopen_burst_once"
            ),
        ]


class ToldRating(TenantOwned):
    """A rating as a source told it, whenever it came: surveys place it at its resolution.

    Workers only. `key` is 64 bits of the source's own id; a later word on the same rating is a row
    with the same key and a later `said_at`. Of one instant the larger `sequence` is the later word,
    then the larger `word`, so that the last one is the same however they came.
    """

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    ticket_external_id = models.CharField(max_length=200)
    key = models.BigIntegerField()
    #: When the source says it was given or changed.
    said_at = models.DateTimeField()
    sequence = models.CharField(max_length=40, blank=True)
    #: 64 bits of the hash of everything it says.
    word = models.BigIntegerField(default=0)
    #: When it was offered, where that is known.
    offered_at = models.DateTimeField(null=True, blank=True)
    #: `responded`, or why there is no answer: `offered`, `declined`, `expired`.
    outcome = models.CharField(max_length=12, default="responded")
    #: Whole points of `scale` (csat_1_5, two_point …); null without an answer.
    score = models.SmallIntegerField(null=True, blank=True)
    scale = models.CharField(max_length=30, blank=True)
    #: The source's own word or number, as it came.
    raw = models.CharField(max_length=100, blank=True)
    remark = models.TextField(blank=True)
    #: Why what is rated ended as it did, where the source says so with the answer.
    outcome_reason = models.CharField(
        max_length=20,
        choices={Flag.POLICY_DENIAL.value: "policy denial"},
        blank=True,
        default="",
        db_default="",
    )
    #: The question it answers, as the source names it; empty: its source asks only one.
    question = models.CharField(max_length=300, blank=True, default="")
    #: Whether its survey asks no other scale.
    alone = models.BooleanField(default=True)
    #: The random key of who had the ticket when it was rated; figures go by the resolution
    #: (METRICS.md 1.7). Whose key it is stands in AgentAccount only.
    agent_key = models.UUIDField(null=True, blank=True)
    #: Set when surveys have to look (again): it is new, or its ticket's resolutions changed.
    waiting = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "key", "said_at", "sequence", "word"],
                name="told_rating_once",
            ),
            models.CheckConstraint(
                condition=models.Q(outcome_reason__in=["", Flag.POLICY_DENIAL]),
                name="told_rating_outcome_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "connection", "ticket_external_id"], name="told_rating_by_ticket"
            ),
            models.Index(
                fields=["tenant", "connection"],
                name="told_rating_waiting",
                condition=models.Q(waiting=True),
            ),
        ]


class UsageEvent(TenantOwned):
    """What somebody did without us: a self-service task, an action on a platform. Append-only.

    For METRICS.md M10, M23, M24 and the segments of D1.
    """

    pk = models.CompositePrimaryKey("tenant_id", "connection_id", "key")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    #: 64 bits of the hash of the sender's own event id.
    key = models.BigIntegerField()
    type = models.CharField(max_length=16, choices=[(one.value, one.value) for one in UsageType])
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    requester = models.ForeignKey(Requester, on_delete=models.PROTECT, related_name="+")
    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    #: The sender's name of the task or action.
    task = models.CharField(max_length=200, blank=True)
    #: Of an outcome: did it work, how long did it take, how many errors were shown.
    success = models.BooleanField(null=True, blank=True)
    duration_ms = models.PositiveBigIntegerField(null=True, blank=True)
    errors_shown = models.PositiveIntegerField(null=True, blank=True)
    #: Whether the capability was marked advanced when the event was told (METRICS.md D1): a later
    #: change of the mark says nothing about the past.
    advanced = models.BooleanField(default=False, db_default=False)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "at"], name="usage_by_instant"),
            models.Index(fields=["tenant", "requester", "at"], name="usage_by_requester"),
            models.Index(
                fields=["tenant", "at"], name="usage_advanced", condition=models.Q(advanced=True)
            ),
        ]


class SelfServiceAttempt(TenantOwned):
    """One attempt to finish a task without us, folded from `UsageEvent`s (tickets/attempts.py)."""

    requester = models.ForeignKey(Requester, on_delete=models.PROTECT, related_name="+")
    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    task = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    #: Within 24 h of the start.
    completed_at = models.DateTimeField(null=True, blank=True)
    #: When the same person first asked us about the same capability within 72 h of the start.
    assisted_at = models.DateTimeField(null=True, blank=True)
    #: Attempts of the same person at the same task in the 14 x 24 h before.
    earlier = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "requester", "capability", "task", "started_at"],
                name="attempt_once",
            ),
            # Attempts are half an hour apart: in 14 days there is room for so many.
            models.CheckConstraint(
                condition=models.Q(earlier__lte=14 * 48), name="attempt_earlier"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "started_at"], name="attempt_by_start"),
            models.Index(fields=["tenant", "requester"], name="attempt_by_requester"),
        ]


class Attribution(TenantOwned):
    """Who did it: the private table. The database shows the web role its own person's rows only."""

    class Act(models.TextChoices):
        RESOLVED = "resolved"
        FIRST_RESPONDED = "first_responded"

    work_item = models.ForeignKey(WorkItem, on_delete=models.CASCADE, related_name="+")
    #: The ticket and event of the resolution or reply it is about.
    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="+")
    event_key = models.BigIntegerField()
    act = models.CharField(max_length=16, choices=Act)
    agent = models.ForeignKey(
        AgentAccount, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    #: The agent's person, once linked; the policy looks at this column.
    person = models.ForeignKey(
        Person, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "ticket", "event_key", "act"], name="attribution_once"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "person", "at"], name="attribution_by_person"),
            models.Index(fields=["agent", "at"], name="attribution_by_agent"),
        ]


class ImportRun(TenantOwned):
    """One run of import_tickets over one file: what was read, what it became, where it stands."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    file_name = models.CharField(max_length=300)
    file_sha256 = models.BinaryField(max_length=32)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    #: Rows of the file whose effect is committed: an interrupted run goes on behind them.
    rows_done = models.PositiveBigIntegerField(default=0)
    counts = models.JSONField(default=dict)

    class Meta:
        ordering = ("-started_at",)


class QuarantinedRow(TenantOwned):
    """A row that could not be used: its number, the field and the reason; the others were kept."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="quarantined")
    row_number = models.PositiveBigIntegerField()
    ticket_external_id = models.CharField(max_length=200, blank=True)
    field = models.CharField(max_length=100)
    value = models.CharField(max_length=300, blank=True)
    reason = models.CharField(max_length=300)
    #: False where only this field was lost and the row was kept.
    row_refused = models.BooleanField(default=True)

    class Meta:
        ordering = ("run", "row_number")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "run", "row_number", "field"], name="quarantined_once"
            ),
        ]


class Upload(TenantOwned):
    """A file that came by a page: its bytes lie in UPLOADS_FOLDER until they have been imported."""

    name = models.CharField(max_length=300)
    #: The file's name below the organisation's folder: random, with the kind's ending.
    stored_as = models.CharField(max_length=50)
    size = models.PositiveBigIntegerField()
    sha256 = models.BinaryField(max_length=32)
    uploaded_at = models.DateTimeField()
    uploaded_by = models.CharField(max_length=200)
    #: When its bytes were removed: after the import, or a week without one.
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-uploaded_at", "-id")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "stored_as"], name="upload_stored_once"),
        ]


class ImportOrder(TenantOwned):
    """That an uploaded file is to be imported, how it is to be read, and how far it has come."""

    upload = models.ForeignKey(Upload, on_delete=models.PROTECT, related_name="orders")
    #: The source's name; it may be new.
    source = models.SlugField(max_length=60)
    #: The help desk whose raw records these are, and their stream; empty: read with `mapping`.
    kind = models.CharField(max_length=30, blank=True)
    stream = models.CharField(max_length=60, blank=True)
    mapping = models.JSONField(default=dict)
    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=200)
    #: Until when a worker has it; behind that another one goes on.
    leased_until = models.DateTimeField(null=True, blank=True)
    #: Workers that took it up without getting any further.
    attempts = models.PositiveSmallIntegerField(default=0)
    run = models.ForeignKey(
        ImportRun, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    began_at = models.DateTimeField(null=True, blank=True)
    rows = models.PositiveBigIntegerField(default=0)
    #: How much of the file has been read, 0 to 1.
    share = models.FloatField(default=0)
    heard_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    #: Why it ended early, in words for a person; empty: it did not.
    trouble = models.CharField(max_length=1000, blank=True)
    report = models.JSONField(default=dict)

    class Meta:
        ordering = ("-asked_at", "-id")
