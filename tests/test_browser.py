"""The printed book in a real browser, from disk: every page of both editions, on a desk and a phone."""

import os
import re
import shutil
from contextlib import contextmanager

import pytest
import yaml
from playwright.sync_api import sync_playwright
from test_book import PAGES, ROOT, arabic, build

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
DIRECTION = {"en": "ltr", "ar": "rtl"}
OTHER = {"en": "ar", "ar": "en"}
TERM_PAGE, MATH_PAGE = "how_to_read", "01_algorithm"


@pytest.fixture(scope="session")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        message = "No Chromium on PATH: install one, for example with `apt-get install chromium`."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield instance
        instance.close()


DESK = {"width": 1280, "height": 850}


@pytest.fixture
def page(browser):
    """A new tab on a desk; the test fails if the page asks any host for anything or logs an error."""
    with watched(browser) as (tab, complaints):
        yield tab
    assert complaints == []


@pytest.fixture(scope="module")
def one_tab(browser):
    """A tab for many pages, which takes half the time of a new one for each."""
    with watched(browser) as found:
        yield found


@pytest.fixture
def next_page(one_tab):
    """The same as `page`, in the tab that showed the page before."""
    tab, complaints = one_tab
    complaints.clear()
    tab.set_viewport_size(DESK)
    yield tab
    assert complaints == []


@contextmanager
def watched(browser):
    """A tab, and what its pages ask other hosts for or log as errors."""
    context = browser.new_context(viewport=DESK, offline=True)
    context.set_default_timeout(60_000)
    tab, complaints = context.new_page(), []
    tab.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or complaints.append(r.url))
    tab.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab, complaints
    context.close()


def visit(page, language: str, name: str, end: str = "") -> None:
    """Open a page from disk and wait until its mathematics is set."""
    page.goto((build() / language / f"{name}.html").as_uri() + end)
    page.evaluate("() => window.MathJax?.startup?.promise")


def switch_language(page) -> None:
    """Click as a hand does: `locator.click` would scroll the page first, because the header is sticky."""
    box = page.locator(".bn-switch").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def overflow(page) -> int:
    return page.evaluate("document.scrollingElement.scrollWidth - innerWidth")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_page_opens_from_disk(next_page, language, name):
    page = next_page
    visit(page, language, name)
    root = page.locator("html")
    assert root.get_attribute("lang") == language
    assert page.evaluate("getComputedStyle(document.documentElement).direction") == DIRECTION[language]
    sidebar, article = (
        page.locator("#pst-primary-sidebar").bounding_box(),
        page.locator("article").bounding_box(),
    )
    assert (sidebar["x"] > article["x"]) == (language == "ar")
    assert page.locator(".bn-switch").is_visible()
    assert overflow(page) <= 0, "wider than a desk of 1280 px"
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) <= 0, "wider than a phone of 390 px"
    assert page.locator(".bn-switch").is_visible()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_mathematics_is_set(page, language):
    visit(page, language, MATH_PAGE)
    assert page.locator("article mjx-container").count() > 0
    assert page.locator("mjx-merror").count() == 0
    prose = page.evaluate("() => [...document.querySelectorAll('article :is(p, li, td)')].map(p => p.innerText).join()")
    assert not re.search(r"\\\(|\\\[|\$[^$\n]+\$|\\frac", prose)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_switch_keeps_page_and_section(page, language):
    visit(page, language, MATH_PAGE)
    section = page.locator("article section section[id]").nth(1).get_attribute("id")
    page.evaluate("id => document.getElementById(id).scrollIntoView({behavior: 'instant'})", section)
    for here in (OTHER[language], language):  # there and back
        switch_language(page)
        page.wait_for_url(re.compile(rf"/{here}/{MATH_PAGE}\.html#{section}$"))
        page.evaluate("() => window.MathJax?.startup?.promise")
        assert page.locator(f"section#{section} h2").first.is_visible()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_switch_keeps_an_explicit_anchor(page, language):
    visit(page, language, "glossary", "#term-mini-batch")
    switch_language(page)
    page.wait_for_url(re.compile(rf"/{OTHER[language]}/glossary\.html#term-mini-batch$"))
    assert page.locator("#term-mini-batch").count() == 1


@pytest.mark.parametrize("language", ["en", "ar"])
def test_term_shows_its_definition(page, language):
    visit(page, language, TERM_PAGE)
    term, tip = page.locator("a.bn-term").first, page.locator("#bn-tip")
    assert not tip.is_visible()
    term.hover()
    assert tip.is_visible()
    assert len(tip.inner_text()) > 20
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    term.focus()
    assert tip.is_visible()
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1280


# The lowest contrast between a word of ours, on the page or in a figure, and the ground it stands on.
CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parse(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return parse(colour)[3] === 0 && element.parentElement ? ground(element.parentElement) : colour;
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const words = [...document.querySelectorAll("article .bn *")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()))
    .filter((e) => !e.closest("style, title, desc, metadata"));
  words.push(...document.querySelectorAll("article .bn svg [id^=text] use"));  // letters drawn as shapes
  return Math.min(...words.map((e) => {
    const style = getComputedStyle(e);
    return ratio(light(e.closest("svg") ? style.fill : style.color), light(ground(e)));
  }));
}"""


@pytest.mark.parametrize("name", ["index", MATH_PAGE, "claims"])
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_words_are_legible_in_both_modes(page, language, mode, name):
    page.emulate_media(color_scheme=mode)
    visit(page, language, name)
    assert page.locator("html").get_attribute("data-theme") == mode
    assert page.evaluate(CONTRAST) >= 4


@pytest.mark.parametrize(
    ("language", "query"),
    [
        ("en", "normalization"),
        ("en", "whitening"),
        ("ar", "تطبيع"),
        ("ar", "بالتطبيع"),
        ("ar", "الدُّفعات"),
        ("ar", "تطبيع الحزمة"),
    ],
)
def test_search_finds(page, language, query):
    visit(page, language, "search", f"?q={query}")
    page.locator("#search-results li a[href^='glossary.html']").first.wait_for()


def test_browser_and_index_agree_on_arabic_stems(page):
    visit(page, "ar", "search")
    words = ["تطبيع", "والتطبيع", "دُفعة", "الدفعات", "للشبكة", "انزياحها", "mini", "إحصاءات", "مستوى"]
    stems = page.evaluate("words => words.map(new Stemmer().stemWord)", words)
    assert stems == [arabic.ArabicSearch({}).stem(word) for word in words]


def test_contents_name_every_page():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert sorted([toc["root"], *listed]) == PAGES
