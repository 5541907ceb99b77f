"""What a requester sees: the question, the thanks, and the way to stop being asked.

Opening a page records nothing; a button does (TRUST.md decision 4). There is no session and no
cookie: a form carries a nonce that only its page could know.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from portal.organisations import anybody
from surveys import answering, links, releasing
from surveys.answering import Question
from surveys.mail import MINUTES
from surveys.models import LinkScan
from surveys.opting_out import opt_out
from surveys.question_types import ScoreOutsideScale

_PAGE_WAS_OLD = "Please press the button once more: this page had been open elsewhere."
_NO_CHOICE = "Please choose one of the answers; nothing was recorded yet."


@anybody
@method_decorator(csrf_exempt, name="dispatch")
class SurveyPage(View):
    """A page behind a link: finds the question, answers for those that take no answer."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Never kept by a cache, never told to another site (TRUST.md T25)."""
        try:
            response = super().dispatch(request, *args, **kwargs)
        except links.UnknownLink:
            response = render(request, "surveys/unknown.html", status=404)
        response["Referrer-Policy"] = "no-referrer"
        response["Cache-Control"] = "no-store"
        return response

    def page(
        self, question: Question, template: str, status: int = 200, /, **words: Any
    ) -> HttpResponse:
        """A page of this question; instants stand in the organisation's zone."""
        organisation = question.invitation.tenant
        common = {
            "organisation": organisation.name,
            "language": question.wording.language,
            "ticket_subject": question.event.ticket.subject,
            "who_sees": question.wording.who_sees,
            "unsubscribe_url": reverse("survey_unsubscribe", args=[question.token]),
            "nonce": links.nonce(question.token),
            "until": question.closes_at,
        }
        with timezone.override(organisation.zone):
            return render(self.request, f"surveys/{template}.html", common | words, status=status)

    def refusal(self, question: Question, refused: answering.Refused) -> HttpResponse:
        """The page of a question that takes no answer."""
        reading = self.request.method in ("GET", "HEAD")
        if isinstance(refused, answering.AlreadyAnswered):
            return self.page(
                question,
                "already",
                200 if reading else 409,
                chosen_label=_chosen_label(question),
                answered_at=question.answer.answered_at if question.answer else None,
                reopened=answering.reopened_since(question),
            )
        if isinstance(refused, answering.OwnTicket):
            return self.page(question, "own_ticket", 403)
        return self.page(question, "expired", 410)

    def has_nonce(self, token: str) -> bool:
        """Whether the posted form came from its page."""
        return links.is_nonce(token, self.request.POST.get("nonce", ""))


class Survey(SurveyPage):
    """`/s/<token>/`: the question. `?score=4` marks a choice; only a POST records it."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Show the question."""
        question = answering.enter_question(token)
        try:
            question.check_open(timezone.now())
        except answering.Refused as refused:
            return self.refusal(question, refused)
        return self._form(question)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Record the answer and go to the thanks."""
        question = answering.enter_question(token)
        if not self.has_nonce(token):
            return self._form(question, 403, error=_PAGE_WAS_OLD)
        try:
            answering.answer(
                token=token,
                score=int(request.POST.get("score", "")),
                at=timezone.now(),
                person_id=request.user.pk,
            )
        except (ScoreOutsideScale, ValueError):
            return self._form(question, 400, error=_NO_CHOICE)
        except answering.Refused as refused:
            return self.refusal(question, refused)
        return _see_other("survey_thanks", token)

    def _form(self, question: Question, status: int = 200, **words: Any) -> HttpResponse:
        scale = [
            {"value": score, "label": label} for score, label in question.wording.scale.items()
        ]
        return self.page(
            question,
            "answer",
            status,
            question=question.wording.question,
            scale=scale,
            chosen=self._chosen(question),
            minutes=MINUTES,
            hidden_url=reverse("survey_hidden", args=[question.token]),
            **words,
        )

    def _chosen(self, question: Question) -> int | None:
        """The choice to mark: the link's, else the one given before, else none."""
        try:
            return int(self.request.POST.get("score") or self.request.GET["score"])
        except (KeyError, ValueError):
            return question.answer.latest_score if question.answer else None


class Thanks(SurveyPage):
    """`/s/<token>/thanks/`: what was kept, and room for reasons and words."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Show what was kept."""
        question = answering.enter_question(token)
        if question.answer is None:
            return redirect("survey", token=token)
        kept = "What you added is kept." if "kept" in request.GET else ""
        return self._thanks(question, kept=kept)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Keep comment, reasons and whether we may get in touch."""
        question = answering.enter_question(token)
        if question.answer is None:
            return redirect("survey", token=token)
        if not self.has_nonce(token):
            return self._thanks(question, 403, error=_PAGE_WAS_OLD)
        try:
            answering.add_words(
                token=token,
                text=request.POST.get("comment", ""),
                reasons=request.POST.getlist("reasons"),
                contact_allowed=request.POST.get("contact") == "on",
                at=timezone.now(),
            )
        except answering.Refused as refused:
            return self.refusal(question, refused)
        return _see_other("survey_thanks", token, "?kept=1")

    def _thanks(self, question: Question, status: int = 200, **words: Any) -> HttpResponse:
        assert question.answer is not None
        comment = answering.comment_of(question)
        score = question.answer.latest_score
        chosen = comment.reasons if comment else []
        return self.page(
            question,
            "thanks",
            status,
            chosen_label=_chosen_label(question),
            waiting=_waiting(question),
            form_action=reverse("survey_thanks", args=[question.token]),
            comment=comment.text if comment else "",
            comment_question=question.wording.comment_question,
            reasons=[
                {"value": key, "label": label, "chosen": key in chosen}
                for key, label in question.wording.reasons_for(score).items()
            ],
            contact=question.answer.contact_allowed,
            change_url=reverse("survey", args=[question.token]),
            **words,
        )


class Unsubscribe(SurveyPage):
    """`/s/<token>/unsubscribe/`: a button, and the mail program's one click (RFC 8058)."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Show the button; opening the page stops nothing."""
        return self._form(answering.enter_question(token))

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Stop the questions. One click stops all of them, without nonce, cookie or redirect."""
        question = answering.enter_question(token)
        one_click = request.POST.get("List-Unsubscribe") == "One-Click"
        if not one_click and not self.has_nonce(token):
            return self._form(question, 403)
        of_everything = one_click or request.POST.get("which") != "domain"
        opt_out(event=question.event, of_everything=of_everything, at=timezone.now())
        domain = None if of_everything else _domain_name(question)
        return self.page(question, "unsubscribed", domain=domain)

    def _form(self, question: Question, status: int = 200) -> HttpResponse:
        return self.page(question, "unsubscribe", status, domain=_domain_name(question))


class HiddenLink(SurveyPage):
    """`/s/<token>/more/`: nobody sees this link, so who follows it is a program."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Count the visit, for statistics only, and lead back to the question."""
        question = answering.enter_question(token)
        LinkScan.objects.bulk_create(
            [
                LinkScan(
                    tenant_id=question.event.tenant_id,
                    invitation=question.invitation,
                    at=timezone.now(),
                )
            ],
            ignore_conflicts=True,
        )
        return redirect("survey", token=token)


def _see_other(name: str, token: str, query: str = "") -> HttpResponse:
    response = redirect(reverse(name, args=[token]) + query)
    response.status_code = 303
    return response


def _chosen_label(question: Question) -> str:
    return question.wording.scale[question.answer.latest_score] if question.answer else ""


def _domain_name(question: Question) -> str | None:
    capability = question.event.capability
    return capability.domain.name if capability else None


def _waiting(question: Question) -> str:
    """What becomes of the answer now, in one true sentence."""
    given = question.answer
    assert given is not None
    if given.late:
        return "It came after the time for counting: it is read, not counted."
    if given.released_at is not None:
        if given.changed_score is None:
            return "It is counted in the current figures."
        return "Your change is waiting for its batch; until then your first answer is counted."
    more = releasing.still_needed(question.event)
    if more == 0:
        return (
            "It is waiting for its batch: shown with the others once they are about the work of"
            f" at least {releasing.ENOUGH_AGENTS} people."
        )
    people = "one more person has" if more == 1 else f"{_NUMBERS[more]} more people have"
    return (
        f"It is waiting for its batch: shown when {people} answered, about the work of at least"
        f" {releasing.ENOUGH_AGENTS} people in all."
    )


_NUMBERS = {2: "two", 3: "three", 4: "four"}
