"""Files that were made to harm: code in weights, more than memory holds behind a small header, names that lead elsewhere."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from miniatures import write_clip
from PIL import Image
from toys import pictures, vectors

import gtimm
from gtimm import Missing, Pipeline, impute
from gtimm.backbones.clip import Clip
from gtimm.backbones.imagebind.config import load_config
from gtimm.backbones.imagebind.weights import load_model
from gtimm.core.errors import DataError, GtimmError, MediaError, StoreError, WeightsError
from gtimm.core.features.shards import DamagedShardError, Shard
from gtimm.core.films.clips import Clip as FilmClip
from gtimm.core.films.prepared import Prepared
from gtimm.core.media import FilmPart, load_audio, load_frame, load_image
from gtimm.data.avmnist import read_digits
from gtimm.experiments import cells
from gtimm.experiments.cells import Cell, read_cell, write_cell
from gtimm.experiments.methods import Setting
from gtimm.imputers.stable_diffusion import StableDiffusion
from gtimm.report.results import parse_results
from gtimm.report.sections.again import again

FOLDER = Path(gtimm.__file__).parent / "assets" / "stable-diffusion-tiny"
GOLDEN = Path(__file__).parents[1] / "golden" / "imagebind"
MEMORY = 64 * 2**20  # bytes that refusing may take


class Harm:
    """Makes a folder `owned` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Work in a folder in which nothing of what is read may run."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "owned").exists(), "code of a file was run"


def harmful(path: Path) -> None:
    """Write pickles as torch writes them, new and old, and bare."""
    form = path.suffixes[0]
    if form == ".zip":
        torch.save({"modality_trunks.vision.x": Harm()}, path)
    elif form == ".old":
        torch.save({"x": Harm()}, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps({"x": Harm()}))


@pytest.mark.parametrize("form", [".zip", ".old", ".bare"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".safetensors"])
def test_code_in_weights_of_imagebind_is_never_run(form: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{form}{suffix}"
    harmful(path)
    with pytest.raises(WeightsError, match=r"cannot read ImageBind weights .*weights"):
        load_model(path, load_config(GOLDEN / "config.json"), ["image"])


@pytest.mark.parametrize("form", [".zip", ".old", ".bare"])
@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "open_clip_model.safetensors"])
def test_code_in_weights_of_clip_is_never_run(form: str, name: str, tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    for old in [*folder.glob("*.safetensors"), *folder.glob("*.bin")]:
        old.unlink()
    path = tmp_path / f"w{form}.pth"
    harmful(path)
    path.rename(folder / name)
    with pytest.raises(GtimmError, match="clip"):
        Clip(model=f"local-dir:{folder}").open("cpu", "float32")


@pytest.mark.parametrize(
    "change",
    [
        {"_class_name": ["mean", "Mean"]},
        {"_class_name": "Mean"},
        {"_class_name": 7},
        {"unet": ["mean", "Mean"]},
        {"unet": ["os", "system"]},
        {"unet": ["../mean", "Mean"]},
        {"tokenizer": ["builtins", "exec"]},
        {"scheduler": [["x"], {}]},
        {"scheduler": 7},
    ],
)
def test_code_beside_the_weights_of_a_pipeline_is_never_run(change: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    shutil.copytree(FOLDER, folder)
    for place in (folder, folder / "unet", tmp_path):
        (place / "mean.py").write_text("import os\nos.mkdir('owned')\nclass Mean: pass\n")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **change}))
    with pytest.raises(GtimmError, match="pipeline"):
        StableDiffusion(model=str(folder)).open("cpu")


@pytest.mark.parametrize("content", ["pickle", "bomb", "header"])
def test_code_and_bombs_in_a_saved_model_are_refused(content: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    Pipeline("toy", train={"epochs": 1}, device="cpu").fit(vectors(12)).save(model)
    weights = model / "weights.safetensors"
    offsets = json.dumps({"head.x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    weights.write_bytes(
        {
            "pickle": pickle.dumps(Harm()),
            "bomb": struct.pack("<Q", 2**62) + b"{}",  # a header of so many bytes
            "header": struct.pack("<Q", len(offsets)) + offsets,
        }[content]
    )
    little(lambda: Pipeline.load(model, device="cpu"), WeightsError, "model")


def test_one_flipped_bit_of_a_saved_model_is_found(tmp_path: Path) -> None:
    model = tmp_path / "model"
    Pipeline("toy", train={"epochs": 1}, device="cpu").fit(vectors(12)).save(model)
    content = bytearray((model / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "weights.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.safetensors is damaged"):
        Pipeline.load(model, device="cpu")


@pytest.mark.parametrize("form", ["objects", "bomb", "shape"])
def test_code_and_bombs_in_a_kept_outcome_are_no_outcome(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, setting = tmp_path / "cell.npz", Setting("toys", "zero-fill")
    write_cell(path, Cell(setting, np.ones((1, 3), np.float32), 1.0))
    assert read_cell(path, setting) is not None
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    if form == "objects":
        np.savez(path, **{Path(n).stem: np.array([Harm()], object) for n in parts})
    else:
        monkeypatch.setattr(cells, "LARGEST", 1 << 18)
        count = "(4611686018427387904,)" if form == "shape" else "(262144,)"  # a megabyte of zeros, a kilobyte when packed
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {count}, }}".ljust(117) + "\n"
        parts["values.npy"] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(1 << 20)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in parts.items():
                file.writestr(name, content)
    assert read_cell(path, setting) is None


def little(read: Callable[[], Any], error: type[Exception], match: str) -> None:
    """Expect an error that costs little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(error, match=match):
            read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def tiff(width: int, height: int) -> bytes:
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 4, height),
        (279, 4, 4),
    ]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 12) + bytes(4) + struct.pack("<H", len(entries)) + body + bytes(4)


def bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 58, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(4)
    )


@pytest.mark.parametrize("form", [png, gif, tiff, bmp])
def test_pictures_larger_than_memory_are_refused_by_their_header(form: Callable[[int, int], bytes], tmp_path: Path) -> None:
    path = tmp_path / f"bomb.{form.__name__}"
    path.write_bytes(form(60_000, 60_000))
    little(lambda: load_image(path), MediaError, r"bomb.* (has|more than) .*pixels")


def test_formats_that_unpack_whole_are_refused(tmp_path: Path) -> None:
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0", "END"]
    path = tmp_path / "bomb.fits"
    path.write_bytes("".join(card.ljust(80) for card in cards).ljust(2880).encode() + gzip.compress(bytes(1 << 20)))
    with pytest.raises(MediaError, match=r"bomb\.fits.* no image format"):
        load_image(path)


@pytest.mark.parametrize(("rate", "samples"), [(4_294_967_295, 100), (0, 100), (16_000, 2**36 - 1)])
def test_flac_of_an_absurd_rate_or_length_is_refused_by_its_header(rate: int, samples: int, tmp_path: Path) -> None:
    info = (
        struct.pack(">HH", 4096, 4096)
        + bytes(6)
        + (((rate & 0xFFFFF) << 44) | (1 << 41) | (15 << 36) | samples).to_bytes(8, "big")
    )
    (tmp_path / "bomb.flac").write_bytes(b"fLaC\x80\x00\x00\x22" + info + bytes(16) + bytes(100))
    little(lambda: load_audio(tmp_path / "bomb.flac"), MediaError, r"bomb\.flac")


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_wav_of_an_absurd_rate_and_length_is_refused_by_its_header(rate: int, tmp_path: Path) -> None:
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * 2 % 2**32, 2, 16)
    content = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + form + b"data\xff\xff\xff\xf0" + bytes(100)
    (tmp_path / "bomb.wav").write_bytes(content)
    little(lambda: load_audio(tmp_path / "bomb.wav"), MediaError, r"bomb\.wav")


def test_a_film_of_absurd_size_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode())
    content = path.read_bytes().replace(struct.pack("<ii", 16, 16), struct.pack("<ii", 60_000, 60_000))
    path.write_bytes(content)
    little(lambda: load_frame(path), MediaError, r"bomb\.avi")


def test_a_packed_file_is_unpacked_up_to_what_it_can_hold(tmp_path: Path) -> None:
    for stem in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{stem}-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">IIII", 2051, 2**31, 28, 28) + bytes(200 << 20), 1)
        )
        break
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz holds more than"):
        read_digits(tmp_path)


def test_a_shard_of_more_rows_than_bytes_is_damaged(tmp_path: Path) -> None:
    for rows, length in ((2**63, 4), (2**40, 2**31), (1, 2**31)):
        (tmp_path / "x.shard").write_bytes(struct.pack("<8sQII", b"gtimmfs1", rows, length, 4).ljust(200, b"\0"))
        with pytest.raises(DamagedShardError, match=r"x\.shard"):
            Shard(tmp_path / "x.shard")


@pytest.mark.parametrize("name", ["..", "../victim", "/etc", "image/../../victim", "a\0b", "x" * 5000])
def test_the_mark_of_an_export_removes_nothing_elsewhere(name: str, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "000001.png").write_bytes(b"dear")
    filled = impute(pictures(6).with_missing(Missing(image=0.4)), "hot-deck", store=tmp_path / "home", device="cpu")
    filled.export(tmp_path / "out")
    mark = tmp_path / "out" / ".gtimm-export.json"
    mark.write_text(json.dumps({"folders": [name]}))
    with pytest.raises((DataError, StoreError), match=r"gtimm-export|File name too long"):
        filled.export(tmp_path / "out")
    assert (tmp_path / "victim" / "000001.png").read_bytes() == b"dear"


def test_a_link_in_an_export_removes_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "000001.png").write_bytes(b"dear")
    filled = impute(pictures(6).with_missing(Missing(image=0.4)), "hot-deck", store=tmp_path / "home", device="cpu")
    filled.export(tmp_path / "out")
    for old in (tmp_path / "out" / "image").iterdir():
        old.unlink()
    (tmp_path / "out" / "image").rmdir()
    (tmp_path / "out" / "image").symlink_to(tmp_path / "victim")
    with pytest.raises(DataError, match="leads out of the folder through a symbolic link"):
        filled.export(tmp_path / "out")
    assert (tmp_path / "victim" / "000001.png").read_bytes() == b"dear"


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "a\0b", "\ud800", 7, ["x"]])
def test_a_prepared_index_names_files_of_its_folder_only(name: Any, tmp_path: Path) -> None:
    about = {"frames": "png", "sound": "wav", "jpeg_quality": 95, "rate": 16_000, "channel": "first", "bits": 16, "version": 1}
    (tmp_path / "about.json").write_text(json.dumps(about))
    Image.new("RGB", (4, 4)).save(tmp_path.parent / "secret.png")
    line = {
        "clip": "c",
        "image": [None, None],
        "audio": None,
        "frame": name,
        "sound": None,
        "silent": True,
        "bytes": 0,
        "modified": 0,
    }
    (tmp_path / "index.jsonl").write_text(json.dumps(line) + "\n" + json.dumps({**line, "clip": ["c"]}) + "\n[]\n")
    clip = FilmClip("c", "a", "c", FilmPart("film.mp4"), None, "row 0")
    assert Prepared(tmp_path).find(clip) is None


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/abs", "a//b", "a/./b", "", "nul\0"])
def test_a_clip_is_named_by_a_path_that_stays_in_its_folder(name: str) -> None:
    with pytest.raises(DataError, match="row 0"):
        FilmClip(name, "a", "g", FilmPart("film.mp4"), None, "row 0")


def test_a_linked_configuration_is_no_part_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password: 1234")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").symlink_to(tmp_path / "secret")
    results = parse_results({"schema_version": 1, "kind": "run", "title": "t", "command": "c", "rows": []})
    section = again(results, run)
    assert section is not None
    assert section.values["config"] == ""
