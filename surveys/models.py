"""Asking: what could be asked about, whether it was, and what people answered.

Who did the work is not here. An answer is known by its event; its author by the requester's key
only, and nobody reads a single one (TRUST.md B2).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models.functions import Lower

from portal.catalogue.models import Capability, Domain
from portal.catalogue.severity import SEVERITY_CHOICES
from portal.tenancy.models import Organisation, TenantOwned, TenantQuerySet
from surveys.fatigue import Reason
from tickets.models import Requester, Ticket


class Campaign(TenantOwned):
    """When resolutions are asked about, and the limits that protect people from being asked.

    Once it has begun the database lets it be ended and renamed, and refuses every other change:
    figures of answers begin anew where a campaign does, and not within one (METRICS.md D4).
    """

    name = models.CharField(max_length=100)
    #: Only events from here on are asked about; imported history is not.
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    #: Minutes from the event to the mail; within the hour (METRICS.md M07).
    delay_minutes = models.PositiveSmallIntegerField(default=5)
    #: Share of eligible events that are asked, 0 to 1.
    sampling = models.DecimalField(max_digits=4, decimal_places=3, default=1)
    #: An event resolved faster than this, with at most one reply, is too small to ask about.
    effort_threshold_minutes = models.PositiveSmallIntegerField(default=10)
    #: At most one invitation in 7 days and three in 90 (METRICS.md Part 7).
    limit_7_days = models.PositiveSmallIntegerField(default=1)
    limit_90_days = models.PositiveSmallIntegerField(default=3)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="campaign_name"),
            models.CheckConstraint(
                condition=models.Q(sampling__gt=0, sampling__lte=1), name="campaign_sampling"
            ),
            models.CheckConstraint(
                condition=models.Q(delay_minutes__lte=60), name="campaign_within_the_hour"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SurveyedEvent(TenantOwned):
    """An eligible event: the values that held when it happened, frozen (METRICS.md 1.7, T11)."""

    class Decision(models.TextChoices):
        INVITED = "invited"
        NOT_SENT = "not_sent"
        #: A rating that came with an import: whether others were asked is unknown.
        IMPORTED = "imported"

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="+")
    #: The resolution's event key (tickets.Resolution.event_key).
    event_key = models.BigIntegerField()
    at = models.DateTimeField()
    decision = models.CharField(max_length=10, choices=Decision)
    campaign = models.ForeignKey(
        Campaign, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    capability = models.ForeignKey(
        Capability, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    severity = models.CharField(max_length=10, choices=SEVERITY_CHOICES)
    channel = models.CharField(max_length=40, blank=True)
    requester = models.ForeignKey(
        Requester, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: Told apart as a policy denial or out of scope: M09, never M01.
    policy_denial = models.BooleanField(default=False)
    scale = models.CharField(max_length=20, default="csat_1_5")
    #: Who they were to us at that moment and who handled it (tickets/segments.py).
    segments = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ("at", "id")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "ticket", "event_key"], name="surveyed_once"),
        ]
        indexes = [
            models.Index(fields=["tenant", "at"], name="surveyed_by_instant"),
            models.Index(fields=["tenant", "requester", "at"], name="surveyed_by_requester"),
        ]


class Invitation(TenantOwned):
    """A mail to send and what became of it (TRUST.md C: queued, sending, sent, bounced, failed)."""

    class State(models.TextChoices):
        QUEUED = "queued"
        SENDING = "sending"
        SENT = "sent"
        BOUNCED = "bounced"
        FAILED = "failed"
        #: Two ambiguous crashes: shown to the operator and retried by hand.
        UNCERTAIN = "uncertain"

    event = models.OneToOneField(SurveyedEvent, on_delete=models.CASCADE, related_name="invitation")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    #: How often a worker vanished, or the mail server hung up, without saying whether it was sent.
    ambiguous = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    message_id = models.UUIDField()
    #: SHA-256 of the link's token; the token itself follows from a secret and `message_id`.
    token_digest = models.BinaryField(max_length=32)
    sent_at = models.DateTimeField(null=True, blank=True)
    #: Answers count up to here, itself included: sent_at + 14 x 24 h.
    window_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "token_digest"], name="invitation_token"),
            models.UniqueConstraint(fields=["tenant", "message_id"], name="invitation_message_id"),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "due_at"],
                name="invitation_due",
                condition=models.Q(state__in=("queued", "sending")),
            ),
        ]


class AnswerWindow(TenantOwned):
    """How long answers count to invitations sent from here on (surveys/asking_rules.py).

    Append-only; no row: the handbook's 14 days.
    """

    window = models.DurationField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(window__gt=timedelta(0)), name="answer_window_positive"
            ),
        ]


class NotSent(TenantOwned):
    """Why an eligible event was not asked about; the ledger everyone may audit (M07)."""

    Reason = Reason

    event = models.OneToOneField(SurveyedEvent, on_delete=models.CASCADE, related_name="not_sent")
    reason = models.CharField(
        max_length=20, choices=[(reason.value, reason.label) for reason in Reason]
    )


class Answer(TenantOwned):
    """What one person said about one event; the last rating counts, earlier ones are history."""

    class Changed(models.TextChoices):
        """What became of the rating between its first word and its last (METRICS.md G4)."""

        CHANGED = "changed"
        #: It went up, and an agent had written to the requester in between.
        RAISED_AFTER_MESSAGE = "raised_after_message"

    event = models.OneToOneField(SurveyedEvent, on_delete=models.CASCADE, related_name="answer")
    #: The raw rating on the event's scale; of a released answer the one that was released.
    score = models.SmallIntegerField()
    #: The rating it was changed to after its release: waits for the next batch, so that nobody
    #: watching the live figures sees one person change their mind. Null: not changed.
    changed_score = models.SmallIntegerField(null=True, blank=True)
    answered_at = models.DateTimeField()
    #: Given after the window: read, not counted.
    late = models.BooleanField(default=False)
    contact_allowed = models.BooleanField(default=False)
    #: Every question answered, not only the core one (RR1, METRICS.md M06).
    complete = models.BooleanField(default=False)
    #: When it entered the live figures, with at least four others on three agents' work
    #: (TRUST.md decision 1). Null: waiting for its batch.
    released_at = models.DateTimeField(null=True, blank=True)
    #: Of what has been released; empty: never changed.
    changed = models.CharField(max_length=20, choices=Changed, blank=True, db_default="")

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant"], name="answer_waiting", condition=models.Q(released_at=None)
            ),
            models.Index(
                fields=["tenant"],
                name="answer_changed",
                condition=models.Q(changed_score__isnull=False),
            ),
        ]

    @property
    def latest_score(self) -> int:
        """The last rating given, released or not: what its author sees."""
        return self.score if self.changed_score is None else self.changed_score


class AnswerRevision(TenantOwned):
    """Each rating ever given to one event, the first included. Append-only (METRICS.md G4)."""

    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="revisions")
    score = models.SmallIntegerField()
    at = models.DateTimeField()


class CommentQuerySet(TenantQuerySet["Comment"]):
    """Comments."""

    def readable(self, tenant: Organisation | int) -> Self:
        """What others than its author may read or count: of released batches, about our service.

        Comments on policy denials are their owner's; late ones are read, and counted nowhere.
        """
        return (
            self.for_tenant(tenant)
            .filter(
                answer__released_at__isnull=False,
                answer__late=False,
                answer__event__policy_denial=False,
            )
            .exclude(text="")
        )


class Comment(TenantOwned):
    """The words beside a rating. Read by others only in released batches, and masked."""

    answer = models.OneToOneField(Answer, on_delete=models.CASCADE, related_name="comment")
    text = models.TextField(max_length=4000)
    at = models.DateTimeField()
    reasons = models.JSONField(default=list)

    objects = CommentQuerySet.as_manager()  # type: ignore[misc]


class Sentiment(models.TextChoices):
    """What a comment's words feel like (METRICS.md M08)."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNCLEAR = "unclear"


class CommentReading(TenantOwned):
    """What a comment says by a classifier's suggestion, and by the last person who read it."""

    comment = models.OneToOneField(Comment, on_delete=models.CASCADE, related_name="reading")
    suggested = models.CharField(max_length=10, choices=Sentiment)
    at = models.DateTimeField()
    #: Empty: nobody has read it.
    decided = models.CharField(max_length=10, choices=Sentiment, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)


class CommentLabel(TenantOwned):
    """What one person decided that a comment of the reading queue says."""

    comment = models.ForeignKey(Comment, on_delete=models.CASCADE, related_name="labels")
    sentiment = models.CharField(max_length=10, choices=Sentiment)
    #: The reader as the audit trail names them.
    by_key = models.CharField(max_length=40)
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "comment", "by_key"], name="comment_label_once_a_reader"
            ),
        ]


class DrawnComment(TenantOwned):
    """A classified comment that chance chose to be read blind. Append-only (METRICS.md M08)."""

    comment = models.OneToOneField(Comment, on_delete=models.PROTECT, related_name="drawn")
    #: The Monday of the week in which it was drawn.
    week = models.DateField()
    drawn_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "week"], name="comments_drawn_in_week")]


class BlindReading(TenantOwned):
    """What one person reads in a drawn comment, said once. Append-only (METRICS.md M08)."""

    drawn = models.ForeignKey(DrawnComment, on_delete=models.PROTECT, related_name="readings")
    sentiment = models.CharField(max_length=10, choices=Sentiment)
    #: The reader as the audit trail names them.
    by_key = models.CharField(max_length=40)
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "drawn", "by_key"], name="comment_read_blind_once"
            ),
            models.CheckConstraint(
                condition=models.Q(sentiment__in=("positive", "negative", "unclear")),
                name="blind_reading_says",
            ),
        ]


class Theme(TenantOwned):
    """What comments of a capability are about: phrases that make a comment speak of it (M08b)."""

    class State(models.TextChoices):
        SUGGESTED = "suggested"
        CONFIRMED = "confirmed"
        DISMISSED = "dismissed"

    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    language = models.CharField(max_length=5)
    name = models.CharField(max_length=80)
    phrases = models.JSONField()
    #: The phrases as alternatives of a regular expression (surveys/suggesting_themes.py).
    pattern = models.TextField()
    #: How many people spoke of it when it was suggested; never fewer than five.
    people = models.PositiveIntegerField()
    suggested_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.SUGGESTED)
    decided_at = models.DateTimeField(null=True, blank=True)
    #: The printed name of whoever decided; the audit trail knows more.
    decided_by = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "capability", "language", "pattern"], name="theme_suggested_once"
            ),
            models.UniqueConstraint(
                "tenant",
                "capability",
                Lower("name"),
                condition=models.Q(state="confirmed"),
                name="theme_name",
            ),
            models.CheckConstraint(condition=models.Q(people__gte=5), name="theme_of_five_people"),
            models.CheckConstraint(
                condition=models.Q(state="suggested", decided_at__isnull=True)
                | (~models.Q(state="suggested") & models.Q(decided_at__isnull=False)),
                name="theme_decided_by_somebody",
            ),
            models.CheckConstraint(condition=models.Q(name__regex=r"\S"), name="theme_has_name"),
        ]
        indexes = [models.Index(fields=["tenant", "capability", "state"], name="theme_of")]

    def __str__(self) -> str:
        return self.name


class OptOut(TenantOwned):
    """That somebody does not want to be asked: by one domain, or (domain null) by any."""

    requester = models.ForeignKey(Requester, on_delete=models.CASCADE, related_name="+")
    domain = models.ForeignKey(
        Domain, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "requester", "domain"], name="opt_out_once", nulls_distinct=False
            ),
        ]


class LinkScan(TenantOwned):
    """That a program, not a person, followed the links of a mail: it opened the hidden one.

    An access counter for statistics; nothing is decided by it (TRUST.md T08).
    """

    invitation = models.OneToOneField(Invitation, on_delete=models.CASCADE, related_name="scan")
    at = models.DateTimeField()
