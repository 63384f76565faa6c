"""The page in a browser: nothing complains, nothing is fetched, everything works, and everybody can read it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from report_toys import full, write_run

from gtimm import MultimodalDataset
from gtimm.report import write_report
from gtimm.report.bank_page import write_bank_page
from gtimm.report.data_page import Table, write_data_page

WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")
OPEN_ALL = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    return write_report(write_run(tmp_path_factory.mktemp("page") / "run", full()))


@pytest.fixture(scope="module")
def long_page_file(tmp_path_factory):
    names = [f"{i:03d} A class with quite a long name, as data sets have them" for i in range(150)]
    value = full(names)
    value["rows"] = [row | {"method": f"{row['method']}-of-some-length-{i}"} for i in range(12) for row in value["rows"]]
    return write_report(write_run(tmp_path_factory.mktemp("long") / "run", value))


def violations(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_the_check_for_everybody_finds_what_is_wrong(visit, axe, page_file):
    page = visit(page_file)
    page.evaluate("document.documentElement.removeAttribute('lang'); document.querySelector('img').removeAttribute('alt')")
    assert [one.split(" ")[0] for one in violations(page, axe)] == ["html-has-lang", "image-alt"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_loads_whole_fits_and_can_be_read_by_everybody(visit, axe, page_file, width, scheme):
    page = visit(page_file, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page, axe) == []
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page, axe) == []
    images = page.evaluate("Promise.all([...document.images].map((image) => image.decode().then(() => image.naturalWidth)))")
    assert len(images) == 42
    assert min(images) == 28
    lengths = page.evaluate(
        """Promise.all([...document.querySelectorAll('audio')].map((sound) => new Promise((done, fail) => {
            sound.onerror = () => fail(sound.error.message);
            sound.onloadeddata = () => done(sound.duration);
            sound.preload = 'auto';
            sound.load();
        })))"""
    )
    assert lengths == pytest.approx([0.2, 0.2])
    assert page.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_page_of_150_classes_and_hundreds_of_rows_stays_usable(visit, axe, long_page_file, width):
    page = visit(long_page_file, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#gallery article:visible").count() == 12
    assert page.locator("#classes svg:visible").count() == 2
    assert page.evaluate("document.documentElement.scrollHeight") < (45_000 if width < 1000 else 25_000)
    rows = page.locator("#rows .table")
    assert page.locator("#rows tbody tr").count() > 700
    assert rows.bounding_box()["height"] <= 620
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints == []


def test_pages_of_banks_and_of_data_hold_to_the_same(visit, axe, tmp_path):
    for name in ("one", "two"):
        (tmp_path / "bank" / name).mkdir(parents=True)
        Image.new("L", (28, 28), 90).save(tmp_path / "bank" / name / "0.png")
    data = MultimodalDataset.from_arrays({"image": [None, np.zeros((4, 4, 3), np.uint8)], "text": ["a", "b"]}, ["x", "y"])
    tables = [Table("Rows", ["class", "rows"], [["x", "1"], ["y", "1"]])]
    for path in (
        write_bank_page(tmp_path / "bank", tmp_path / "bank.html"),
        write_data_page("Toys", {"train": data.summary()}, tables, {"rows": "2"}, tmp_path / "data.html"),
    ):
        for width in WIDTHS:
            for scheme in SCHEMES:
                page = visit(path, width, scheme)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate("Promise.all([...document.images].map((image) => image.decode().then(() => true)))")
                assert violations(page, axe) == []
                assert page.complaints == []


def column(page, number):
    return page.evaluate(
        f"[...document.querySelectorAll('#rows tbody tr')].filter((row) => !row.hidden).map((row) => row.cells[{number}].dataset.value)"
    )


def test_table_sorts_up_down_and_back_with_absent_numbers_last(visit, page_file):
    page = visit(page_file)
    given = column(page, 1)
    head = page.locator("#rows").get_by_role("columnheader", name="Budget")
    head.get_by_role("button").focus()
    numbers = sorted(float(value) for value in given if value)
    empty = [""] * given.count("")
    assert empty
    for state, expected in (("ascending", numbers), ("descending", numbers[::-1])):
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == state
        found = column(page, 1)
        assert [float(value) for value in found[: len(numbers)]] == expected
        assert found[len(numbers) :] == empty
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "none"
    assert column(page, 1) == given


def test_every_sortable_table_sorts(visit, page_file):
    page = visit(page_file)
    page.evaluate(OPEN_ALL)
    tables = page.locator("table.sortable")
    assert tables.count() == 5
    for number in range(tables.count()):
        head = tables.nth(number).get_by_role("columnheader").first
        head.get_by_role("button").click()
        texts = tables.nth(number).locator("tbody tr > :first-child").all_inner_texts()
        assert [t.lower() for t in texts] == sorted((t.lower() for t in texts), key=page_order(page))


def page_order(page):
    """The browser's own order of texts, as a key."""
    order = {}

    def key(text):
        if not order:
            texts = page.evaluate(
                "[...new Set([...document.querySelectorAll('tbody th')].map((cell) => cell.innerText.toLowerCase()))]"
                ".sort((a, b) => a.localeCompare(b))"
            )
            order.update({text: place for place, text in enumerate(texts)})
        return order[text]

    return key


def test_filter_leaves_the_rows_with_all_words(visit, page_file):
    page = visit(page_file)
    page.get_by_label("Filter rows").fill("hot-deck 95%")
    shown = page.locator("#rows tbody tr:visible").all_inner_texts()
    assert shown
    assert all("hot-deck" in text and "95%" in text for text in shown)
    assert page.locator("#count").inner_text().startswith(f"{len(shown)} of ")


def test_theme_turns_and_is_kept(visit, page_file):
    page = visit(page_file, scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 23, 26)"
    page.locator("#theme").click()
    assert page.locator("#theme").inner_text() == "Theme: light"
    assert page.evaluate(ground) == "rgb(253, 253, 251)"
    page.reload()
    assert page.evaluate(ground) == "rgb(253, 253, 251)"


def test_gallery_is_one_tab_stop_a_strip_and_shows_prompt_and_seed(visit, page_file):
    page = visit(page_file)
    strip = page.locator("#gallery .made .tiles").first
    assert strip.locator("figure[tabindex='0']").count() == 1
    first = strip.locator("figure").first
    first.focus()
    assert first.locator("figcaption").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.innerText") == "“A photo of zero”, seed 7562005063083450468"


def test_evidence_leads_to_its_row_even_where_it_is_folded_or_filtered_away(visit, page_file):
    page = visit(page_file)
    page.get_by_label("Filter rows").fill("nothing has this")
    page.get_by_role("link", name="gti-mm scores").click()
    row = page.locator("#row-13")
    row.wait_for(state="visible")
    assert row.locator("th").inner_text() == "gti-mm"
    page.get_by_role("link", name="It is 2.0 points above").click()
    page.locator("#comparison-3").wait_for(state="visible")
    assert page.locator("#differences details").get_attribute("open") is not None
    assert page.complaints == []


def test_contents_say_which_section_is_in_sight(visit, page_file):
    page = visit(page_file)
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Cost").click()
    page.locator("nav a[aria-current]", has_text="Cost").wait_for()
    assert page.locator("nav a[aria-current]").count() == 1


def test_page_says_all_without_script(browser, page_file):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("#rows tbody tr:visible").count() > 50
    assert not page.locator("#theme").is_visible()
    assert not page.locator(".filter").is_visible()
    context.close()
