"""Does the score say what the words say: comments read by a classifier, then by people (M08).

The classifier is an optional extra (`text`: VADER, English) and only ever suggests; whoever reads a
released comment decides. How often the two agree is told beside the figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import transaction
from django.utils.module_loading import import_string

from portal.tenancy.context import acting
from surveys.models import Comment, CommentLabel, CommentReading, Sentiment
from surveys.sweeping import each_organisation

#: Compound scores beyond these are taken for a feeling; VADER's own recommendation.
CLEAR = 0.05
#: Languages that are told apart; of more, short texts are taken for the rarest ones.
LANGUAGES = ["en", "de", "fr", "es", "it", "nl", "pl", "pt"]
#: Surer than this that it is another language than English: not read.
FOREIGN = 0.9
BATCH = 500
#: So many labelled comments are needed to say how well the classifier does (METRICS.md M08).
LABELS_NEEDED = 50
AGREEMENT_NEEDED = 0.80


class NoClassifier(RuntimeError):
    """The extra `text` is not installed: nobody suggests anything, and M08 is unknown."""


@cache
def _tools() -> tuple[Any, Any]:
    """VADER's analyser and the language identifier. Raises NoClassifier."""
    try:
        analyser = import_string("vaderSentiment.vaderSentiment.SentimentIntensityAnalyzer")()
        identifier = import_string("py3langid.langid.LanguageIdentifier")
        model = import_string("py3langid.langid.MODEL_FILE")
    except ImportError as error:
        raise NoClassifier(
            "Comments are not classified: install the extra `text` (docs/operations.md)."
        ) from error
    tool = identifier.from_model_file(model, norm_probs=True)
    tool.set_languages(LANGUAGES)
    return analyser, tool


def suggest(text: str) -> Sentiment:
    """What a comment's words feel like; unclear where they are few, mixed or not English.

    Raises NoClassifier.
    """
    analyser, identifier = _tools()
    language, sure = identifier.classify(text)
    if language != "en" and sure > FOREIGN:
        return Sentiment.UNCLEAR
    compound = analyser.polarity_scores(text)["compound"]
    if compound >= CLEAR:
        return Sentiment.POSITIVE
    return Sentiment.NEGATIVE if compound <= -CLEAR else Sentiment.UNCLEAR


def sweep(now: datetime) -> int:
    """Suggest for comments that nobody has read yet; without the extra there is nothing to do."""
    try:
        _tools()
    except NoClassifier:
        return 0
    return each_organisation("Reading comments", lambda tenant_id: _read_some(tenant_id, now))


def _read_some(tenant_id: int, now: datetime) -> int:
    with acting(tenant_id):
        unread = Comment.objects.for_tenant(tenant_id).filter(reading=None).exclude(text="")
        comments = list(unread.order_by("pk")[:BATCH])
        CommentReading.objects.bulk_create(
            CommentReading(
                tenant_id=tenant_id, comment=comment, suggested=suggest(comment.text), at=now
            )
            for comment in comments
        )
    return len(comments)


@transaction.atomic
def label(
    *, comment: Comment, sentiment: Sentiment, by_key: str, by_name: str, at: datetime
) -> CommentLabel:
    """Keep what a person reads in a comment; their later word replaces it, the last one decides."""
    made, _ = CommentLabel.objects.update_or_create(
        tenant_id=comment.tenant_id,
        comment=comment,
        by_key=by_key,
        defaults={"sentiment": sentiment, "by_name": by_name, "at": at},
    )
    CommentReading.objects.for_tenant(comment.tenant_id).filter(comment=comment).update(
        decided=sentiment, decided_at=at
    )
    return made


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often suggestions and people agree, over labelled comments with a clear suggestion."""

    labelled: int
    agreeing: int
    #: Of the comments people read as negative, the share suggested negative; None without any.
    sensitivity: float | None
    #: Of the others, the share not suggested negative.
    specificity: float | None

    @property
    def share(self) -> float | None:
        """0 to 1; None where too few are labelled to say."""
        return self.agreeing / self.labelled if self.labelled >= LABELS_NEEDED else None


def agreement(tenant_id: int) -> Agreement:
    """The agreement over every labelled comment of an organisation."""
    pairs = list(
        CommentLabel.objects.for_tenant(tenant_id)
        .filter(comment__reading__suggested__in=(Sentiment.POSITIVE, Sentiment.NEGATIVE))
        .exclude(sentiment=Sentiment.UNCLEAR)
        .values_list("comment__reading__suggested", "sentiment")
    )
    return agreement_of(pairs)


def agreement_of(pairs: list[tuple[str, str]]) -> Agreement:
    """The agreement of (suggested, read by a person) pairs; pure."""
    of_negative = [suggested for suggested, read in pairs if read == Sentiment.NEGATIVE]
    of_others = [suggested for suggested, read in pairs if read != Sentiment.NEGATIVE]
    found = of_negative.count(Sentiment.NEGATIVE)
    spared = len(of_others) - of_others.count(Sentiment.NEGATIVE)
    return Agreement(
        labelled=len(pairs),
        agreeing=sum(suggested == read for suggested, read in pairs),
        sensitivity=found / len(of_negative) if of_negative else None,
        specificity=spared / len(of_others) if of_others else None,
    )
