"""Prepared frames and sounds are those of the films; a run that ends badly keeps what is whole, and the next one goes on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
from films import film
from forks import garbage
from PIL import Image

from gtimm.backbones.imagebind.tiny import ImageBindTiny
from gtimm.core.claims import claim
from gtimm.core.errors import DataError, EngineError, StoreError
from gtimm.core.films import prepare as preparing
from gtimm.core.films import taking
from gtimm.core.films.clips import Clip, Corpus
from gtimm.core.films.loader import FilmLoader
from gtimm.core.films.prepare import prepare
from gtimm.core.films.prepared import Form
from gtimm.core.media import FilmPart, load_audio, load_image
from gtimm.engines.local import LocalEngine

FILMS = ("a.mp4", "b.mkv", "c.mp4", "d.mp4", "mute.mp4", "stereo.avi")


class Folder(FilmLoader):
    """Every film of a folder, with sound from 0.2 s to 1 s; a third each to train, validate and test."""

    name: ClassVar[str] = "folder"
    layout: ClassVar[str] = "root= must hold films."

    start: float = 0.2

    def read(self) -> Corpus:
        clips = []
        for number, file in enumerate(FILMS):
            path = str(self.folder() / file)
            clips.append(
                Clip(
                    f"x/{Path(file).stem}",
                    "ab"[number // 3],
                    file,
                    FilmPart(path),
                    FilmPart(path, self.start, 1.0),
                    f"line {number}",
                )
            )
        return Corpus({"train": clips[:2], "val": clips[2:4], "test": clips[4:]}, ("a", "b"))


def stereo(path: Path) -> None:
    """A film of MPEG-4 pictures and two channels of sound at 44.1 kHz."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        pictures, track = out.add_stream("mpeg4", rate=25), out.add_stream("pcm_s16le", rate=44_100, layout="stereo")
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        for _ in range(25):
            pixels = random.integers(0, 256, (48, 64, 3)).astype(np.uint8)
            out.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        part = av.AudioFrame.from_ndarray(
            random.integers(-9000, 9000, (1, 88_200)).astype(np.int16), format="s16", layout="stereo"
        )
        part.sample_rate = 44_100
        out.mux(track.encode(part))
        out.mux([*pictures.encode(), *track.encode()])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    for number, file in enumerate(FILMS[:5]):
        film(root / file, 1.2 + 0.1 * number, sound=file != "mute.mp4")
    stereo(root / "stereo.avi")
    return root


@pytest.fixture
def root(films: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(films, tmp_path / "films"))


def index(out: Path) -> dict[str, dict]:
    return {line["clip"]: line for line in map(json.loads, (out / "index.jsonl").read_text().splitlines())}


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("sound", ["wav", "flac"])
def test_frames_are_the_films_pixel_by_pixel_and_sound_to_16_bits(films: Path, tmp_path: Path, sound: str) -> None:
    loader = Folder(root=str(films), silent="hole")
    report = prepare(loader, tmp_path / "out", Form(sound=sound), workers=2)
    assert (report.clips, report.made, report.kept, report.silent, report.failures) == (6, 6, 0, 1, [])
    plain = loader.load()
    data = Folder(root=str(films), silent="hole", prepared=str(tmp_path / "out")).load()
    backbone, heard = ImageBindTiny(), 0
    for one, two in ((plain.train, data.train), (plain.val, data.val), (plain.test, data.test)):
        np.testing.assert_array_equal(one.present("audio"), two.present("audio"))
        for row in range(len(one)):
            np.testing.assert_array_equal(*(np.asarray(load_image(d.payload("image", row))) for d in (one, two)))
            if not one.present("audio")[row]:
                continue
            heard += 1
            samples, rate = load_audio(one.payload("audio", row))
            found, found_rate = load_audio(two.payload("audio", row))
            assert (found.shape[0], found_rate) == (1, 16_000)
            if rate == 16_000:
                np.testing.assert_allclose(found, samples[:1], atol=0.51 / 32768)
            mels = [backbone.prepare("audio", d.payload("audio", row)).numpy() for d in (one, two)]
            assert np.abs(mels[0] - mels[1]).mean() < 2e-3
            sounds = {"audio": [one.payload("audio", row), two.payload("audio", row)]}
            first, second = backbone.embed(sounds)["audio"]
            assert np.linalg.norm(first - second) < 0.01 * np.linalg.norm(first)
    assert heard == 5
    suffixes = {path.suffix for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    assert suffixes == {".png", f".{sound}", ".json", ".jsonl"}


def test_sound_is_resampled_as_the_backbone_does() -> None:
    from torchaudio.functional import resample

    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 44_100)).astype(np.float32)
    import torch

    expected = resample(torch.from_numpy(samples), 44_100, 16_000)[0].numpy()
    np.testing.assert_allclose(taking.to_mono(samples, 44_100), expected, atol=1e-6)
    np.testing.assert_array_equal(taking.to_mono(samples, 16_000), samples[0])


def test_jpeg_frames_are_near_and_smaller(films: Path, tmp_path: Path) -> None:
    prepare(Folder(root=str(films)), tmp_path / "out", Form(frames="jpeg"), workers=1)
    found = np.asarray(Image.open(tmp_path / "out/frames/x/a.jpg")).astype(int)
    expected = np.asarray(load_image(FilmPart(str(films / "a.mp4")))).astype(int)
    assert 0 < np.abs(found - expected).mean() < 4
    facts = Folder(root=str(films), prepared=str(tmp_path / "out")).load().facts
    assert facts["read from"] == "prepared frames (JPEG, quality 95) and sound (WAV, 16000 Hz, first channel)"


def test_films_may_be_gone_once_they_are_prepared(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(Folder(root=str(root)), tmp_path / "out", workers=2)
    for path in root.iterdir():
        path.unlink()
    data = Folder(root=str(root), prepared=str(tmp_path / "out")).load()
    assert [len(split) for split in (data.train, data.val, data.test)] == [2, 2, 1]
    assert data.facts["clips without sound"] == "1, left out"
    assert load_image(data.train[0]["image"]).size == (96, 64)
    with pytest.raises(DataError, match=r"line 4: 'x/mute' has no sound track, as 1 of 6 clips\. Pass silent='drop'"):
        Folder(root=str(root), prepared=str(tmp_path / "out"), silent="error").load()


def test_a_second_run_makes_only_what_is_lost_changed_or_half_written(root: Path, tmp_path: Path) -> None:
    out, loader = tmp_path / "out", Folder(root=str(root))
    assert prepare(loader, out, workers=2).made == 6
    before = files(out)
    again = prepare(loader, out, workers=2)
    assert (again.made, again.kept, again.silent) == (0, 6, 1)
    assert files(out) == before
    (out / "frames/x/b.png").unlink()
    (out / "audio/x/.c-123.tmp.wav").write_bytes(b"half")
    lines = (out / "index.jsonl").read_text().splitlines(keepends=True)
    (out / "index.jsonl").write_text("".join(lines[:-1]) + lines[-1][:40])
    assert prepare(loader, out, workers=2).made == 2
    assert files(out) == before
    film(root / "a.mp4", 2.0)
    assert prepare(loader, out, workers=2).made == 1
    assert {name for name, content in files(out).items() if before[name] != content} >= {"frames/x/a.png", "index.jsonl"}


def test_what_cannot_be_decoded_is_listed_kept_out_and_tried_again(root: Path, tmp_path: Path) -> None:
    out, loader = tmp_path / "out", Folder(root=str(root))
    good = (root / "c.mp4").read_bytes()
    (root / "c.mp4").write_bytes(good[:3000])
    report = prepare(loader, out, workers=2)
    assert report.made == 5
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert failures == report.failures
    assert {(line["clip"], line["what"], line["film"]) for line in failures} == {
        ("x/c", what, str(root / "c.mp4")) for what in ("image", "audio")
    }
    assert all("c.mp4" in line["reason"] for line in failures)
    with pytest.raises(DataError, match=r"line 2: 'x/c' is not prepared in .*--skip-unreadable"):
        Folder(root=str(root), prepared=str(out)).load()
    for _ in range(2):  # a second run says it too
        assert len(prepare(loader, out, workers=2, skip_unreadable=True).failures) == 2
    data = Folder(root=str(root), prepared=str(out)).load()
    assert [len(split) for split in (data.train, data.val, data.test)] == [2, 1, 1]
    assert data.facts["clips that cannot be decoded"].startswith("1")
    (root / "c.mp4").write_bytes(good)
    assert prepare(loader, out, workers=2, skip_unreadable=True).made == 1
    assert not (out / "failures.jsonl").exists()
    assert len(Folder(root=str(root), prepared=str(out)).load().val) == 2


def test_a_film_whose_sound_alone_is_damaged_keeps_its_picture(root: Path, tmp_path: Path) -> None:
    out, loader = tmp_path / "out", Folder(root=str(root), start=0.9)
    film(root / "c.mp4", 0.5)  # shorter than where the sound should begin
    assert [line["what"] for line in prepare(loader, out, workers=1, skip_unreadable=True).failures] == ["audio"]
    data = Folder(root=str(root), start=0.9, prepared=str(out)).load()
    assert (data.val.present("image").tolist(), data.val.present("audio").tolist()) == ([True, True], [False, True])


def test_a_decoder_that_takes_its_process_down_costs_one_film(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = taking.load_image

    def crash(payload: FilmPart) -> Image.Image:
        if payload.path.endswith("b.mkv"):
            os._exit(11)
        return whole(payload)

    monkeypatch.setattr(taking, "load_image", crash)
    report = prepare(Folder(root=str(root)), tmp_path / "out", workers=2)
    assert [(line["clip"], line["reason"]) for line in report.failures] == [("x/b", "the decoder took its process down")]
    assert report.made == 5
    assert set(index(tmp_path / "out")) == {"x/a", "x/c", "x/d", "x/mute", "x/stereo"}


def test_a_full_disk_ends_the_run_and_keeps_what_is_whole(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StoreError, match="No space left on device"):
            prepare(Folder(root=str(root)), tmp_path / "out", workers=1)
    assert not list((tmp_path / "out").rglob(".*"))
    assert prepare(Folder(root=str(root)), tmp_path / "out", workers=1).failures == []


def test_absent_films_end_it_or_are_listed(root: Path, tmp_path: Path) -> None:
    (root / "d.mp4").unlink()
    with pytest.raises(DataError, match=r"line 3: .*d\.mp4 does not exist \(1 of 6 clips have no film\)\. root= must hold films"):
        prepare(Folder(root=str(root)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = prepare(Folder(root=str(root), absent="skip"), tmp_path / "out", workers=2)
    assert (report.made, [clip.name for clip in report.absent]) == (5, ["x/d"])
    assert json.loads((tmp_path / "out/absent.jsonl").read_text()) == {"clip": "x/d", "film": str(root / "d.mp4")}
    with pytest.warns(RuntimeWarning, match=r"1 of 6 clips of folder are left out.*d\.mp4"):
        data = Folder(root=str(root), absent="skip", prepared=str(tmp_path / "out")).load()
    assert data.facts["clips without a film"] == "1 of 6: d.mp4"


def test_folders_of_another_form_of_others_or_in_use_are_refused(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "ORPHANS_SECONDS", 0.2)
    out, loader = tmp_path / "out", Folder(root=str(films))
    prepare(loader, out, workers=1)
    with pytest.raises(DataError, match="was prepared with png frames and wav sound, now asked for is jpeg and wav"):
        prepare(loader, out, Form(frames="jpeg"))
    with pytest.raises(DataError, match=r"sound \[0.2, 1.0\] .seconds., and line 0 asks for others"):
        Folder(root=str(films), prepared=str(out), start=0.5).load()
    (out / "audio/x/a.wav").unlink()
    with pytest.raises(DataError, match=r"a file of 'x/a' is gone or cut short\. Run the same"):
        Folder(root=str(films), prepared=str(out)).load()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    with pytest.raises(DataError, match=r"holds files and no about\.json"):
        prepare(loader, tmp_path / "mine")
    with pytest.raises(DataError, match="nothing was prepared there"):
        Folder(root=str(films), prepared=str(tmp_path / "mine")).load()
    held = claim(out / ".lock")
    assert held is not None
    with pytest.raises(StoreError, match="Another process prepares"):
        prepare(loader, out)
    held.release()


def test_workers_leave_the_garbage_of_the_parent_alone(films: Path, tmp_path: Path) -> None:
    with garbage(tmp_path / "freed") as freed:
        assert prepare(Folder(root=str(films)), tmp_path / "out", workers=2).made == 6
    assert freed == [os.getpid()]


def test_a_folder_of_another_version_is_refused_and_one_that_was_begun_goes_on(films: Path, tmp_path: Path) -> None:
    out, loader = tmp_path / "out", Folder(root=str(films))
    out.mkdir()
    (out / ".about-abc.tmp.json").write_text("{")  # killed while the first file was written
    prepare(loader, out, workers=1)
    about = json.loads((out / "about.json").read_text())
    (out / "about.json").write_text(json.dumps({**about, "version": 0}))
    with pytest.raises(DataError, match=r"by another version of gtimm \(form 0\)\. Prepare into a new folder"):
        prepare(loader, out, workers=1)
    (out / "about.json").write_text(json.dumps(about))
    (out / "frames/x/a.png").write_bytes((out / "frames/x/a.png").read_bytes()[:-9])  # cut short
    assert prepare(loader, out, workers=1).made == 1


def test_a_start_that_fails_keeps_what_the_run_before_it_said(root: Path, tmp_path: Path) -> None:
    (root / "c.mp4").write_bytes(b"no film")
    out = tmp_path / "out"
    assert len(prepare(Folder(root=str(root)), out, workers=1).failures) == 2
    said = (out / "failures.jsonl").read_text()

    class Nowhere(LocalEngine):
        here: ClassVar[bool] = False

        def run(self, *_: Any, **__: Any) -> Any:
            raise EngineError("No cluster there.")

    with pytest.raises(EngineError):
        prepare(Folder(root=str(root)), out, engine=Nowhere())
    assert (out / "failures.jsonl").read_text() == said
