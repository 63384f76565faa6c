"""The report page: self-contained, harmless, complete, and equal to the numbers that it was given."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from report_toys import full, score, write_run

from gtimm.core.errors import DataError, GtimmError
from gtimm.report import write_report
from gtimm.report.page import make_sections, render_page, write_page
from gtimm.report.results import parse_results, read_results

HOSTILE = "\"><script>alert('x')</script><img src=x onerror=alert(1)> {{ 7 * 7 }} & </style>"
VOID = {"meta", "link", "img", "input", "br"}
KEPT = {"kind", "file", "real", "dropout", "refers_to", "schema_version"}  # not shown, or chosen from a list
FULL = full()


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
    return lambda value: write_run(tmp_path / "run", value)


def changed(**parts):
    return copy.deepcopy(FULL) | parts


def html_of(folder):
    results = read_results(folder / "results.json")
    return render_page(results, make_sections(results, folder))


def page_of(folder):
    return Page(html_of(folder))


def lead_of(page):
    whole = [text for attrs, text in page.all("p") if "lead" in attrs.get("class", "").split()]
    (lead,) = whole or [" ".join(text.split()) for _, text in page.all("ul", **{"class": "leads"})]
    return lead


def test_page_is_whole_and_its_ids_are_sound(run):
    page = page_of(run(FULL))
    ids = [attrs["id"] for _, attrs, _ in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {i for _, a, _ in page.tags for key in ("aria-labelledby", "for") for i in a.get(key, "").split()}
    links = {a["href"][1:] for a, _ in page.all("a")}
    assert named | links <= set(ids)
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")[:1]) == 1
    assert page.all("html", lang="en")
    assert all(attrs.get("alt") for attrs, _ in page.all("img"))


def test_page_loads_nothing(run):
    text = html_of(run(FULL))
    page = Page(text)
    for tag, attrs, _ in page.tags:
        for name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster"):
            if name in attrs:
                assert attrs[name].startswith(("#", "data:")), (tag, attrs)
    assert "@import" not in text
    assert "url(" not in text
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("http-equiv", "")
    policy = next(a["content"] for a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_every_part_of_the_results_has_its_section_and_a_link_in_the_contents(run):
    page = page_of(run(FULL))
    order = "published methods differences budget sweeps matrices robustness elsewhere classes gallery rejected cost rows patterns notes"
    expected = [*order.split(), "again"]
    assert [attrs["id"] for attrs, _ in page.all("section")] == expected
    assert [attrs["href"][1:] for attrs, _ in page.all("a")][1 : len(expected) + 1] == expected


@pytest.mark.parametrize(
    ("key", "section"),
    [
        ("comparisons", "differences"),
        ("sweeps", "sweeps"),
        ("matrices", "matrices"),
        ("published", "published"),
        ("details", "classes"),
        ("gallery", "gallery"),
        ("patterns", "patterns"),
        ("notes", "notes"),
    ],
)
def test_section_is_absent_where_the_results_have_nothing_for_it(run, key, section):
    value = changed()
    del value[key]
    assert section not in [attrs["id"] for attrs, _ in page_of(run(value)).all("section")]


def test_hostile_strings_are_only_text(run):
    def poisoned(value, key=""):
        if isinstance(value, dict):
            return {(HOSTILE + k if key in ("environment", "licences", "data") else k): poisoned(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return value if key in KEPT else [poisoned(v, key) for v in value]
        return HOSTILE + value if isinstance(value, str) and key not in KEPT else value

    folder = run(poisoned(FULL))
    (folder / "config.yaml").write_text(HOSTILE, encoding="utf-8")
    page = page_of(folder)
    assert len(page.all("script")) == 1
    assert len(page.all("style")) == 1
    assert not [attrs for _, attrs, _ in page.tags if any(name.startswith("on") or name == "style" for name in attrs)]
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs, _ in page.all("img"))
    assert page.all("title")[0][1].startswith(HOSTILE)
    assert "49" not in page.all("h1")[0][1]
    results = read_results(folder / "results.json")
    for section in make_sections(results, folder):
        for figure in section.figures:
            assert "/" not in figure.name
            tree = ElementTree.fromstring(figure.scene.svg_file().encode())
            assert not [e for e in tree.iter() if e.tag.endswith(("script", "img"))]
        assert not [table.name for table in section.tables if "/" in table.name]


def test_text_that_no_file_can_hold_is_replaced(run):
    assert "a\ufffdb\ufffdc" in html_of(run(changed(title="a\u0000b\ud800c", notes=["\u0007"])))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "gallery/../../secret.png", "gallery/link.png"])
def test_gallery_outside_the_folder_is_refused(run, tmp_path, name):
    folder = run(FULL)
    value = changed()
    value["gallery"][0]["generated"][0]["file"] = name
    (folder / "results.json").write_text(json.dumps(value), encoding="utf-8")
    Image.new("L", (2, 2)).save(tmp_path / "secret.png")
    (folder / "gallery" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(GtimmError, match="outside the run folder"):
        write_report(folder)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("key", sorted(set(FULL) - {"schema_version", "rows"}))
def test_any_key_may_be_missing_or_null(run, key):
    value = changed()
    del value[key]
    page_of(run(value))
    page_of(run(changed(**{key: None})))


def test_results_from_before_there_were_other_parts_still_read(run):
    old = {
        key: FULL[key] for key in ("schema_version", "title", "command", "data", "environment", "counters", "seconds", "notes")
    }
    old["rows"] = [score("zero-fill", 0.8, missing={"image": 0.95}), score("gti-mm", 0.9, missing={"image": 0.95}, budget=100)]
    place = {key: old["rows"][1][key] for key in ("dataset", "mechanism", "missing_train", "missing_test", "method", "budget")}
    old["comparisons"] = [place | {"against": "zero-fill", "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15}]
    old["verdict"] = {"holds": True, "sentence": "Generation helps."}
    old["gallery"] = [{"class": "zero", "real": ["gallery/real-0.png"], "generated": []}]
    page = page_of(run(old))
    ids = [attrs["id"] for attrs, _ in page.all("section")]
    assert ids == ["methods", "differences", "gallery", "cost", "rows", "notes", "again"]
    assert [text for _, text in page.all("p", **{"class": "verdict"})] == ["The claim holds"]


def test_plain_run_shows_what_there_is(run):
    folder = run({"schema_version": 1, "rows": [score("stable-diffusion-tiny", 0.9571, missing={"image": 0.95})]})
    (folder / "config.yaml").unlink()
    page = page_of(folder)
    (lead,) = [text for _, text in page.all("p", **{"class": "lead"})]
    assert lead == "With 95% of images missing at random, stable-diffusion-tiny has accuracy 95.7% (94.6% to 96.9%)."
    assert [text for _, text in page.all("h2")] == ["Methods, no holes simulated at test", "All rows"]


def test_run_that_tested_nothing_whole_says_what_was_missing(run):
    rows = [score(m, 0.8, missing={"image": 0.95}, test={"image": q}) for m in ("zero-fill", "hot-deck") for q in (0.5, 0.9)]
    page = page_of(run({"schema_version": 1, "rows": rows}))
    assert page.all("h2")[0][1] == "Methods, 50% of images missing at test"
    assert "With 95% of images missing at random and 50% of images at test" in lead_of(page)


def test_no_rows_and_no_numbers_are_pages_too(run):
    empty = page_of(run({"schema_version": 1, "rows": []}))
    assert [text for _, text in empty.all("p", **{"class": "lead"})] == ["These results have no row that can be shown."]
    row = {"dataset": "d", "method": "zero-fill", "metric": "accuracy", "mean": float("nan")}
    page = page_of(run({"schema_version": 1, "rows": [row]}))
    assert [text for attrs, text in page.all("td", **{"class": "number"})][:3] == ["–", "–", "–"]


def test_recommendation_leads_with_its_evidence_linked_to_where_it_stands(run):
    page = page_of(run(FULL))
    (lead,) = [text for _, text in page.all("p", **{"class": "lead"})]
    assert lead.startswith("Fill with gti-mm, 20 images a class")
    anchors = {text: attrs["href"] for attrs, text in page.all("a")}
    assert anchors["gti-mm scores 81.9% (80.8% to 83.1%)."] == "#row-13"
    assert anchors["The knee is at 20 a class."] == "#sweep-0"
    assert "It is a made-up sentence." not in anchors
    assert "It is a made-up sentence." in page.texts
    (row,) = [text for attrs, text in page.all("tr", id="row-13")]
    assert FULL["rows"][13]["method"] in row


def test_evidence_that_points_nowhere_is_text(run):
    value = changed()
    value["recommendation"]["evidence"] = [
        {"sentence": "Nowhere.", "refers_to": f"{part}"} for part in ("rows.999", "rows", "x.1")
    ]
    page = page_of(run(value))
    assert "Nowhere." not in [text for _, text in page.all("a")]


def test_lead_names_the_best_method_of_each_setting_and_no_reference(run):
    value = changed()
    del value["recommendation"]
    lead = lead_of(page_of(run(value)))
    assert lead.startswith(
        "With 90% of images missing at random, the highest accuracy is 91.0% (89.9% to 92.2%), of gti-mm with 100 per class."
    )
    assert "multimodal" not in lead


def test_long_recommendation_stands_sentence_by_sentence(run):
    value = changed()
    parts = [f"Take method {i} with {i}.5% of images missing, one of many settings with an advice of its own." for i in range(6)]
    value["recommendation"] |= {"sentence": " ".join(parts), "evidence": [{"sentence": f"Because {i}."} for i in range(9)]}
    page = page_of(run(value))
    texts = [text for _, text in page.all("li")]
    assert texts[: len(parts)] == parts
    (evidence,) = [attrs for attrs, _ in page.all("details") if attrs.get("class") == "evidence"]
    assert "open" not in evidence


def test_failed_claim_and_no_difference_are_as_plain_as_success(run):
    verdict = {"holds": False, "sentence": "Generation does not help."}
    page = page_of(run(changed(recommendation=None, verdict=verdict)))
    assert [text for _, text in page.all("p", **{"class": "verdict"})] == ["The claim does not hold"]
    none = {"sentence": "There is no difference that these data show.", "method": None}
    page = page_of(run(changed(recommendation=none)))
    assert [text for _, text in page.all("p", **{"class": "verdict"})] == ["No difference"]


def test_command_configuration_environment_and_licences_are_shown(run):
    page = page_of(run(FULL))
    codes = [text for _, text in page.all("code")]
    assert codes[0] == "gtimm compare config.yaml -o 'runs/made up'"
    assert codes[1] == "data: digits\nmissing: {image: 0.95}\nmethods: [zero-fill, gti-mm]"
    terms = [text for _, text in page.all("dt")]
    assert {"python", "torch", "imagebind-tiny"} <= set(terms)


def test_without_a_run_folder_the_page_leaves_out_what_needs_files():
    sections = make_sections(parse_results(copy.deepcopy(FULL)), None)
    assert not {"gallery", "rejected"} & {section.id for section in sections}


def test_files_are_written_whole_beside_the_page_and_again_the_same(run):
    value = {key: FULL[key] for key in ("schema_version", "rows", "comparisons", "matrices")}
    value["rows"] = value["rows"][:25]
    folder = run(value)
    page = write_report(folder)
    files = {p: p.read_bytes() for part in ("figures", "tables") for p in sorted((folder / part).iterdir())}
    names = {p.name for p in files}
    assert {"methods-digits-random-image90.svg", "methods-digits-random-image90.pdf", "matrix-matched-digits.pdf"} <= names
    assert {f"{name}{end}" for name in ("rows", "comparisons", "matrix-fixed-digits") for end in (".csv", ".md", ".tex")} <= names
    assert all(content.startswith(b"%PDF") for path, content in files.items() if path.suffix == ".pdf")
    for path in files:
        if path.suffix == ".svg":
            ElementTree.parse(path)
    before = page.read_bytes()
    assert write_report(folder).read_bytes() == before
    assert {p: p.read_bytes() for p in files} == files


def test_page_alone_goes_to_a_file_of_any_name(tmp_path):
    value = copy.deepcopy(FULL)
    page = write_page(value, tmp_path / "new" / "mine.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine.html"]
    assert "gallery" not in [attrs["id"] for attrs, _ in Page(page.read_text(encoding="utf-8")).all("section")]
    folder = write_run(tmp_path / "run", FULL)
    whole = write_page(value, tmp_path / "whole.html", folder)
    assert whole.read_text(encoding="utf-8") == html_of(folder)


def test_page_can_be_written_elsewhere(run, tmp_path):
    folder = run({"schema_version": 1, "rows": FULL["rows"][:4], "gallery": FULL["gallery"][:1]})
    page = write_report(folder, tmp_path / "elsewhere")
    assert page == tmp_path / "elsewhere" / "report.html"
    assert not (folder / "report.html").exists()
    assert page_of(folder).all("img")


def test_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"results\.json"):
        write_report(tmp_path)


def test_importing_the_report_is_light():
    code = "import sys, gtimm.report; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_toy_results_are_as_the_schema_has_them():
    from gtimm.experiments.schema import Results

    value = {key: part for key, part in FULL.items() if key != "parameters_of_a_later_version"}
    assert {name for name in Results.model_fields if name not in value} == {"verdict", "tests"}
    assert np.isfinite([row["mean"] for row in Results.model_validate(value).model_dump()["rows"]]).all()
