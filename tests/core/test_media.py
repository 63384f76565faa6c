"""Payloads decode in every form that users bring; what cannot be decoded is named."""

from __future__ import annotations

import io
import os
import tracemalloc
import warnings
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from gtimm.core.errors import MediaError
from gtimm.core.media import describe, load_audio, load_image, load_text, payload_key

RATE = 16_000


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=options.pop("format", "PNG"), **options)
    return buffer.getvalue()


def pixel(payload: Any, place: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    found = load_image(payload)
    assert found.mode == "RGB"
    value = found.getpixel(place)
    assert isinstance(value, tuple)
    return value


def tone(seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


def video(path: Path, sound: bool) -> Path:
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 16
        pictures.pix_fmt = "yuv420p"
        track = container.add_stream("aac", rate=RATE, layout="mono") if sound else None
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 40 * index, np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode())
        if track is not None:
            samples = tone(1.0)
            for begin in range(0, len(samples), 1024):
                part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = RATE, begin, Fraction(1, RATE)
                container.mux(track.encode(part))
            container.mux(track.encode())
    return path


def test_path_bytes_array_and_picture_are_one_image(tmp_path: Path) -> None:
    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    image = Image.fromarray(array)
    image.save(tmp_path / "a.png")
    for payload in (tmp_path / "a.png", str(tmp_path / "a.png"), png(image), array, image):
        np.testing.assert_array_equal(np.asarray(load_image(payload)), array)


def test_the_exif_tag_turns_the_image() -> None:
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    content = png(image, exif=exif)
    for payload in (content, Image.open(io.BytesIO(content))):
        found = load_image(payload)
        assert found.size == (2, 4)
        assert found.getpixel((1, 0)) == (255, 0, 0)


def test_alpha_is_laid_over_black() -> None:
    assert pixel(png(Image.new("RGBA", (2, 2), (200, 100, 50, 128)))) == (100, 50, 25)
    assert pixel(png(Image.new("LA", (2, 2), (200, 0)))) == (0, 0, 0)
    assert pixel(np.full((2, 2, 4), (200, 100, 50, 0), np.uint8)) == (0, 0, 0)
    paletted = Image.new("P", (2, 2), 1)
    paletted.putpalette([0, 0, 0, 255, 255, 255])
    assert pixel(png(paletted, transparency=1)) == (0, 0, 0)
    assert pixel(png(paletted)) == (255, 255, 255)


@pytest.mark.parametrize("top", [65535, 200])
def test_sixteen_bits_scale_to_eight(top: int) -> None:
    image = Image.fromarray(np.full((2, 2), top, np.uint16))
    expected = top * 255 // 65535
    assert pixel(png(image)) == (expected,) * 3


def test_grey_binary_and_cmyk_become_rgb() -> None:
    assert pixel(png(Image.new("L", (2, 2), 77))) == (77, 77, 77)
    assert pixel(png(Image.new("1", (2, 2), 1))) == (255, 255, 255)
    assert pixel(np.full((2, 2), 9, np.uint8)) == (9, 9, 9)
    assert pixel(np.full((2, 2, 1), 9, np.uint8)) == (9, 9, 9)
    red, green, blue = pixel(png(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), format="JPEG"))
    assert red > 200
    assert green < 60
    assert blue < 60


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    red, green, _ = pixel(png(frames[0], format=form, save_all=True, append_images=frames[1:], duration=100))
    assert red > 240
    assert green < 20


def test_an_image_that_is_too_large_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtimm.core.media.image.MAX_PIXELS", 15)
    with pytest.raises(MediaError, match="4x4 pixels, more than 15"):
        load_image(png(Image.new("RGB", (4, 4))))
    assert load_image(png(Image.new("RGB", (5, 3)))).size == (5, 3)


def test_a_decompression_bomb_is_refused() -> None:
    header = bytearray(png(Image.new("1", (8, 8))))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    with pytest.raises(MediaError, match="more than 100,000,000 pixels"):
        load_image(bytes(header))


def test_a_large_image_below_our_limit_opens_without_pillows_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(png(Image.new("RGB", (10, 10)))).size == (10, 10)
        monkeypatch.setattr("gtimm.core.media.image.MAX_PIXELS", 90)
        for payload in (png(Image.new("RGB", (10, 10))), Image.new("RGB", (10, 10))):
            with pytest.raises(MediaError, match="10x10 pixels, more than 90"):
                load_image(payload)


def test_a_damaged_exif_tag_leaves_the_pixels() -> None:
    content = png(Image.new("RGB", (4, 2), "red"), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01", format="JPEG")
    assert load_image(content).size == (4, 2)


def test_a_format_that_runs_another_program_is_refused() -> None:
    with pytest.raises(MediaError, match="no image format"):
        load_image(png(Image.new("RGB", (4, 4)), format="EPS"))


def test_a_film_that_is_no_image_says_its_kind(tmp_path: Path) -> None:
    (tmp_path / "a.MP4").write_bytes(b"film")
    with pytest.raises(MediaError, match=r"a\.MP4' cannot be decoded: .*A column of films is of kind 'video'"):
        load_image(tmp_path / "a.MP4")


@pytest.mark.parametrize(("values", "expected"), [([0.0, 1.0], 255), ([0.0, 255.0], 255), ([0.0, 65535.0], 255)])
def test_float_images_scale_by_the_smallest_usual_range(values: list[float], expected: int) -> None:
    assert pixel(png(Image.fromarray(np.array([values], np.float32)), format="TIFF"), (1, 0)) == (expected,) * 3


@pytest.mark.parametrize("value", [70_000.0, float("nan"), float("inf")])
def test_float_images_of_another_range_are_refused(value: float) -> None:
    with pytest.raises(MediaError, match="grey values"):
        load_image(png(Image.fromarray(np.array([[0.5, value]], np.float32)), format="TIFF"))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(MediaError, match=r"bad\.png"):
        load_image(tmp_path / "bad.png")
    with pytest.raises(MediaError, match=f"{len(content)} bytes"):
        load_image(content)


def test_a_truncated_image_is_refused_in_any_form(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (tmp_path / "cut.png").write_bytes(png(Image.fromarray(noise))[:2000])
    with pytest.raises(MediaError, match=r"cut\.png"):
        load_image(tmp_path / "cut.png")
    with pytest.raises(MediaError, match="cannot be decoded"):
        load_image(Image.open(tmp_path / "cut.png"))


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.png.*does not exist"):
        load_image(tmp_path / "gone.png")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((3, 4, 4, 4), np.uint8),
        np.zeros((3, 5, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        3,
    ],
)
def test_arrays_of_another_form_are_refused(array: Any) -> None:
    with pytest.raises(MediaError, match=r"[Ii]mage"):
        load_image(array)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_sound_files_decode_to_channels_by_samples(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"tone.{form.lower()}"
    stereo = np.stack([tone(), -0.5 * tone()])
    soundfile.write(path, stereo.T, RATE, format=form)
    for payload in (path, path.read_bytes()):
        samples, rate = load_audio(payload)
        assert rate == RATE
        assert samples.dtype == np.float32
        assert samples.shape[0] == 2
        middle = slice(2000, 6000)
        if form in ("WAV", "FLAC"):
            np.testing.assert_allclose(samples[:, middle], stereo[:, middle], atol=1e-3)
        else:
            assert np.abs(samples[0, middle]).max() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_integer_and_float_files_at_any_usual_rate(tmp_path: Path, rate: int, subtype: str) -> None:
    samples = np.stack([np.linspace(-0.9, 0.9, 500), np.linspace(0.9, -0.9, 500)])
    soundfile.write(tmp_path / "a.wav", samples.T, rate, subtype=subtype)
    found, found_rate = load_audio(tmp_path / "a.wav")
    assert found_rate == rate
    np.testing.assert_allclose(found, samples, atol=1e-2 if subtype == "PCM_U8" else 1e-4)


def test_a_file_of_another_name_is_known_by_its_content(tmp_path: Path) -> None:
    for name in ("a.raw", "a.mp3", "a"):
        soundfile.write(tmp_path / "a.wav", tone(), RATE)
        (tmp_path / "a.wav").rename(tmp_path / name)
        assert load_audio(tmp_path / name)[0].shape == (1, 8000), name


def test_a_header_that_promises_too_much_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lie.flac"
    soundfile.write(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    for promised, message in ((2**36 - 1, "longer than 3600 s"), (RATE * 3000, "cannot be decoded|cut short")):
        field = int.from_bytes(content[18:26], "big") >> 36 << 36 | promised
        content[18:26] = field.to_bytes(8, "big")
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(MediaError, match=rf"lie\.flac.*({message})"):
            load_audio(path)
        assert tracemalloc.get_traced_memory()[1] < 40e6
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [1, 1_000_000])
def test_a_rate_that_no_sound_has_is_refused(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), rate)
    with pytest.raises(MediaError, match=rf"a\.wav.*{rate} samples a second"):
        load_audio(tmp_path / "a.wav")


def test_a_float_file_with_nan_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan], np.float32), RATE, subtype="FLOAT")
    with pytest.raises(MediaError, match=r"a\.wav.*NaN"):
        load_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("load", [load_image, load_audio])
def test_pipes_and_devices_are_never_waited_for(tmp_path: Path, load: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path, "null\0byte"):
        with pytest.raises(MediaError, match=r"is not a file|does not exist"):
            load(path)


def test_mono_and_stereo_arrays_keep_their_channels() -> None:
    assert load_audio((tone(), RATE))[0].shape == (1, 8000)
    assert load_audio((np.stack([tone(), tone()]), RATE))[0].shape == (2, 8000)
    samples, rate = load_audio(([0.0, 0.5], 8000))
    assert (samples.tolist(), rate) == ([[0.0, 0.5]], 8000)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_integers_of_full_range_become_minus_one_to_one(dtype: Any) -> None:
    info = np.iinfo(dtype)
    samples, _ = load_audio((np.array([info.min, 0, info.max], dtype), RATE))
    np.testing.assert_allclose(samples[0], [-1, 0, 1], atol=1e-2)


@pytest.mark.parametrize(
    "payload",
    [
        (np.zeros((8, 2)), RATE),
        (np.zeros(0), RATE),
        (np.zeros(4), 0),
        (np.zeros((1, 2, 4)), RATE),
        (np.array([0.0, np.nan]), RATE),
        (np.zeros(4, np.uint8), RATE),
        (np.zeros(4),),
        3,
        None,
    ],
    ids=["transposed", "empty", "no rate", "3-d", "nan", "unsigned", "no pair", "number", "none"],
)
def test_sound_of_another_form_is_refused(payload: Any) -> None:
    with pytest.raises(MediaError, match="Audio"):
        load_audio(payload)


@pytest.mark.parametrize("content", [b"", b"no sound at all" * 20])
def test_what_is_no_sound_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(MediaError, match=r"bad\.wav"):
        load_audio(tmp_path / "bad.wav")
    with pytest.raises(MediaError, match=r"gone\.wav.*does not exist"):
        load_audio(tmp_path / "gone.wav")


def test_a_sound_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(MediaError, match="holds no samples"):
        load_audio(tmp_path / "empty.wav")


def test_sound_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tone(2.0), RATE)
    film = video(tmp_path / "long.mp4", sound=True)
    monkeypatch.setattr("gtimm.core.media.audio.MAX_SECONDS", 0.5)
    for path in (tmp_path / "long.wav", film):
        with pytest.raises(MediaError, match="longer than"):
            load_audio(path)


def test_the_sound_track_of_a_video_is_read(tmp_path: Path) -> None:
    path = video(tmp_path / "film.mp4", sound=True)
    for payload in (path, path.read_bytes()):
        samples, rate = load_audio(payload)
        assert rate == RATE
        assert samples.shape[0] == 1
        assert samples.shape[1] == pytest.approx(RATE, rel=0.15)
        spectrum = np.abs(np.fft.rfft(samples[0, 2000:14000]))
        assert spectrum.argmax() * RATE / 12000 == pytest.approx(440, abs=3)


def test_a_video_without_sound_track_says_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"silent\.mp4.*no sound track"):
        load_audio(video(tmp_path / "silent.mp4", sound=False))


def test_text_is_a_string() -> None:
    assert load_text("hello") == "hello"
    with pytest.raises(MediaError, match="must be a string"):
        load_text(b"hello")


def test_equal_content_has_one_key_and_other_content_another(tmp_path: Path) -> None:
    for name, content in (("a", b"same"), ("b", b"same"), ("c", b"else")):
        (tmp_path / name).write_bytes(content)
    assert payload_key("image", tmp_path / "a") == payload_key("image", str(tmp_path / "b"))
    assert payload_key("image", tmp_path / "a") != payload_key("image", tmp_path / "c")
    assert payload_key("image", tmp_path / "a") != payload_key("audio", tmp_path / "a")
    assert payload_key("text", "a") == payload_key("text", "a") != payload_key("text", "b")
    assert len(payload_key("text", "lone \ud800 surrogate")) == 16
    with pytest.raises(MediaError, match="cannot be read"):
        payload_key("image", tmp_path / "gone")


def test_a_file_that_changed_has_another_key(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = payload_key("image", path)
    path.write_bytes(b"twice")
    assert payload_key("image", path) != before


def test_arrays_are_known_by_shape_type_and_content() -> None:
    base = np.arange(6, dtype=np.float32)
    keys = [payload_key("vector", a) for a in (base, base.reshape(2, 3), base.astype(np.float64), base + 1)]
    keys += [payload_key("audio", (base, 8000)), payload_key("audio", (base, 16000))]
    assert len(set(keys)) == 6
    assert payload_key("vector", base[::-1][::-1]) == keys[0]


def test_pictures_of_one_index_and_two_palettes_have_two_keys() -> None:
    one, two = Image.new("P", (2, 2), 0), Image.new("P", (2, 2), 0)
    one.putpalette([255, 0, 0])
    two.putpalette([0, 255, 0])
    assert payload_key("image", one) != payload_key("image", two)
    assert payload_key("image", one) == payload_key("image", one.copy())


def test_text_that_looks_like_a_path_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content")
    path = str(tmp_path / "a.txt")
    assert load_text(path) == path
    before = payload_key("text", path)
    (tmp_path / "a.txt").unlink()
    assert payload_key("text", path) == before
    with pytest.raises(MediaError, match="must be a string"):
        payload_key("text", Path(path))


@pytest.mark.parametrize("payload", [object(), [object()], [[1.0], [1.0, 2.0]], None, {"a": 1}])
def test_what_has_no_content_of_its_own_has_no_key(payload: Any) -> None:
    for kind in ("audio", "video", "vector"):
        with pytest.raises(MediaError, match="must be a path"):
            payload_key(kind, payload)


def test_vectors_in_lists_tuples_and_arrays_have_one_key() -> None:
    keys = {payload_key("vector", v) for v in ([1.0, 2.0, 3.0], (1.0, 2.0, 3.0), np.array([1.0, 2.0, 3.0]))}
    assert len(keys) == 1


def test_descriptions_are_short() -> None:
    assert describe("a.png") == "'a.png'"
    assert describe(b"\xff" * 9999) == "9999 bytes"
    assert len(describe("word " * 1000)) < 300
    assert "(5000 characters)" in describe("word " * 1000)
    assert describe(Path("/" + "x" * 300 + "/end.png")).endswith("end.png' (309 characters)")
    assert "\n" not in describe("two\nlines")
