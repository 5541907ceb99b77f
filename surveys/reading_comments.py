"""Does the score say what the words say: comments read by a classifier, then by people (M08).

The classifier is an optional extra (`text`: VADER, English) and only ever suggests; whoever reads a
released comment decides. How often the two agree is told beside the figure (blind_reading.py).
"""

from __future__ import annotations

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
