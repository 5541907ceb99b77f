"""Fixtures of the journeys: one installation, one Chromium, axe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.journeys.installation import Installation, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Scheme = Literal["light", "dark"]
BOTH: tuple[Scheme, ...] = ("light", "dark")
SIZES = {"phone": {"width": 320, "height": 640}, "desk": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running(tmp_path_factory.mktemp("installation")) as started:
        yield started


@pytest.fixture(scope="module")  # while it is open, Django takes the thread for asynchronous
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("No Chromium is installed; on Debian: apt-get install chromium.")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


#: Colours that are still changing from one scheme to the other are those of neither. A page that is
#: not painted shows no frame: nobody waits longer than five seconds for one.
SETTLED = """async () => {
    const painted = new Promise(shown => requestAnimationFrame(() => requestAnimationFrame(shown)));
    const still = () => Promise.allSettled(document.getAnimations().map(one => one.finished));
    const late = new Promise(over => setTimeout(over, 5000));
    await Promise.race([painted.then(still), late]);
}"""


class Visitor:
    """Somebody at a browser; every page they open is looked at for what should not be there."""

    def __init__(self, page: Page, installation: Installation) -> None:
        self.page, self.installation = page, installation
        self.violations: list[str] = []
        page.on("console", self._listen)
        page.on("request", self._watch)

    def _listen(self, message: object) -> None:
        text = message.text  # type: ignore[attr-defined]
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.violations.append(text)

    def _watch(self, request: object) -> None:
        url = request.url  # type: ignore[attr-defined]
        if not url.startswith((self.installation.url, "data:")):
            self.violations.append(f"a request left the installation: {url}")

    def sign_in(self, email: str, password: str) -> None:
        """Sign in by the form."""
        self.page.goto(f"{self.installation.url}/account/sign-in/")
        self.page.locator("input[name=login]").fill(email)
        self.page.locator("input[name=password]").fill(password)
        self.press(self.page.locator("main").get_by_role("button", name="Sign in"))

    def press(self, control: Locator) -> None:
        """Press what leads to another page, and wait until that page has come."""
        with self.page.expect_navigation():
            control.click()

    def open(self, path: str, *, status: int = 200, schemes: Sequence[Scheme] = ("light",)) -> None:
        """Open a page and check it as everybody would want it."""
        answer = self.page.goto(f"{self.installation.url}{path}")
        assert answer is not None
        assert answer.status == status, f"{path} answered {answer.status}"
        self.check(schemes=schemes)

    def follow(self, locator: Locator, *, schemes: Sequence[Scheme] = ("light",)) -> None:
        """Press what leads to another page, and check that page."""
        self.press(locator)
        self.check(schemes=schemes)

    def check(self, *, schemes: Sequence[Scheme] = ("light",)) -> None:
        """No accessibility violation, no scrolling sideways, nothing the policy refused."""
        for scheme, (name, size) in product(schemes, SIZES.items()):
            self.page.emulate_media(color_scheme=scheme)
            self.page.set_viewport_size(size)
            self.page.evaluate(SETTLED)
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"], f"{self.page.url} is {wide} px wide on a {name}"
            found = Axe().run(self.page).response["violations"]
            assert not found, (
                scheme,
                name,
                [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found],
            )
        assert not self.violations, self.violations


@pytest.fixture
def visitor(browser: Browser, installation: Installation) -> Iterator[Visitor]:
    # The policy stays in force: axe is put in through the developer tools' door.
    context = browser.new_context(bypass_csp=False)
    yield Visitor(context.new_page(), installation)
    context.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journey")
