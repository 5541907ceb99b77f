"""The administration: open to those who administer, one organisation at a time, and recorded."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.contrib.admin import ModelAdmin
from django.test import Client
from django.urls import get_script_prefix
from django.utils import timezone

from governance import cosigning
from governance.models import Signature, TargetSheet
from governance.targets import next_period
from portal.admin_site import site
from portal.audit.models import AuditEntry
from portal.audit.trail import verify
from portal.catalogue.models import BusinessUnit, Capability, Domain
from portal.people.models import ApiKey, Membership, Person
from portal.people.roles import Role
from portal.tenancy.context import acting
from tests.factories import PASSWORD, BusinessUnitFactory, Cast
from tests.governance.sheets import propose_sheet
from tests.roles import OWNER, as_role
from tickets.models import InboundMessage

ADMIN = "/acme/admin/"
UNITS = "/acme/admin/catalogue/businessunit/"


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def ada(cast: Cast) -> Client:
    return signed_in(cast.ada)


def open_sheet(cast: Cast) -> TargetSheet:
    """A sheet proposed just now, so that it can be signed through the pages."""
    now = timezone.now()
    start = next_period(cast.acme, now)
    with acting(cast.acme.pk):
        return propose_sheet(
            cast,
            at=now,
            reauthenticated_at=now,
            effective_from=start,
            effective_until=start.replace(year=start.year + 1),
        )


def cosign_url(sheet: TargetSheet) -> str:
    return f"/acme/admin/governance/targetsheet/{sheet.pk}/cosign/"


@pytest.mark.parametrize("name", ["ada", "aude", "olga", "sam", "bea"])
def test_the_administration_opens_for_those_who_administer(cast: Cast, name: str) -> None:
    assert signed_in(cast.everyone()[name]).get(ADMIN).status_code == 200


@pytest.mark.parametrize("name", ["agnes", "rui", "pia", "eve"])
def test_the_administration_does_not_exist_for_others(cast: Cast, name: str) -> None:
    client = signed_in(cast.everyone()[name])
    assert client.get(ADMIN).status_code == 404
    assert client.get(UNITS).status_code == 404


def test_whoever_is_not_signed_in_is_led_to_sign_in_and_back(cast: Cast) -> None:
    answer = Client().get(UNITS)
    assert answer.status_code == 302
    assert answer["Location"] == f"/account/sign-in/?next={UNITS}"


def test_without_an_organisation_there_is_no_administration(cast: Cast, ada: Client) -> None:
    assert ada.get("/admin/").status_code == 404
    assert ada.get("/admin/catalogue/businessunit/").status_code == 404
    assert ada.get("/globex/admin/").status_code == 404


def test_every_registered_page_opens_with_links_that_keep_the_organisation(
    cast: Cast, ada: Client
) -> None:
    sheet = open_sheet(cast)
    pages = [(ada, ADMIN), (signed_in(cast.bea), cosign_url(sheet))]
    for model, admin in site._registry.items():
        listed = f"{ADMIN}{model._meta.app_label}/{model._meta.model_name}/"
        pages.append((ada, listed))
        if admin.adds:
            pages.append((ada, f"{listed}add/"))
    pages.append((ada, f"{UNITS}{cast.sales.pk}/change/"))
    pages.append((ada, f"{UNITS.replace('businessunit', 'domain')}{cast.it.pk}/change/"))
    assert len(pages) > 15
    for client, address in pages:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert "unsafe-inline" not in answer["Content-Security-Policy"]
        text = answer.content.decode()
        outside = [
            link
            for link in re.findall(r'(?:href|action)="(/[^"]*)"', text)
            if not link.startswith(("/acme/", "/static/", "/account/"))
        ]
        assert outside == [], address
        assert "/acme/acme/" not in text, address
        # What the content security policy would refuse.
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", text), address
    assert get_script_prefix() == "/"


def test_the_sign_in_pages_of_the_admin_lead_to_the_products_own(cast: Cast, ada: Client) -> None:
    assert ada.get(f"{ADMIN}login/")["Location"] == ADMIN
    assert ada.post(f"{ADMIN}logout/")["Location"] == "/account/sign-out/"
    assert ada.get(f"{ADMIN}password_change/")["Location"] == "/account/password/change/"


def test_nothing_can_be_done_in_bulk_and_nothing_signed_can_be_changed(
    cast: Cast, ada: Client
) -> None:
    for model, admin in site._registry.items():
        assert isinstance(admin, ModelAdmin)
        assert not admin.actions, model
        answer = ada.get(f"{ADMIN}{model._meta.app_label}/{model._meta.model_name}/")
        assert b"delete_selected" not in answer.content
    sheet = open_sheet(cast)
    change = f"/acme/admin/governance/targetsheet/{sheet.pk}/change/"
    assert ada.get(change).status_code == 200
    assert ada.post(change, {"rationale": "Another"}).status_code == 403
    assert ada.post(change.replace("change", "delete"), {"post": "yes"}).status_code == 403
    assert ada.get("/acme/admin/governance/targetsheet/add/").status_code == 403


def test_a_change_is_kept_and_recorded_in_the_trail(cast: Cast, ada: Client) -> None:
    assert ada.post(f"{UNITS}add/", {"name": "Support", "lead": cast.bea.pk}).status_code == 302
    with acting(cast.acme.pk):
        unit = BusinessUnit.objects.for_tenant(cast.acme).get(name="Support")
        assert unit.tenant == cast.acme
        last = AuditEntry.objects.for_tenant(cast.acme).latest("sequence")
        assert (last.act, last.actor_name) == ("businessunit.added", "Ada")
    ada.post(f"{UNITS}{unit.pk}/change/", {"name": "Service", "lead": ""})
    with acting(cast.acme.pk):
        last = AuditEntry.objects.for_tenant(cast.acme).latest("sequence")
        assert last.act == "businessunit.changed"
        assert last.detail["row"]["name"] == "Service"
        assert verify(cast.acme.pk) == (2, None)


def test_a_name_that_is_taken_is_told_on_the_form(cast: Cast, ada: Client) -> None:
    answer = ada.post(f"{UNITS}add/", {"name": "Sales", "lead": ""})
    assert answer.status_code == 200
    assert b"already exists" in answer.content


def test_roles_without_the_right_read_no_catalogue_and_change_none(cast: Cast) -> None:
    for person in (cast.olga, cast.aude, cast.bea):
        client = signed_in(person)
        assert client.get(UNITS).status_code == 403
        assert client.post(f"{UNITS}add/", {"name": "Mine"}).status_code == 403
    with acting(cast.acme.pk):
        assert not BusinessUnit.objects.for_tenant(cast.acme).filter(name="Mine").exists()


def test_only_those_who_may_read_the_trail_see_it_with_its_verification(cast: Cast) -> None:
    open_sheet(cast)
    trail = "/acme/admin/audit/auditentry/"
    answer = signed_in(cast.aude).get(trail)
    assert b"Checked now: 2 entries, chain sound." in answer.content
    assert signed_in(cast.bea).get(trail).status_code == 403


def test_another_organisations_row_does_not_exist(cast: Cast, ada: Client) -> None:
    with as_role(OWNER), acting(cast.globex.pk):
        theirs = BusinessUnitFactory(tenant=cast.globex, name="Theirs", lead=cast.eve)
    home = ada.get(f"{UNITS}{cast.sales.pk}/change/")
    assert home.status_code == 200
    assert b"Eve" not in home.content  # no choice of people from elsewhere
    answer = ada.get(f"{UNITS}{theirs.pk}/change/")
    never = ada.get(f"{UNITS}999999/change/")
    assert answer.status_code == never.status_code == 404
    assert answer.content == never.content
    removed = ada.post(f"{UNITS}{theirs.pk}/change/", {"name": "Ours"})
    assert removed.status_code == 404
    assert b"Theirs" not in ada.get(UNITS).content
    refused = ada.post(f"{UNITS}{cast.sales.pk}/change/", {"name": "Sales", "lead": cast.eve.pk})
    assert refused.status_code == 200
    assert b"Select a valid choice" in refused.content


def test_lists_answer_no_question_that_is_not_offered(cast: Cast, ada: Client) -> None:
    for query in ("lead__email__startswith=b", "lead__password__startswith=a", "name=Sales"):
        assert ada.get(f"{UNITS}?{query}").status_code in (302, 400)
    offered = ada.get("/acme/admin/people/membership/?role__exact=agent")
    assert offered.status_code == 200


def test_a_filter_for_what_no_row_can_hold_is_refused(cast: Cast, ada: Client) -> None:
    trail = "/acme/admin/audit/auditentry/"
    assert ada.get(trail, {"subject_kind": "capability"}).status_code == 200
    assert ada.get(trail, {"subject_kind": "\x00"}).status_code == 400


def test_a_member_is_added_by_address_and_removed_and_both_are_recorded(
    cast: Cast, ada: Client
) -> None:
    added = {"email": "New@acme.example", "name": "Noa", "role": "agent"}
    listed = "/acme/admin/people/membership/"
    assert ada.post(f"{listed}add/", added).status_code == 302
    member = Membership.objects.get(person__email="new@acme.example")
    assert (member.tenant, member.role) == (cast.acme, Role.AGENT)
    assert not member.person.has_usable_password()
    again = ada.post(f"{listed}add/", added)
    assert b"holds this role already" in again.content
    assert ada.post(f"{listed}{member.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Membership.objects.filter(pk=member.pk).exists()
    with acting(cast.acme.pk):
        acts = AuditEntry.objects.for_tenant(cast.acme).values_list("act", flat=True)
        assert list(acts) == ["membership.added", "membership.removed"]


def test_a_key_is_shown_once_and_ends_when_revoked(cast: Cast, ada: Client) -> None:
    keys = "/acme/admin/people/apikey/"
    wanted = {"name": "Export", "scopes": ["read:published"], "days": 30}
    made = ada.post(f"{keys}add/", wanted)
    secret = re.search(r"qp_[\w-]{49}", made.content.decode())
    assert secret is not None
    with acting(cast.acme.pk):
        key = ApiKey.objects.for_tenant(cast.acme).get()
    for page in (keys, f"{keys}{key.pk}/change/"):
        assert secret[0].encode() not in ada.get(page).content
    assert b"Another key has this name" in ada.post(f"{keys}add/", wanted).content
    header = {"HTTP_AUTHORIZATION": f"Bearer {secret[0]}"}
    assert Client().get("/api/v1/capabilities/", **header).status_code == 200
    assert ada.post(f"{keys}{key.pk}/revoke/").status_code == 302
    assert Client().get("/api/v1/capabilities/", **header).status_code == 401
    for person in (cast.olga, cast.aude):
        assert signed_in(person).get(f"{keys}add/").status_code in (403, 404)


def test_a_sheet_is_proposed_accepted_and_cosigned_through_the_pages(cast: Cast) -> None:
    start = next_period(cast.acme, timezone.now())
    proposal = {
        "domain": cast.it.pk,
        "effective_from": start.isoformat(),
        "effective_until": start.replace(year=start.year + 1).isoformat(),
        "rationale": "A first proposal.",
        "first_meaningful_response-attainment": "90",
    }
    olga = signed_in(cast.olga)
    refused = olga.post("/acme/targets/propose/", {**proposal, "password": "not hers"})
    assert refused.status_code == 400
    assert b"not your password" in refused.content
    done = olga.post("/acme/targets/propose/", {**proposal, "password": PASSWORD})
    assert done.status_code == 302, done.content.decode()
    with acting(cast.acme.pk):
        sheet = TargetSheet.objects.for_tenant(cast.acme).get()
    page = done["Location"]
    assert page == f"/acme/targets/{sheet.pk}/"

    sam = signed_in(cast.sam)
    assert b"Read and accept" in sam.get(page).content
    assert sam.post(f"{page}accept/", {"password": PASSWORD}).status_code == 302

    bea = signed_in(cast.bea)
    assert cosign_url(sheet) in bea.get(page).content.decode()
    shown = bea.get(cosign_url(sheet)).content.decode()
    for words in ("at least 90.0 %", "I co-sign these targets", "A first proposal.", "entry 1"):
        assert words in shown
    assert "all 3 entries of the trail are sound" in shown
    assert "/acme/capabilities/accounts/" in shown
    wrong = bea.post(cosign_url(sheet), {"password": "guessed"})
    assert wrong.status_code == 400
    assert bea.post(cosign_url(sheet), {"password": PASSWORD})["Location"] == page
    assert ">signed</span>" in bea.get(page).content.decode()
    with acting(cast.acme.pk):
        given = Signature.objects.for_tenant(cast.acme).values_list("role", "person__name")
        assert set(given) == {
            ("process_owner", "Olga"),
            ("service_desk_manager", "Sam"),
            ("business_unit_lead", "Bea"),
        }
        assert cosigning.is_unaltered(sheet)
    assert bea.post(cosign_url(sheet), {"password": PASSWORD}).status_code == 400


def test_whoever_has_an_authenticator_signs_with_its_code_too(cast: Cast) -> None:
    sheet = open_sheet(cast)
    secret = generate_totp_secret()
    TOTP.activate(cast.bea, secret)
    bea, url = signed_in(cast.bea), cosign_url(sheet)
    assert b"authenticator app" in bea.get(url).content
    assert bea.post(url, {"password": PASSWORD}).status_code == 400
    right = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    assert bea.post(url, {"password": PASSWORD, "code": wrong}).status_code == 400
    with acting(cast.acme.pk):
        assert Signature.objects.for_tenant(cast.acme).count() == 1
    assert bea.post(url, {"password": PASSWORD, "code": right}).status_code == 302
    with acting(cast.acme.pk):
        assert Signature.objects.for_tenant(cast.acme).count() == 2


def test_a_new_sheet_shows_what_it_changes_and_what_it_drops(cast: Cast) -> None:
    first = open_sheet(cast)
    olga = signed_in(cast.olga)
    confirmed = {"password": PASSWORD}
    signed_in(cast.sam).post(f"/acme/targets/{first.pk}/accept/", confirmed)
    signed_in(cast.bea).post(cosign_url(first), confirmed)
    base = {
        "domain": cast.it.pk,
        "effective_from": first.effective_from.isoformat(),
        "effective_until": first.effective_until.isoformat(),
        "rationale": "Network first.",
        "password": PASSWORD,
    }
    both = {
        **base,
        "first_meaningful_response-attainment": "95",
        "reopen_rate-rate": "20",
        "reopen_rate-rate-for": cast.network.pk,
    }
    second = olga.post("/acme/targets/propose/", both)["Location"]
    shown = olga.get(second).content.decode()
    assert "at least 95.0 %" in shown
    assert "at least 90.0 %" in shown  # before
    assert f"({cast.network.name})" in shown
    third = olga.post("/acme/targets/propose/", {**base, "csat_share-share": "90"})["Location"]
    assert shown.count("no target any more") == 0
    assert olga.get(third).content.decode().count("no target any more") == 1


def test_the_cosign_page_is_for_those_who_cosign(cast: Cast, ada: Client) -> None:
    sheet = open_sheet(cast)
    for person in (cast.ada, cast.olga, cast.sam, cast.aude, cast.eve):
        client = signed_in(person)
        assert client.get(cosign_url(sheet)).status_code == 404
        assert client.post(cosign_url(sheet), {"password": PASSWORD}).status_code == 404
    with acting(cast.acme.pk):
        assert Signature.objects.for_tenant(cast.acme).count() == 1


def test_looking_at_the_cosign_page_signs_nothing(cast: Cast) -> None:
    sheet = open_sheet(cast)
    assert signed_in(cast.bea).get(cosign_url(sheet)).status_code == 200
    with acting(cast.acme.pk):
        assert Signature.objects.for_tenant(cast.acme).count() == 1


def test_the_lead_declines_with_a_reason_and_nobody_signs_after(cast: Cast) -> None:
    sheet = open_sheet(cast)
    bea, page = signed_in(cast.bea), f"/acme/targets/{sheet.pk}/"
    assert bea.post(page, {"reason": " "}).status_code == 400
    assert bea.post(page, {"reason": "Spring is too busy."}).status_code == 302
    assert "Spring is too busy." in signed_in(cast.olga).get(page).content.decode()
    late = signed_in(cast.sam).post(f"{page}accept/", {"password": PASSWORD})
    assert late.status_code == 400
    assert b"was declined" in late.content


def test_nobody_else_declines_and_the_list_takes_no_post(cast: Cast) -> None:
    sheet = open_sheet(cast)
    for person in (cast.ada, cast.olga, cast.rui, cast.eve):
        declined = signed_in(person).post(f"/acme/targets/{sheet.pk}/", {"reason": "No."})
        assert declined.status_code == 404
    assert signed_in(cast.bea).post("/acme/targets/").status_code == 405
    with acting(cast.acme.pk):
        assert not sheet.declines.exists()


def test_administration_stands_in_the_menu_of_those_who_administer(cast: Cast) -> None:
    assert b'href="/acme/admin/"' in signed_in(cast.ada).get("/acme/method/").content
    assert b'href="/acme/admin/"' not in signed_in(cast.agnes).get("/acme/method/").content


def test_a_page_that_is_missing_in_the_administration_leads_out_of_it(
    cast: Cast, ada: Client
) -> None:
    answer = ada.get(f"{ADMIN}nowhere/")
    assert answer.status_code == 404
    assert b"/acme/acme/" not in answer.content
    assert b"/acme/account/" not in answer.content
    assert get_script_prefix() == "/"


def test_models_that_hold_single_answers_or_people_are_not_administered() -> None:
    administered = {model._meta.label for model in site._registry}
    assert {Capability._meta.label, Domain._meta.label} <= administered
    # Deliveries are shown without their bodies, which the web role cannot read.
    administered -= {InboundMessage._meta.label}
    assert not [label for label in administered if label.startswith(("surveys.", "tickets."))]
    assert Person._meta.label not in administered
