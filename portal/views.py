"""The pages of the roof: start, home, scorecard, own readings, method."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from metrics.models import ObservationAnswer, SecondReading
from portal import (
    behind,
    comment_themes,
    comparisons,
    courses,
    dissatisfaction,
    double_check,
    exporting,
    own_page,
    quality,
    scorecards,
    voice,
    watching,
)
from portal import declared as declared_page
from portal import drawn_comments as reading_blind
from portal import happenings as happenings_page
from portal import home as home_page
from portal import improvements as improvements_page
from portal import method as method_page
from portal import observations as observing
from portal import pilots as pilots_page
from portal.mailbox import mailbox
from portal.organisations import MemberRequest, anybody, needs, signed_in
from portal.people.roles import Right
from portal.tenancy.models import Organisation
from surveys.models import Sentiment

__all__ = [
    "compare",
    "contradictions",
    "declared",
    "detectors",
    "drawn_comments",
    "drivers",
    "figure_tickets",
    "happenings",
    "healthz",
    "home",
    "improvement",
    "improvements",
    "mailbox",
    "method",
    "observations",
    "own_readings",
    "pilot",
    "pilots",
    "quality_reviews",
    "routine_check",
    "scorecard",
    "scorecard_export",
    "start",
    "themes",
    "ticket",
    "trends",
]


@anybody
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether the web process reaches the database; says nothing else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


@signed_in
def start(request: HttpRequest) -> HttpResponse:
    """The organisations of the signed-in person; straight in where there is one."""
    theirs = Organisation.objects.filter(memberships__person=request.user.pk).distinct()
    organisations = list(theirs)
    if len(organisations) == 1:
        return redirect("home", organisations[0].slug)
    return render(request, "portal/start.html", {"organisations": organisations})


@needs(Right.READ_PAGES)
def home(request: MemberRequest, organisation: str) -> HttpResponse:
    """Five findings and the catalogue."""
    page = home_page.page(member=request.member, now=timezone.now())
    return render(request, "portal/home.html", {"page": page})


@needs(Right.READ_PAGES)
def scorecard(request: MemberRequest, organisation: str, capability: str) -> HttpResponse:
    """One capability's figures, for those whom TRUST.md lets read them live."""
    page = scorecards.page(
        member=request.member, slug=capability, query=request.GET, now=timezone.now()
    )
    if page is None:
        raise Http404
    return render(request, "portal/scorecard.html", {"page": page})


@needs(Right.READ_PAGES)
def scorecard_export(request: MemberRequest, organisation: str, capability: str) -> HttpResponse:
    """The scorecard's figures as a file, for those who read them on the page."""
    told = scorecards.readings(
        member=request.member, slug=capability, query=request.GET, now=timezone.now()
    )
    how = request.GET.get("format", "csv")
    if not told or how not in exporting.FORMATS:
        raise Http404
    return exporting.attachment(told, how=how, name=capability)


@needs(Right.READ_LIVE)
def figure_tickets(request: MemberRequest, organisation: str, capability: str) -> HttpResponse:
    """The tickets behind a figure, for those who own or run the capability."""
    page = behind.page(
        member=request.member, slug=capability, query=request.GET, now=timezone.now()
    )
    if page is None:
        raise Http404
    return render(request, "portal/behind.html", {"page": page})


@needs(Right.READ_LIVE)
def trends(request: MemberRequest, organisation: str, capability: str) -> HttpResponse:
    """One figure's course with its limits; signals are answered here, with a reason."""
    asked = request.POST if request.method == "POST" else request.GET
    page = courses.page(member=request.member, slug=capability, query=asked, now=timezone.now())
    if page is None or (request.method == "POST" and not page.may_answer):
        raise Http404
    status = 200
    if request.method == "POST":
        refused = courses.answer(
            page=page, member=request.member, said=request.POST, at=timezone.now()
        )
        if not refused:
            return redirect(f"{request.path}?{page.query}")
        page.refused, status = refused, 400
    return render(request, "portal/trends.html", {"page": page}, status=status)


@needs(Right.READ_LIVE)
def declared(request: MemberRequest, organisation: str, capability: str) -> HttpResponse:
    """Comparisons named before their period; named here, and told when it is over."""
    page = declared_page.page(
        member=request.member, slug=capability, said=request.POST, now=timezone.now()
    )
    if page is None or (request.method == "POST" and not page.may_declare):
        raise Http404
    status = 200
    if request.method == "POST":
        refused = declared_page.take(
            page=page, member=request.member, said=request.POST, at=timezone.now()
        )
        if not refused:
            return redirect(request.path)
        page.refused, status = refused, 400
    return render(request, "portal/declared.html", {"page": page}, status=status)


@needs(Right.READ_LIVE)
def happenings(request: MemberRequest, organisation: str, capability: str) -> HttpResponse:
    """What happened to a service, as marked on its courses; marked and taken off here."""
    page = happenings_page.page(member=request.member, slug=capability)
    if page is None or (request.method == "POST" and not page.may_tell):
        raise Http404
    status = 200
    if request.method == "POST":
        refused = happenings_page.take(
            page=page,
            member=request.member,
            said=request.POST,
            slugs=request.POST.getlist("capability"),
            at=timezone.now(),
        )
        if not refused:
            return redirect(request.path)
        page.refused, status = refused, 400
    return render(request, "portal/happenings.html", {"page": page}, status=status)


@needs(Right.READ_LIVE)
def improvements(request: MemberRequest, organisation: str, capability: str) -> HttpResponse:
    """Improvement actions with their verdicts; recorded here, before acting."""
    page = improvements_page.page(
        member=request.member,
        slug=capability,
        said=request.POST or request.GET,
        now=timezone.now(),
    )
    if page is None or (request.method == "POST" and not page.may_record):
        raise Http404
    status = 200
    if request.method == "POST":
        refused = improvements_page.take(
            page=page, member=request.member, said=request.POST, at=timezone.now()
        )
        if not refused:
            return redirect(request.path)
        page.refused, status = refused, 400
    return render(request, "portal/improvements.html", {"page": page}, status=status)


@needs(Right.READ_LIVE)
def improvement(
    request: MemberRequest, organisation: str, capability: str, action: int
) -> HttpResponse:
    """What came of one improvement action."""
    page = improvements_page.result_page(
        member=request.member, slug=capability, action_id=action, now=timezone.now()
    )
    if page is None:
        raise Http404
    return render(request, "portal/improvement.html", {"page": page})


@needs(Right.PILOT_SURVEYS)
def pilots(request: MemberRequest, organisation: str) -> HttpResponse:
    """Surveys on trial; a POST begins one."""
    page = pilots_page.page(member=request.member, said=request.POST)
    status = 200
    if request.method == "POST":
        refused = pilots_page.start(
            page=page, member=request.member, said=request.POST, at=timezone.now()
        )
        if not refused:
            return redirect(request.path)
        page.refused, status = refused, 400
    return render(request, "portal/pilots.html", {"page": page}, status=status)


@needs(Right.PILOT_SURVEYS)
def pilot(request: MemberRequest, organisation: str, pilot: int) -> HttpResponse:
    """One pilot with its evidence; a POST decides what becomes of it."""
    now = timezone.now()
    page = pilots_page.pilot_page(member=request.member, pilot_id=pilot, now=now)
    if page is None:
        raise Http404
    status = 200
    if request.method == "POST":
        refused = pilots_page.decide(page=page, member=request.member, said=request.POST, at=now)
        if not refused:
            return redirect(request.path)
        page.refused, status = refused, 400
    return render(request, "portal/pilot.html", {"page": page}, status=status)


@needs(Right.READ_LIVE)
def compare(request: MemberRequest, organisation: str) -> HttpResponse:
    """A figure in two periods, rate and mix apart, and part against part."""
    page = comparisons.page(member=request.member, query=request.GET, now=timezone.now())
    if page is None:
        raise Http404
    return render(request, "portal/compare.html", {"page": page})


@needs(Right.READ_LIVE)
def drivers(request: MemberRequest, organisation: str) -> HttpResponse:
    """What contributes most to dissatisfaction."""
    page = dissatisfaction.page(member=request.member, query=request.GET, now=timezone.now())
    if page is None:
        raise Http404
    return render(request, "portal/drivers.html", {"page": page})


@needs(Right.READ_LIVE)
def detectors(request: MemberRequest, organisation: str) -> HttpResponse:
    """Patterns that ask for a look, as questions."""
    page = watching.page(member=request.member, query=request.GET, now=timezone.now())
    if page is None:
        raise Http404
    return render(request, "portal/detectors.html", {"page": page})


@needs(Right.READ_OWN)
def own_readings(request: MemberRequest, organisation: str) -> HttpResponse:
    """The signed-in agent's own figures; the database shows nobody else's."""
    page = own_page.page(member=request.member, now=timezone.now())
    return render(request, "portal/own_readings.html", {"page": page})


@needs(Right.READ_LIVE)
def contradictions(request: MemberRequest, organisation: str) -> HttpResponse:
    """Comments against their scores; a POST says what one of them says."""
    if request.method == "POST":
        said = {name: request.POST.get(name, "") for name in ("comment", "says")}
        voice.decide(request.member, **said, at=timezone.now())
        return redirect("contradictions", organisation)
    page = voice.queue(request.member)
    context = {"page": page, "choices": Sentiment.choices}
    return render(request, "portal/contradictions.html", context)


@needs(Right.READ_LIVE)
def drawn_comments(request: MemberRequest, organisation: str) -> HttpResponse:
    """Comments drawn to be read blind; a POST says what one of them says."""
    if request.method == "POST":
        said = {name: request.POST.get(name, "") for name in ("drawn", "says")}
        reading_blind.read(request.member, said, at=timezone.now())
        return redirect("drawn_comments", organisation)
    page = reading_blind.page(request.member, timezone.now())
    context = {"page": page, "choices": Sentiment.choices}
    return render(request, "portal/drawn_comments.html", context)


@needs(Right.OBSERVE)
def observations(request: MemberRequest, organisation: str) -> HttpResponse:
    """Observations; a POST writes one, or says what became of one."""
    member, now, form, refused = request.member, timezone.now(), None, ""
    if request.method == "POST" and "observation" in request.POST:
        said = {name: request.POST.get(name, "") for name in ("observation", "outcome", "reason")}
        refused = observing.answer(member, **said, at=now)
        if not refused:
            return redirect("observations", organisation)
    elif request.method == "POST":
        form = observing.ObservationForm(member, request.POST)
        if observing.write(member, form, now):
            return redirect("observations", organisation)
    page = observing.page(member, form)
    page.error = refused
    context = {"page": page, "outcomes": ObservationAnswer.Outcome.choices}
    status = 400 if request.method == "POST" else 200
    return render(request, "portal/observations.html", context, status=status)


@needs(Right.READ_LIVE)
def quality_reviews(request: MemberRequest, organisation: str) -> HttpResponse:
    """What quality reviews found, and tickets drawn to be reviewed."""
    page = quality.page(request.member, timezone.now())
    return render(request, "portal/quality_reviews.html", {"page": page})


@needs(Right.REVIEW_QUALITY)
def ticket(
    request: MemberRequest, organisation: str, source: str, external_id: str
) -> HttpResponse:
    """One ticket, without whoever worked on it; a POST reviews how it was handled."""
    form = quality.ReviewForm(request.POST) if request.method == "POST" else None
    page = quality.ticket_page(request.member, source=source, external_id=external_id, form=form)
    if page is None:
        raise Http404
    if form is not None and quality.review(request.member, page, timezone.now()):
        return redirect("quality_reviews", organisation)
    status = 400 if form is not None else 200
    return render(request, "portal/ticket.html", {"page": page}, status=status)


@needs(Right.READ_LIVE)
def routine_check(request: MemberRequest, organisation: str) -> HttpResponse:
    """Items drawn to be read again; a POST says whether people should be able to do one."""
    if request.method == "POST":
        said = {name: request.POST.get(name, "") for name in ("item", "says")}
        double_check.decide(request.member, said, at=timezone.now())
        return redirect("routine_check", organisation)
    page = double_check.page(request.member)
    context = {"page": page, "choices": SecondReading.Says.choices}
    return render(request, "portal/routine_check.html", context)


@needs(Right.READ_LIVE)
def themes(request: MemberRequest, organisation: str) -> HttpResponse:
    """What comments are about; a POST confirms, renames or dismisses a theme."""
    refused: Mapping[int, tuple[str, str]] = {}
    if request.method == "POST":
        said = {name: request.POST.get(name, "") for name in ("theme", "name", "do")}
        refused = comment_themes.decide(request.member, said, at=timezone.now())
        if not refused:
            return redirect("themes", organisation)
    page = comment_themes.page(request.member, refused=refused)
    return render(request, "portal/themes.html", {"page": page}, status=400 if refused else 200)


@needs(Right.READ_PAGES)
def method(request: MemberRequest, organisation: str) -> HttpResponse:
    """How everything is measured, written from the definitions."""
    page = method_page.page(request.member.organisation, timezone.now())
    return render(request, "portal/method.html", {"page": page})
