"""The page in a real browser: what a reader does with it, and that nothing leaves the file."""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difflab.report import page
from difflab.report.compare import compare
from tests.report.made import made, made_run, undone

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCRIPT, IMAGE = "<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>&amp;"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
REPEATED = (".plot svg", "#runs-table tr:nth-child(n+4)", "details tr:nth-child(n+4)")  # pictures, and rows like others


class Visit:
    """A page that is open, and whatever it said or asked for.

    Attributes:
        page: of the browser.
        said: errors and warnings of its console, uncaught exceptions, and dialogs.
        asked: requests to anything but the file and what lies in it.
    """

    def __init__(self, context: Any, path: Path, ready: bool = True) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda r: self.ask(r.url))
        self.page.goto(path.as_uri())
        if ready:
            self.page.wait_for_selector("html[data-ready=true]")

    def ask(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.asked.append(url)

    def column(self, table: str, place: int) -> list[str]:
        """The texts of a column as they are shown."""
        texts = self.page.locator(f"#{table} tbody tr > :nth-child({place})").all_inner_texts()
        return [text.strip() for text in texts]

    def filter(self, place: int, table: str = "variants-table") -> Any:
        """The list of a column's values."""
        return self.page.locator(f"select[data-filter={table}]").nth(place)

    def draw_all(self) -> None:
        """Scroll through the page until all figures are drawn."""
        for plot in self.page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
            plot.locator("svg.main-svg").first.wait_for()


def hindrances(opened: Visit, parts: Sequence[str], rules: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What axe finds serious or critical in parts of the page, and where; of all its rules, or of these."""
    only = {"runOnly": list(rules)} if rules else None
    where = {"include": [[part] for part in parts], "exclude": [[part] for part in REPEATED]}
    found = axe.Axe().run(opened.page, where, only).response["violations"]
    return [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of eighteen runs, one that failed, and one whose name and config are hostile."""
    folder = tmp_path_factory.mktemp("page")
    odd = undone(folder, SCRIPT, "failed", IMAGE, settings={"schedule": IMAGE, "loss": "vlb", "name": SCRIPT})
    lost = undone(folder, "19", "interrupted", "stopped at step 300")
    page.write(made(folder, others=(odd, lost)), folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def visit(browser: Any, path: Path) -> Iterator[Visit]:
    """The page on a desk; at the end it has said nothing and has asked for nothing."""
    context = browser.new_context(viewport=DESK, offline=True)
    opened = Visit(context, path)
    yield opened
    assert (opened.said, opened.asked) == ([], [])
    context.close()


@pytest.fixture(scope="module")
def opened_once(browser: Any, path: Path) -> Iterator[Visit]:
    context = browser.new_context(viewport=DESK, offline=True)
    yield Visit(context, path)
    context.close()


@pytest.fixture
def shared(opened_once: Visit) -> Iterator[Visit]:
    """The same as `visit`, for tests that need no page as it was at first."""
    yield opened_once
    assert (opened_once.said, opened_once.asked) == ([], [])


def test_sort_by_the_number_and_filter(visit):
    heading = visit.page.locator("#variants-table th", has_text="bits/dim").get_by_role("button")
    heading.click()
    visit.page.locator("#variants-table th[aria-sort=ascending]").wait_for()
    texts = visit.column("variants-table", 3)
    values = [float(text.split(" ")[0]) for text in texts[:6]]
    assert values == sorted(values) and len(set(values)) == 6
    assert "★ best" in texts[0] and texts[6] == "n = 0 of 1"
    heading.press("Enter")
    visit.page.locator("#variants-table th[aria-sort=descending]").wait_for()
    texts = visit.column("variants-table", 3)
    assert [float(text.split(" ")[0]) for text in texts[:6]] == values[::-1] and texts[6] == "n = 0 of 1"
    visit.filter(0).select_option("cosine")
    assert visit.column("variants-table", 1) == ["cosine"] * 3
    assert visit.page.locator("[data-count=variants-table]").inner_text() == "3 of 7 shown"
    visit.page.locator("input[data-search=variants-table]").fill("vlb")
    assert visit.column("variants-table", 2) == ["vlb"]
    visit.filter(0).select_option("")
    assert visit.column("variants-table", 2) == ["vlb"] * 3
    visit.filter(0, "runs-table").select_option("interrupted")
    assert visit.column("runs-table", 1) == ["19"]


def test_open_a_run_and_close_it(shared):
    dialog = shared.page.get_by_role("dialog")
    shared.page.locator("#runs-table tbody tr").nth(4).locator("td").nth(2).click()
    assert dialog.get_by_role("heading", level=2).inner_text() == "4"
    assert "python train.py schedule=linear loss=vlb seed=1" in dialog.inner_text()
    assert dialog.locator("img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 73
    shared.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert shared.page.evaluate("document.activeElement.textContent") == "4"
    button = shared.page.locator("#runs-table").get_by_role("button", name="14", exact=True)
    button.focus()
    button.press("Enter")
    assert dialog.get_by_role("heading", level=2).inner_text() == "14"
    fields = dialog.get_by_role("row", name=re.compile("schedule")).first.inner_text().split()
    assert fields == ["schedule", "cosine"]
    shared.page.keyboard.press("Tab")
    assert shared.page.evaluate("document.activeElement.id") == "close"
    shared.page.keyboard.press("Enter")
    assert not dialog.is_visible()


def test_what_came_with_runs_is_shown_as_text(visit):
    visit.draw_all()
    visit.page.locator("#runs-table").get_by_role("button", name=SCRIPT, exact=True).click()
    dialog = visit.page.get_by_role("dialog")
    assert dialog.get_by_role("heading", level=2).inner_text() == SCRIPT
    assert IMAGE in dialog.inner_text()
    visit.page.keyboard.press("Escape")
    visit.page.locator("#runs-table th", has_text="reason").get_by_role("button").click()
    visit.page.locator("input[data-search=runs-table]").fill("script")
    assert visit.column("runs-table", 1) == [SCRIPT]
    assert visit.page.locator("[onerror], img[src=x]").count() == 0


def test_hostile_variants_are_text_in_figures_too(browser, tmp_path):
    names = ("<b>bold</b> $a$", f"<a href='https://example.org'>{IMAGE}</a>")
    runs = [made_run(tmp_path, 2 * i + s, name, "vlb", s) for i, name in enumerate(names) for s in (0, 1)]
    page.write(compare(runs, (), (SCRIPT,)), tmp_path / "report.html")
    opened = Visit(browser.new_context(viewport=DESK), tmp_path / "report.html")
    opened.draw_all()
    assert opened.page.locator("#means .ytick text", has_text=names[0]).count() == 2
    assert opened.page.locator("svg a, svg image, [onerror], a[href^=http]").count() == 0
    opened.filter(0).select_option(names[1])
    assert opened.column("variants-table", 1) == [names[1]]
    assert (opened.said, opened.asked) == ([], [])


def test_figures_answer(shared):
    shared.draw_all()
    curves = shared.page.locator("#curves")
    curves.locator("select").select_option("val/bits_per_dim")
    assert curves.locator(".values").inner_text() == "val: bits per dim"
    assert "val: bits per dim" in (curves.locator(".plot").get_attribute("aria-label") or "")
    lines = "document.querySelector('#curves .plot').data.filter(t => t.visible !== false).length"
    assert shared.page.evaluate(lines) == 12
    curves.get_by_role("button", name="linear · simple").click()
    assert shared.page.evaluate(lines) == 10
    assert (
        shared.page.locator("#cost").get_by_role("button", name="linear · simple").get_attribute("aria-pressed")
        == "false"
    )
    curves.get_by_role("button", name="all").click()
    assert shared.page.evaluate(lines) == 12
    point = shared.page.locator("#means .plot").first.locator(".points path").last
    point.hover(force=True)
    hover = shared.page.locator("#means .hovertext").first
    hover.wait_for()
    assert "(n = 3)" in (hover.text_content() or "") and "seeds 0:" in (hover.text_content() or "")


def test_samples_of_a_seed_and_a_step(shared):
    samples = shared.page.locator("#samples")
    assert samples.locator("img:visible").count() == 6
    samples.get_by_label("Seed").select_option("2")
    samples.get_by_label("Step").select_option("500")
    shown = [image.get_attribute("alt") or "" for image in samples.locator("img:visible").all()]
    assert len(shown) == 6 and all(alt.endswith("seed 2, step 500") for alt in shown)
    assert all(
        image.get_attribute("src").startswith("data:image/webp") for image in samples.locator("img:visible").all()
    )


def test_nothing_stands_in_the_way_of_anybody(visit):
    visit.draw_all()
    visit.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    for scheme, rules in (("light", ()), ("dark", ("color-contrast",))):
        visit.page.emulate_media(color_scheme=scheme)
        assert hindrances(visit, ("header", "main", "footer"), rules) == []
        visit.page.locator("#runs-table .open").first.click()
        assert hindrances(visit, ("#run",), rules) == []
        visit.page.keyboard.press("Escape")


def test_dark_and_light_by_hand(visit):
    background = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('#means .xtick text').style.fill"
    visit.draw_all()
    light, light_ink = visit.page.evaluate(background), visit.page.evaluate(ink)
    button = visit.page.get_by_role("button", name="Dark mode")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert visit.page.evaluate(background) != light and visit.page.evaluate(ink) != light_ink
    visit.page.reload()
    visit.page.wait_for_selector("html[data-ready=true]")
    assert visit.page.evaluate(background) != light
    button.click()
    assert visit.page.evaluate(background) == light


def test_a_phone_scrolls_down_only(browser, path):
    opened = Visit(browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True), path)
    opened.draw_all()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    region = opened.page.get_by_role("region", name="Variants compared").locator(".scroll")
    assert region.evaluate("each => each.scrollWidth > each.clientWidth && each.tabIndex === 0")
    opened.page.locator("#runs-table tbody tr").nth(1).locator("td").first.tap()
    box = opened.page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
    assert (opened.said, opened.asked) == ([], [])


def test_paper_has_everything(shared):
    shared.page.emulate_media(media="print")
    shared.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    plots = shared.page.locator(".plot")
    assert shared.page.locator(".plot .main-svg:first-of-type").count() >= plots.count() == 8
    assert shared.page.locator("details:not([open])").count() == 0
    assert not shared.page.locator("nav").is_visible() and not shared.page.locator(".controls").first.is_visible()
    assert shared.page.pdf().startswith(b"%PDF")
    shared.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shared.page.locator("details[open]").count() == 0
    shared.page.emulate_media(media="screen")


def test_tables_need_no_script(browser, path):
    opened = Visit(browser.new_context(viewport=DESK, java_script_enabled=False), path, ready=False)
    rows = opened.page.locator("#variants-table tbody tr")
    assert rows.count() == 7 and "(n = 3)" in rows.first.inner_text()
    assert not opened.page.locator(".controls").first.is_visible()
    assert "stopped at step 300" in opened.page.locator("#lost").inner_text()
    assert (opened.said, opened.asked) == ([], [])


@pytest.mark.parametrize("kind", ["failed", "no-metric", "running"])
def test_a_page_of_little_works(browser, tmp_path, kind):
    one = made_run(tmp_path, 0, "linear", "simple", 0)
    runs = {
        "failed": [undone(tmp_path, "0", "failed", "it broke")],
        "no-metric": [replace(one, figures={"train/steps": 3})],
        "running": [one, undone(tmp_path, "1", "running", "")],
    }[kind]
    page.write(compare(runs, (), ("here",)), tmp_path / "report.html")
    opened = Visit(browser.new_context(viewport=DESK), tmp_path / "report.html")
    opened.draw_all()
    opened.page.locator("#runs-table .open").first.click()
    assert opened.page.get_by_role("dialog").is_visible()
    assert opened.page.get_by_text("Runs are still at work").is_visible() == (kind == "running")
    assert (opened.said, opened.asked) == ([], [])
