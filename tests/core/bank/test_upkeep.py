"""Banks are read, compared with their logs, mended, filled from folders and written out; nothing leads out of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from gtimm.core.bank import Bank
from gtimm.core.bank.labelled import read_labelled
from gtimm.core.bank.transfer import export_bank, folder_names, import_folder
from gtimm.core.bank.upkeep import facts, find_bank, list_banks, repair, verify
from gtimm.core.claims import claim
from gtimm.core.errors import ConfigError, DataError, StoreError
from gtimm.core.files import leads_out
from gtimm.core.media import load_image
from gtimm.core.prompts import plan_requests
from gtimm.engines.local import LocalEngine
from gtimm.imputers.stable_diffusion import StableDiffusionTiny
from gtimm.prompts.label import LabelPrompts

ODD = [
    "AC/DC",
    "ac_dc",
    "😀",
    "x" * 300,
    "x" * 301,
    "..",
    ".",
    "con",
    "CON.txt",
    "metadata.jsonl",
    "train",
    "a test",
    " ",
    "a:b?",
    "cat",
]
TINY = StableDiffusionTiny(steps=1, batch_size=4)


def make(home: Path) -> Any:
    bank = Bank(home / "bank")
    requests, _ = plan_requests(LabelPrompts(performers=()), ["zero", "one"], "image", 2, 1.0, 0)
    plan = bank.plan(TINY, requests)
    bank.make(TINY, plan, LocalEngine(), "cpu", True)
    return plan


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    make(home)
    return home


@pytest.fixture
def folder(master: Path, home: Path) -> Path:
    """A bank of two classes with two items each, in this test's store."""
    shutil.copytree(master, home)
    (found,) = list_banks(home)
    return found.folder


def items(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.png"))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def listed(folder: Path, records: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_facts_count_items_failures_and_rejected(folder: Path) -> None:
    (folder / "failures.jsonl").write_text('{"file_name": "aa/b.png"}\n{"file_name": "aa/b.png"}\n')
    picture(folder / "rejected" / "ab" / "c.png")
    (folder / "rejected" / "rejected.jsonl").write_text('{"file_name": "ab/c.png", "reason": "flat"}\n')
    found = facts(folder)
    assert (found.kind, found.items, found.failures, found.rejected, found.imported) == ("image", 4, 1, 1, False)
    assert found.about["generator"] == "StableDiffusionTiny"
    assert found.bytes == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert verify(folder) == []


def test_a_damaged_item_is_removed_and_made_again_as_it_was(folder: Path, home: Path) -> None:
    first, second = items(folder)[:2]
    sound = first.read_bytes()
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 1
    first.write_bytes(flipped)
    second.write_bytes(second.read_bytes()[:-5])
    damages = verify(folder)
    assert {d.name for d in damages} == {p.relative_to(folder).as_posix() for p in (first, second)}
    done = repair(folder, damages)
    assert (len(done.removed), done.lines, done.kept) == (2, 2, 0)
    assert verify(folder) == []
    make(home)
    assert first.read_bytes() == sound
    assert len(lines(folder)) == 4
    assert verify(folder) == []


def test_a_damage_that_another_process_mended_meanwhile_is_left_alone(folder: Path) -> None:
    first = items(folder)[0]
    sound = first.read_bytes()
    first.write_bytes(sound[:50])
    damages = verify(folder)
    first.write_bytes(sound)
    assert repair(folder, damages).removed == []
    assert first.read_bytes() == sound


def test_lines_that_lead_out_repeat_or_name_nothing_go(folder: Path, tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside" / "secret.png")
    (folder / "link").symlink_to(outside.parent)
    whole = (folder / "metadata.jsonl").read_text()
    long = "ab/" + "x" * 5000 + ".png"
    bad = [
        long,
        str(outside),
        "../../secret.png",
        "link/secret.png",
        "ab/gone.png",
        json.loads(whole.splitlines()[0])["file_name"],
    ]
    more = "".join(json.dumps({"file_name": name}) + "\n" for name in bad)
    (folder / "metadata.jsonl").write_text(whole + more + '{"file_name": "cut')
    damages = verify(folder)
    text = " / ".join(f"{d.name} {d.reason}" for d in damages)
    assert len(damages) == 7
    for part in ("absolute", "'..'", "symbolic link", "not in the folder", "twice", "cut short"):
        assert part in text
    assert repair(folder, damages).lines == 7
    assert (folder / "metadata.jsonl").read_text() == whole
    assert outside.is_file()


def test_a_link_that_leads_out_goes_and_its_target_stays(folder: Path, tmp_path: Path) -> None:
    outside, inside = picture(tmp_path / "secret.png"), items(folder)[0]
    inside.unlink()
    inside.symlink_to(outside)
    (damage,) = verify(folder)
    assert "symbolic link" in damage.reason
    repair(folder, [damage])
    assert not inside.is_symlink()
    assert outside.is_file()
    assert verify(folder) == []


def test_a_sound_item_without_a_line_is_kept_and_the_next_run_writes_its_line(folder: Path, home: Path) -> None:
    whole = (folder / "metadata.jsonl").read_text().splitlines(keepends=True)
    (folder / "metadata.jsonl").write_text("".join(whole[1:]))
    mine = claim(folder / ".claims" / "somebody.lock")
    assert mine is not None
    assert verify(folder) == [], "a live process may be about to write that line"
    mine.release()
    (damage,) = verify(folder)
    assert repair(folder, [damage]).kept == 1
    assert len(items(folder)) == 4
    make(home)
    assert len(items(folder)) == len(lines(folder)) == 4
    assert verify(folder) == []


def test_a_bank_goes_by_name_prefix_or_path(folder: Path, home: Path) -> None:
    for name in (folder.name, "stablediff", str(folder)):
        assert find_bank(home, name) == folder
    (home / "bank" / "stablediffusion-0").mkdir()
    with pytest.raises(ConfigError, match="2 banks begin with"):
        find_bank(home, "stable")
    with pytest.raises(ConfigError, match=r"There is no bank 'audio'.*Banks: stable"):
        find_bank(home, "audio")


def test_import_takes_class_folders_once_and_drops_duplicates_within_a_class(tmp_path: Path, home: Path) -> None:
    source = tmp_path / "source"
    for n, name in enumerate(["cat/a.png", "cat/deep/b.png", "dog 😀/a.png"]):
        picture(source / name, n)
    shutil.copy(source / "cat" / "a.png", source / "cat" / "again.png")
    shutil.copy(source / "cat" / "a.png", source / "dog 😀" / "other class.png")
    (source / "cat" / "notes.txt").write_text("no image")
    done = import_folder(source, home, "mine")
    assert (done.added, done.known, done.duplicates, done.unreadable) == (4, 0, 1, {})
    assert {(r["label"], r["source"]) for r in lines(done.folder)} == {
        ("cat", "cat/a.png"),
        ("cat", "cat/deep/b.png"),
        ("dog 😀", "dog 😀/a.png"),
        ("dog 😀", "dog 😀/other class.png"),
    }
    for record in lines(done.folder):
        assert (done.folder / record["file_name"]).read_bytes() == (source / record["source"]).read_bytes()
    before = (done.folder / "metadata.jsonl").read_bytes()
    again = import_folder(source, home, "mine")
    assert (again.added, again.known, again.duplicates) == (0, 4, 1)
    assert (done.folder / "metadata.jsonl").read_bytes() == before
    assert facts(done.folder).imported
    assert verify(done.folder) == []


def test_an_interrupted_import_goes_on(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, seen = tmp_path / "source", []
    for n in range(5):
        picture(source / "cat" / f"{n}.png", n)
    load = load_image

    def stop(path: Any) -> Any:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return load(path)

    monkeypatch.setattr("gtimm.core.bank.transfer.load_image", stop)
    with pytest.raises(KeyboardInterrupt):
        import_folder(source, home, "mine")
    (half,) = list_banks(home)
    assert half.items == len(lines(half.folder)) == 2
    assert half.imported
    assert not list(half.folder.glob(".*"))
    done = import_folder(source, home, "mine")
    assert (done.added, done.known) == (3, 2)
    assert len(seen) == 6, "what is there is not decoded again"
    assert verify(done.folder) == []


def test_an_import_writes_the_lines_that_a_killed_one_owed(tmp_path: Path, home: Path) -> None:
    for n in range(3):
        picture(tmp_path / "source" / "cat" / f"{n}.png", n)
    bank = import_folder(tmp_path / "source", home, "mine").folder
    whole = (bank / "metadata.jsonl").read_text().splitlines(keepends=True)
    (bank / "metadata.jsonl").write_text(whole[0] + whole[1][:20])
    assert len(verify(bank)) == 3
    again = import_folder(tmp_path / "source", home, "mine")
    assert (again.added, again.known) == (0, 3)
    repair(bank, verify(bank))
    assert (bank / "metadata.jsonl").read_text() == "".join(whole)


def test_an_import_at_work_keeps_another_out(tmp_path: Path, home: Path) -> None:
    picture(tmp_path / "source" / "cat" / "a.png")
    mine = claim(home / "bank" / "imported-mine" / ".import.lock")
    assert mine is not None
    with pytest.raises(ConfigError, match="Another process is importing"):
        import_folder(tmp_path / "source", home, "mine")
    mine.release()
    assert import_folder(tmp_path / "source", home, "mine").added == 1


def test_an_import_names_unreadable_files_and_takes_the_others(tmp_path: Path, home: Path) -> None:
    source = tmp_path / "source"
    picture(source / "cat" / "good.png")
    (source / "cat" / "bad.png").write_bytes(picture(source / "cat" / "whole.png", 1).read_bytes()[:60])
    done = import_folder(source, home, "mine")
    assert done.added == 2
    assert list(done.unreadable) == ["cat/bad.png"]


def test_an_imported_item_that_changed_is_found_by_its_checksum(tmp_path: Path, home: Path) -> None:
    for n in range(2):
        picture(tmp_path / "source" / "cat" / f"{n}.png", n)
    bank = import_folder(tmp_path / "source", home, "mine").folder
    one, other = items(bank)
    shutil.copy(other, one)
    (damage,) = verify(bank)
    assert "not what was imported" in damage.reason
    repair(bank, [damage])
    assert import_folder(tmp_path / "source", home, "mine").added == 1
    assert verify(bank) == []


@pytest.mark.parametrize(
    "name", ["{outside}", "../outside/secret.png", "link.png", "dir/secret.png", "sub/../../outside/secret.png"]
)
def test_nothing_outside_the_folder_is_read(name: str, tmp_path: Path, home: Path) -> None:
    outside = picture(tmp_path / "outside" / "secret.png")
    source = listed(tmp_path / "source", [{"file_name": name.format(outside=outside), "label": "cat"}])
    (source / "link.png").symlink_to(outside)
    (source / "dir").symlink_to(outside.parent)
    with pytest.raises(DataError, match=r"absolute|'\.\.'|symbolic link"):
        import_folder(source, home, "mine")
    assert not list((home / "bank").rglob("*.png"))
    (source / "metadata.jsonl").unlink()
    with pytest.raises(DataError, match="symbolic link"):
        read_labelled(source)


def test_class_folders_are_named_in_any_script_but_not_in_other_encodings(tmp_path: Path) -> None:
    labels = ["👨\u200d👩\u200d👧", "naïve\u00a0name", "犬"]
    for label in labels:
        picture(tmp_path / label / "a.png")
    assert sorted(read_labelled(tmp_path).labels) == sorted(labels)
    picture(tmp_path / "\udcff" / "a.png")
    with pytest.raises(DataError, match="not UTF-8"):
        read_labelled(tmp_path)


def test_links_within_the_folder_are_fine(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "b.png").symlink_to("a.png")
    assert [file.name for file in read_labelled(tmp_path).files] == ["cat/a.png", "cat/b.png"]
    assert leads_out(tmp_path, "cat/b.png") is None


def test_folders_that_cannot_be_used_say_why(tmp_path: Path, home: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        read_labelled(tmp_path / "absent")
    with pytest.raises(DataError, match="neither class folders"):
        read_labelled(tmp_path)
    picture(tmp_path / "plain" / "a.png")
    with pytest.raises(DataError, match=r"line 1: 'a.png' has no label"):
        read_labelled(listed(tmp_path / "plain", [{"file_name": "a.png"}]))
    with pytest.raises(DataError, match=r"line 1: 'b.png' is not a file"):
        read_labelled(listed(tmp_path / "plain", [{"file_name": "b.png", "label": "cat"}]))
    picture(tmp_path / "both" / "cat" / "a.png")
    soundfile.write(tmp_path / "both" / "cat" / "a.wav", np.zeros(80), 8000)
    with pytest.raises(DataError, match="both images"):
        read_labelled(tmp_path / "both")
    (tmp_path / "plain" / "metadata.jsonl").write_text('{"file_name": "a.png", "label": "\\ud800"}\n')
    with pytest.raises(DataError, match="is not a JSON object"):
        read_labelled(tmp_path / "plain")
    with pytest.raises(ConfigError, match="--name"):
        import_folder(tmp_path / "both", home, "../up")


def test_export_has_every_class_under_a_name_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for n in range(2 * len(ODD)):
        picture(source / f"{n}.png", n)
    records = [
        {"file_name": f"{n}.png", "label": ODD[n % len(ODD)], "prompt": f"p{n}"}
        for n in range(2 * len(ODD))
        if ODD[n % len(ODD)].strip()
    ]
    count, renamed = export_bank(listed(source, records), tmp_path / "out")
    assert count == len(records)
    assert renamed["train"] == "~train"
    assert folder_names(["rejected"]) == {"rejected": "_rejected"}, "a bank keeps there what a gate turned down"
    assert "cat" not in renamed
    found = lines(tmp_path / "out")
    assert [(r["label"], r["prompt"]) for r in found] == [(r["label"], r["prompt"]) for r in records]
    folders = {r["label"]: r["file_name"].split("/")[0] for r in found}
    assert len({name.casefold() for name in folders.values()}) == len(folders)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*folders.values(), "metadata.jsonl"}
    for old, new in zip(records, found, strict=True):
        assert (tmp_path / "out" / new["file_name"]).read_bytes() == (source / old["file_name"]).read_bytes()
    (tmp_path / "out" / "metadata.jsonl").unlink()
    assert len(read_labelled(tmp_path / "out").labels) == len(folders)


def test_folder_names_are_safe_and_distinct_whatever_the_class() -> None:
    names = folder_names(ODD)
    assert len({name.casefold() for name in names.values()}) == len(ODD)
    for name in names.values():
        assert 0 < len(name.encode()) <= 100
        assert not set(name) & set('<>:"/\\|?*[]')
        assert name.strip(". ") == name
        assert name.casefold() not in ("con", "con.txt", "metadata.jsonl")
    assert folder_names(ODD[::-1]) == {label: names[label] for label in ODD[::-1]}, "names do not follow from the order"


def test_export_never_writes_into_a_folder_with_something_in_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match="not empty"):
        export_bank(folder, tmp_path / "full")
    (tmp_path / "empty").mkdir()
    assert export_bank(folder, tmp_path / "empty")[0] == 4


def test_an_export_that_fails_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gtimm.core.bank.transfer.shutil.copyfile", full)
    before = set(tmp_path.iterdir())
    with pytest.raises(StoreError, match="No space left"):
        export_bank(folder, tmp_path / "out")
    assert set(tmp_path.iterdir()) == before
