"""The report page: self-contained, harmless, complete, and equal to the numbers that it was given."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from PIL import Image

from gtimm.core.errors import DataError, GtimmError
from gtimm.report import summary_figure, write_report
from gtimm.report.charts.axes import bounds, nice_ticks
from gtimm.report.colours import COLOURS
from gtimm.report.results import parse_results

HOSTILE = "\"><script>alert('x')</script><img src=x onerror=alert(1)> {{ 7 * 7 }} & </style>"
VOID = {"meta", "link", "img", "input", "br"}


def score(method, mean, *, missing=None, test=None, budget=None, dataset="digits", mechanism="random", **more):
    row = {
        "dataset": dataset,
        "method": method,
        "mechanism": mechanism,
        "missing_train": missing or {},
        "missing_test": test or {},
    }
    numbers = {"mean": mean, "std": 0.0042, "ci_low": mean - 0.011, "ci_high": mean + 0.0123, "seeds": 5, "seconds": 1.2}
    return row | {"budget": budget, "metric": "accuracy"} | numbers | more


def rows():
    found = [score("multimodal", 0.982), score("audio-only", 0.6719)]
    for share, low in ((0.95, 0.85), (0.99, 0.7)):
        missing = {"image": share}
        found += [score("zero-fill", low, missing=missing), score("hot-deck", low + 0.05, missing=missing)]
        found += [score("gti-mm", low + 0.02 * i, missing=missing, budget=b) for i, b in enumerate((1, 5, 20, 100))]
        found += [score("gti-mm", low - q / 4, missing=missing, test={"image": q}, budget=100) for q in (0.5, 0.9)]
        found += [score("zero-fill", low - q / 3, missing=missing, test={"image": q}) for q in (0.5, 0.9)]
        found += [score(m, low - 0.2, missing=missing, dataset="digits-uci") for m in ("hot-deck", "zero-fill")]
        found += [score("gti-mm", low - 0.22, missing=missing, dataset="digits-uci", budget=100)]
    return found


def compared(dataset, difference):
    place = {"dataset": dataset, "mechanism": "random", "missing_train": {"image": 0.95}, "missing_test": {}}
    ends = {"difference": difference, "ci_low": difference - 0.01, "ci_high": difference + 0.01}
    return place | {"method": "gti-mm", "budget": 100, "against": "hot-deck"} | ends


RESULTS = {
    "schema_version": 1,
    "title": "A demonstration",
    "command": "gtimm demo -o 'runs/my demo'",
    "data": {"name": "digits", "images": "real handwriting", "speech": "synthetic (espeak-ng)"},
    "environment": {"python": "3.11.9", "torch": "2.9.0"},
    "counters": {"generated": 1000, "embedded": 12345},
    "seconds": 130.2,
    "rows": rows(),
    "comparisons": [compared("digits", 0.0612), compared("digits-uci", -0.0234)],
    "verdict": {"holds": True, "sentence": "Generation beats resampling by 6.1 points."},
    "notes": ["The speech is synthetic."],
    "gallery": [
        {
            "class": "zero",
            "real": ["gallery/real-zero-0.png"],
            "generated": [{"file": f"gallery/gen-zero-{i}.png", "prompt": "A photo of zero", "seed": 123 + i} for i in range(2)],
        }
    ],
}


class Page(HTMLParser):
    """Tags in order with their text; fails on a tag that is closed out of turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.tags[-1])

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, inside in self.open:
            inside.append(data)
        self.texts.append(data)

    def all(self, tag, **attrs):
        return [(a, "".join(t)) for found, a, t in self.tags if found == tag and attrs.items() <= a.items()]


@pytest.fixture
def run(tmp_path):
    def write(value):
        folder = tmp_path / "run"
        (folder / "gallery").mkdir(parents=True, exist_ok=True)
        for name in ("real-zero-0", "gen-zero-0", "gen-zero-1"):
            Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(folder / "gallery" / f"{name}.png")
        (folder / "results.json").write_text(json.dumps(value), encoding="utf-8")
        return folder

    return write


def changed(**parts):
    return copy.deepcopy(RESULTS) | parts


def page_of(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def test_page_is_whole_and_its_ids_are_sound(run):
    folder = run(RESULTS)
    page = page_of(folder)
    ids = [attrs["id"] for _, attrs, _ in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {i for _, a, _ in page.tags for key in ("aria-labelledby", "for") for i in a.get(key, "").split()}
    links = {a["href"][1:] for a, _ in page.all("a")}
    assert named | links <= set(ids)
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")[:1]) == 1
    assert page.all("html", lang="en")
    assert all(attrs.get("alt") for attrs, _ in page.all("img"))
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_page_loads_nothing(run):
    folder = run(RESULTS)
    page = page_of(folder)
    for tag, attrs, _ in page.tags:
        for name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster"):
            if name in attrs:
                assert attrs[name].startswith(("#", "data:")), (tag, attrs)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "@import" not in text
    assert "url(" not in text
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("http-equiv", "")
    policy = next(a["content"] for a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_table_shows_the_numbers_of_the_json(run):
    page = page_of(run(RESULTS))
    cells = [(tag, attrs, "".join(text)) for tag, attrs, text in page.tags if tag in ("th", "td") and attrs.get("scope") != "col"]
    width = len(page.all("th", scope="col"))
    shown = [[text for _, _, text in cells[i : i + width]] for i in range(0, len(cells), width)]
    values = [float(attrs["data-value"]) for i, (_, attrs, _) in enumerate(cells) if i % width == 2]

    def line(row):
        budget = "–" if row["budget"] is None else str(row["budget"])
        ends = f"{row['ci_low'] * 100:.1f}% to {row['ci_high'] * 100:.1f}%"
        return [row["method"], budget, f"{row['mean'] * 100:.1f}%", ends, row["dataset"]]

    assert sorted(r[:5] for r in shown) == sorted(line(row) for row in RESULTS["rows"])
    assert sorted(values) == sorted(row["mean"] for row in RESULTS["rows"])


def test_figures_show_each_method_with_its_number(run):
    folder = run(RESULTS)
    write_report(folder)
    names = {path.name for path in (folder / "figures").iterdir()}
    for kind in ("methods-digits", "budget-digits", "missing-test-image-digits", "methods-digits-uci"):
        assert {f"{kind}-random-image95.svg", f"{kind}-random-image99.svg"} <= names
    assert {"differences-digits.svg", "differences-digits-uci.svg"} <= names
    for path in (folder / "figures").iterdir():
        ElementTree.parse(path)
    texts = texts_of(folder / "figures" / "methods-digits-random-image95.svg")
    order = ["audio-only", "multimodal", "zero-fill", "hot-deck", "gti-mm"]
    assert [t for t in texts if t in order] == order
    assert [t for t in texts if t.endswith("%") and "." in t] == ["67.2%", "98.2%", "85.0%", "90.0%", "91.0%"]
    assert "generation, 100 per class" in texts
    assert "−2.3" in texts_of(folder / "figures" / "differences-digits-uci.svg")
    budget = (folder / "figures" / "budget-digits-random-image95.svg").read_text(encoding="utf-8")
    assert "gti-mm, 5/class: 87.0% (85.9% to 88.2%), 5 seeds" in budget
    assert "hot-deck: 90.0%" in budget


def texts_of(path):
    return [e.text for e in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_out_of_domain_rows_keep_their_sign(run):
    (sentence,) = [text for _, text in page_of(run(RESULTS)).all("li") if "gti-mm with 100 per class" in text]
    assert sentence.endswith("gti-mm with 100 per class is below hot-deck, −2.3 points (−3.3 to −1.3).")


def test_hostile_strings_are_only_text(run):
    value = changed(
        title=HOSTILE,
        command=HOSTILE,
        notes=[HOSTILE],
        data={"name": HOSTILE, HOSTILE: HOSTILE},
        environment={HOSTILE: [HOSTILE]},
    )
    value["verdict"]["sentence"] = HOSTILE
    value["gallery"][0]["class"] = HOSTILE
    value["gallery"][0]["generated"][0] |= {"prompt": HOSTILE, "seed": HOSTILE}
    for part in (*value["rows"], *value["comparisons"]):
        part |= {"method": HOSTILE + part["method"], "dataset": HOSTILE + part["dataset"], "mechanism": HOSTILE}
        part["missing_train"] = dict.fromkeys([HOSTILE] if part["missing_train"] else [], 0.95)
    value["comparisons"][0]["against"] = HOSTILE
    folder = run(value)
    page = page_of(folder)
    assert len(page.all("script")) == 1
    assert len(page.all("style")) == 1
    assert not [attrs for _, attrs, _ in page.tags if any(name.startswith("on") or name == "style" for name in attrs)]
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs, _ in page.all("img"))
    assert page.all("title")[0][1] == HOSTILE
    assert "49" not in page.all("h1")[0][1]
    for path in (folder / "figures").iterdir():
        assert path.resolve().parent == (folder / "figures").resolve()
        assert not [e for e in ElementTree.parse(path).iter() if e.tag.endswith(("script", "img"))]


def test_text_that_no_file_can_hold_is_replaced(run):
    folder = run(changed(title="a\u0000b\ud800c", notes=["\u0007"]))
    assert "a\ufffdb\ufffdc" in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "gallery/../../secret.png", "gallery/link.png"])
def test_gallery_outside_the_folder_is_refused(run, tmp_path, name):
    value = changed()
    value["gallery"][0]["generated"][0]["file"] = name
    folder = run(value)
    Image.new("L", (2, 2)).save(tmp_path / "secret.png")
    (folder / "gallery" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(GtimmError, match="outside the run folder"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_gallery_file_that_is_not_png_is_refused(run):
    value = changed()
    value["gallery"][0]["real"] = ["results.json"]
    with pytest.raises(DataError, match="neither a PNG"):
        write_report(run(value))


def test_gallery_shows_prompt_and_seed_and_says_what_is_synthetic(run):
    page = page_of(run(RESULTS))
    captions = [text for _, text in page.all("figcaption")]
    assert {"“A photo of zero”, seed 123", "“A photo of zero”, seed 124"} <= set(captions)
    titles = [attrs.get("title") for attrs, _ in page.all("img")]
    assert titles == [None, "“A photo of zero”, seed 123", "“A photo of zero”, seed 124"]
    assert "synthetic (generated)" in page.texts


def test_sounds_have_players_that_say_what_they_are(run):
    value = changed()
    value["gallery"][0] |= {
        "real": ["gallery/real.wav"],
        "generated": [{"file": "gallery/made.wav", "prompt": "zero", "seed": 4}],
    }
    folder = run(value)
    for name in ("real", "made"):
        soundfile.write(folder / "gallery" / f"{name}.wav", np.zeros(800), 8000, subtype="PCM_16")
    players = [attrs for attrs, _ in page_of(folder).all("audio")]
    assert [player.get("title") for player in players] == [None, "“zero”, seed 4"]
    assert [player["aria-label"] for player in players] == ["zero, real, 1", "zero, synthetic"]
    assert all(player["src"].startswith("data:audio/wav;base64,") and "controls" in player for player in players)


def test_absent_gallery_file_is_said(run):
    value = changed()
    value["gallery"][0]["real"].append("gallery/gone.png")
    assert any("1 of the files" in text for _, text in page_of(run(value)).all("p"))


@pytest.mark.parametrize("key", sorted(set(RESULTS) - {"schema_version", "rows"}))
def test_any_key_may_be_missing(run, key):
    value = changed()
    del value[key]
    page_of(run(value))
    page_of(run(changed(**{key: None})))


def test_plain_run_shows_what_there_is(run):
    missing = {"image": 0.95}
    page = page_of(run({"schema_version": 1, "rows": [score("stable-diffusion-tiny", 0.9571, missing=missing)]}))
    (lead,) = [text for _, text in page.all("p", **{"class": "lead"})]
    assert lead == "With 95% of images missing at random, stable-diffusion-tiny has accuracy 95.7% (94.6% to 96.9%)."
    assert [text for _, text in page.all("h2")] == ["Methods, nothing missing at test", "All rows"]


def test_no_rows_and_no_numbers_are_pages_too(run):
    empty = page_of(run({"schema_version": 1, "rows": []}))
    assert [text for _, text in empty.all("p", **{"class": "lead"})] == ["These results have no row that can be shown."]
    page = page_of(run({"schema_version": 1, "rows": [{"method": "zero-fill", "mean": float("nan")}]}))
    assert [text for attrs, text in page.all("td", **{"class": "number"})][:3] == ["–", "–", "–"]


def test_lead_names_the_best_method_of_each_setting_and_no_reference(run):
    (lead,) = [text for _, text in page_of(run(changed(verdict=None))).all("p", **{"class": "lead"})]
    assert lead.startswith(
        "With 95% of images missing at random, the highest accuracy is 91.0% (89.9% to 92.2%), of gti-mm with 100 per class."
    )
    assert "multimodal" not in lead


def test_failed_claim_is_as_plain_as_one_that_holds(run):
    page = page_of(run(changed(verdict={"holds": False, "sentence": "Generation does not help."})))
    assert [text for _, text in page.all("p", **{"class": "verdict"})] == ["The claim does not hold"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "schema_version None"),
        ('{"schema_version": 2, "rows": []}', "schema_version 2"),
        ('{"schema_version": 1}', "rows: Field required"),
        ('{"schema_version": 1, "rows": [{"method": "a", "mean": "much"}]}', "rows.0.mean"),
    ],
)
def test_wrong_results_are_an_error_that_names_the_place(tmp_path, text, message):
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        write_report(tmp_path)


def test_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"results\.json"):
        write_report(tmp_path)


def test_same_folder_gives_the_same_bytes(run):
    folder = run(RESULTS)
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_reference_without_gap_stands_in_every_setting_once():
    value = changed(
        rows=[
            *rows(),
            score("multimodal", 0.5, mechanism="stratified"),
            score("zero-fill", 0.6, missing={"image": 0.9}, mechanism="stratified"),
        ]
    )
    results = parse_results(value)
    means = {s: [r.mean for r in results.trained(s) if r.method == "multimodal"] for s in results.settings("digits")}
    assert [(s.mechanism, m) for s, m in means.items()] == [("random", [0.982]), ("random", [0.982]), ("stratified", [0.5])]


def test_summary_figure_is_written_whole_and_the_same_again(tmp_path):
    png, svg = summary_figure(RESULTS, tmp_path / "out" / "summary.png")
    assert (png.name, svg.name) == ("summary.png", "summary.svg")
    first = png.read_bytes(), svg.read_bytes()
    assert Image.open(png).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    summary_figure(RESULTS, tmp_path / "out" / "summary")
    assert (png.read_bytes(), svg.read_bytes()) == first
    with pytest.raises(DataError, match="missing at random"):
        summary_figure({"schema_version": 1, "rows": [score("multimodal", 0.9)]}, tmp_path / "none")


def test_importing_the_report_is_light():
    code = "import sys, gtimm.report; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("values", [[0.5], [0.0, 1.0], [0.911, 0.9115], [-0.03, 0.012], []])
def test_axis_holds_its_values_between_two_ticks_or_more(values):
    low, high = bounds(values, within=(-1.0, 1.0))
    assert all(low <= value <= high for value in values)
    assert 2 <= len(nice_ticks((low, high))) <= 8


@pytest.mark.parametrize("ground", [("#fdfdfb", 0), ("#14171a", 1)])
@pytest.mark.parametrize("role", ["ink", "muted", "generation", "hot-deck", "robust", "other"])
def test_colours_can_be_read_in_both_themes(role, ground):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for behind in (ground[0], COLOURS["band"][ground[1]]):
        dark, light = sorted((luminance(COLOURS[role][ground[1]]), luminance(behind)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--no-first-run"])
        yield browser
        browser.close()


def test_in_a_browser_the_table_sorts_the_theme_turns_and_nothing_complains(run, browser):
    folder = run(RESULTS)
    address = Path(write_report(folder)).as_uri()
    for width in (390, 1440):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark", offline=True)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda message, to=complaints: to.append(message.text))
        page.on("pageerror", lambda error, to=complaints: to.append(str(error)))
        page.on("request", lambda request, to=requests: to.append(request.url))
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        column = (
            "[...document.querySelectorAll('#rows tbody tr')].filter(r => !r.hidden).map(r => Number(r.cells[2].dataset.value))"
        )
        given = page.evaluate(column)
        head = page.get_by_role("columnheader", name="Mean")
        head.get_by_role("button").focus()
        for state, expected in (("ascending", sorted(given)), ("descending", sorted(given, reverse=True)), ("none", given)):
            page.keyboard.press("Enter")
            assert head.get_attribute("aria-sort") == state
            assert page.evaluate(column) == expected
        page.get_by_label("Filter rows").fill("hot-deck 95%")
        assert page.locator("#count").inner_text() == f"2 of {len(given)} rows"
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(20, 23, 26)"
        page.locator("#theme").click()
        assert page.locator("#theme").inner_text() == "Theme: light"
        assert page.evaluate(ground) == "rgb(253, 253, 251)"
        tile = page.locator(".made figure").first
        tile.focus()
        assert tile.locator("figcaption").is_visible()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.innerText") == "“A photo of zero”, seed 124"
        assert complaints == []
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
        context.close()
