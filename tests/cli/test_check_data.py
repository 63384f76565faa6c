"""`gtimm check data` counts names, configurations and tables, and says what is absent and where it comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from gtimm.cli.main import app
from gtimm.core.errors import ConfigError, DataError
from gtimm.core.splitting import PARTS


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", "data", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    lines = ["photo,words,kind"]
    for index in range(40):
        Image.new("RGB", (4, 4), (index % 20, 0, 0)).save(tmp_path / f"{index}.png")
        lines.append(f"{index}.png,{'' if index < 10 else f'word {index}'},{'[b]' if index % 2 else 'c$'}")
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    (tmp_path / "run.yaml").write_text("data: {frame: rows.csv, modalities: {image: photo, text: words}, label: kind}\n")
    return tmp_path


def test_help_names_both_uses() -> None:
    shown = CliRunner().invoke(app, ["check", "--help"]).output
    assert "--download" in shown
    assert "data" in shown
    assert CliRunner().invoke(app, ["check", "data", "--help"]).exit_code == 0


def test_a_named_data_set_is_counted() -> None:
    done = call("digits", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert [found[split]["rows"] for split in PARTS] == [1000, 1000, 3002]
    assert found["train"]["classes"]["one"] == 100
    assert found["duplicates"] == []


def test_a_configuration_shows_holes_duplicates_and_class_names_as_they_are(corpus: Path) -> None:
    done = call(str(corpus / "run.yaml"))
    assert done.exit_code == 0, done.output
    assert "[b]" in done.output
    assert re.search(r"image only .*%", done.output)
    assert re.search(r"rows of test have the image of a row of train", done.output)
    assert "duplicates" not in json.loads(call(str(corpus / "run.yaml"), "--no-duplicates", "--json").output)


def test_a_table_is_counted_by_the_columns_given(corpus: Path) -> None:
    table = str(corpus / "rows.csv")
    found = json.loads(call(table, "-m", "photo:image=photo", "-m", "text=words", "--label", "kind", "--json").output)
    assert found["patterns"] == {"photo + text": 30, "photo only": 10}
    for wrong, says in (
        ([table], "Which columns"),
        ([table, "-m", "photo"], "NAME=VALUE"),
        ([table, "-m", "photo:picture=photo"], "'picture' is no kind"),
        ([table, "-O", "a=b", "-m", "image=photo"], "--option"),
        (["digits", "-m", "image=photo"], "--modality"),
        (["digits", "--split", "part"], "--split"),
        ([str(corpus / "run.yaml"), "--root", str(corpus)], "--root"),
    ):
        done = call(*wrong)
        assert isinstance(done.exception, ConfigError), done.output
        assert says in str(done.exception)


def test_a_split_column_is_counted_by_split_and_all_wrong_cells_are_listed(corpus: Path) -> None:
    lines = (corpus / "rows.csv").read_text().splitlines()
    lines = [lines[0] + ",part", *(f"{line},{PARTS[place % 3]}" for place, line in enumerate(lines[1:]))]
    (corpus / "rows.csv").write_text("\n".join(lines))
    arguments = [str(corpus / "rows.csv"), "-m", "image=photo", "--label", "kind", "--split", "part"]
    found = json.loads(call(*arguments, "--json").output)
    assert [found[split]["rows"] for split in PARTS] == [14, 13, 13]
    lines[1:31] = [line.replace(".png", ".gif") for line in lines[1:31]]
    lines[35] = ",".join([*lines[35].split(",")[:2], "", "train"])
    lines[36] = lines[36].replace("val", "dev").replace("test", "dev").replace("train", "dev")
    (corpus / "rows.csv").write_text("\n".join(lines))
    said = str(call(*arguments).exception).splitlines()
    assert len(said) == 20 + 1 + 1 + 1
    assert said[0].startswith("rows.csv, line 2, modality 'image': ")
    assert said[20] == "... and 10 more like these."
    assert said[21].startswith("rows.csv, line 36 has no label")
    assert said[22].startswith("rows.csv, line 37: column 'part' must hold")


def test_class_folders_are_counted(tmp_path: Path) -> None:
    for place in ("photos/cat/1.png", "photos/cat/2.png", "photos/dog/1.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / place)
    done = call(str(tmp_path), "-m", "image=photos")
    assert done.exit_code == 0, done.output
    assert re.search(r"cat\W+2\W", done.output)
    with pytest.raises(ConfigError, match="Class folders take --modality alone"):
        raise call(str(tmp_path), "-m", "image=photos", "--label", "kind").exception  # type: ignore[misc]


def test_files_that_do_not_decode_are_listed_and_end_with_2(corpus: Path) -> None:
    (corpus / "7.png").write_bytes(b"junk")
    assert call(str(corpus / "run.yaml")).exit_code == 0
    done = call(str(corpus / "run.yaml"), "--decode", "--json")
    assert done.exit_code == 2
    found = json.loads(done.output)
    ((damaged,),) = [found[split]["unreadable"] for split in PARTS if found[split]["unreadable"]]
    assert "7.png" in damaged["reason"]


@pytest.mark.parametrize("ending", ["html", "svg", "png"])
def test_a_page_or_figure_is_written_the_same_each_time(corpus: Path, ending: str) -> None:
    contents = []
    for name in ("a", "b"):
        out = corpus / f"{name}.{ending}"
        done = call(str(corpus / "run.yaml"), "-o", str(out))
        assert done.exit_code == 0, done.output
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
    if ending == "html":
        page = contents[0].decode()
        assert "data:image/svg+xml;base64," in page
        assert "image only" in page
        assert "[b]" in page
        assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    if ending == "png":
        assert Image.open(corpus / "a.png").size[0] > 500


def test_a_figure_of_another_kind_is_refused(corpus: Path) -> None:
    done = call(str(corpus / "run.yaml"), "-o", str(corpus / "a.pdf"))
    assert isinstance(done.exception, ConfigError)
    assert not (corpus / "a.pdf").exists()


def test_what_is_absent_says_what_to_give_and_where_it_comes_from(tmp_path: Path) -> None:
    done = call("food101")
    assert isinstance(done.exception, ConfigError)
    assert "--root DIR" in str(done.exception)
    assert "hal-01196959" in str(done.exception)
    done = call("food101", "--root", str(tmp_path))
    assert isinstance(done.exception, DataError)
    assert "train_titles.csv" in str(done.exception)
    assert "hal-01196959" in str(done.exception)
    assert "Did you mean 'food101'" in str(call("fod101").exception)
    assert "does not exist" in str(call(str(tmp_path / "rows.csv")).exception)


def test_published_counts_stand_beside_those_found(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / "texts").mkdir(exist_ok=True)
        lines = []
        for label in ("apple_pie", "waffles"):
            (tmp_path / "images" / part / label).mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / "images" / part / label / f"{index}.jpg")
                lines.append(f"{index}.jpg,a title,{label}")
        (tmp_path / "texts" / f"{part}_titles.csv").write_text("\n".join(lines))
    done = call("food101", "--root", str(tmp_path))
    assert re.search(r"classes\W+101\W+2\W+-?99", done.output)
    assert json.loads(call("food101", "--root", str(tmp_path), "--json").output)["published"] == {
        "images, train": {"published": 67_988, "found": 6},
        "images, test": {"published": 22_716, "found": 6},
        "titles, train": {"published": 67_972, "found": 6},
        "titles, test": {"published": 22_716, "found": 6},
        "classes": {"published": 101, "found": 2},
    }


def test_names_are_only_text_on_the_page(tmp_path: Path) -> None:
    mean = "<script>alert(1)</script>"
    lines = ["caption,kind", *(f"{mean} {n},{mean if n % 2 else 'b'}" for n in range(40))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    done = call(str(tmp_path / "rows.csv"), "-m", "text=caption", "--label", "kind", "-o", str(tmp_path / "page.html"))
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_the_fields_of_a_configuration_are_printed() -> None:
    import inspect

    from gtimm.core.comparing import CompareOptions
    from gtimm.core.config import DATA_FIELDS, RunConfig
    from gtimm.core.pipeline import Pipeline

    done = CliRunner().invoke(app, ["check", "config"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    printed = set(re.findall(r"^  (\w+): ", done.output, re.MULTILINE))
    known = {*RunConfig.model_fields, *CompareOptions.model_fields, *DATA_FIELDS, *inspect.signature(Pipeline).parameters}
    assert known - {"seed"} <= printed
