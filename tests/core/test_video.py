"""A frame found by seeking is the frame that decoding everything shows at that moment; damaged films give a frame or an error."""

from __future__ import annotations

import itertools
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from films import HEIGHT, RATE, WIDTH, all_frames, film, picture, tone
from PIL import Image

from gtimm.core.errors import ConfigError, MediaError
from gtimm.core.media import load_audio, load_frame, load_frames, load_still, payload_key

VARIABLE = [0, 40, 80, 500, 540, 2000, 2040, 2080, 2700, 2740, 5000, 5040, 5080, 5120, 9000, 9040, 9080, 9120, 9160, 9200]
FORMS = {
    "mp4": {"name": "a.mp4"},
    "index in front": {"name": "a.mp4", "options": {"movflags": "faststart"}},
    "fragments": {"name": "a.mp4", "options": {"movflags": "frag_keyframe+empty_moov"}},
    "one key frame": {"name": "a.mp4", "gop": 1000},
    "variable rate": {"name": "a.mp4", "times": VARIABLE, "gop": 4},
    "no sound": {"name": "a.mp4", "sound": False},
    "matroska": {"name": "a.mkv"},
    "transport stream": {"name": "a.ts"},
    "webm": {"name": "a.webm", "codec": "libvpx", "sound_codec": "libopus"},
    "avi": {"name": "a.avi", "codec": "mpeg4", "sound": False},
}


def shown(times: list[float], frames: list[np.ndarray], moment: float) -> np.ndarray:
    return frames[max(i for i, time in enumerate(times) if time <= moment + 1e-6)]


def same(found: Image.Image, expected: np.ndarray) -> bool:
    assert found.mode == "RGB"
    return np.array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_seeking_and_decoding_everything_give_the_same_pixels(tmp_path: Path, form: dict) -> None:
    options = dict(form)
    path = film(tmp_path / options.pop("name"), **options)
    times, frames, duration = all_frames(path)
    assert len(frames) == len(form.get("times", range(100)))
    assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(frames))
    assert same(load_frame(path), shown(times, frames, duration / 2))
    moments = [*times, *np.random.default_rng(0).uniform(0, duration, 10), duration, duration + 5]
    for moment in moments[:: max(1, len(moments) // 30)] + moments[-3:]:
        assert same(load_frame(path, moment), shown(times, frames, moment)), moment
    for count in (1, 3, 40):
        found = load_frames(path, count)
        expected = [shown(times, frames, duration * (i + 0.5) / count) for i in range(count)]
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_the_middle_frame_is_the_one_shown_at_half_the_duration(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    middle = np.asarray(load_frame(path)).astype(int)
    distances = [np.abs(middle - picture(index)).mean() for index in range(100)]
    assert int(np.argmin(distances)) == 50
    assert same(load_frame(path.read_bytes()), np.asarray(load_frame(path)))
    assert same(load_still("video", path), np.asarray(load_frame(path)))


def test_a_still_of_an_image_is_the_image() -> None:
    assert same(load_still("image", picture(3)), picture(3))


def test_only_the_frames_near_the_moment_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gtimm.core.media import ffmpeg

    decoded = []
    decode = ffmpeg.decode
    monkeypatch.setattr(ffmpeg, "decode", lambda *args: (decoded.append(1) or item for item in decode(*args)))
    load_frame(film(tmp_path / "a.mp4", 12.0))
    assert 0 < len(decoded) < 40


@pytest.mark.parametrize(("rotation", "mirrored", "turns"), [(90, False, 1), (-90, False, -1), (180, False, 2), (0, True, 0)])
def test_the_display_matrix_turns_and_mirrors(tmp_path: Path, rotation: float, mirrored: bool, turns: int) -> None:
    path = film(tmp_path / "a.mp4", 1.0, rotation=rotation, mirrored=mirrored)
    upright = all_frames(path)[1][12]
    with av.open(str(path)) as found:
        assert next(found.decode(video=0)).side_data.get("DISPLAYMATRIX") is not None
    expected = np.rot90(upright[:, ::-1] if mirrored else upright, turns)
    found = load_frame(path)
    assert found.size == ((WIDTH, HEIGHT) if turns in (0, 2) else (HEIGHT, WIDTH))
    assert same(found, expected)


def what_decodes(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Times and pixels of the frames of every packet that can be decoded; the last packet takes out what is still held."""
    frames = []
    with av.open(str(path)) as found:
        for packet in found.demux(video=0):
            with suppress(av.error.FFmpegError):
                frames.extend(packet.decode())
    return [frame.time or 0.0 for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


def test_cut_short_with_the_index_in_front_gives_the_middle_of_what_is_left(tmp_path: Path) -> None:
    content = film(tmp_path / "a.mp4", options={"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) * 2 // 5])
    times, frames = what_decodes(cut)
    assert 10 < len(frames) < 50
    assert same(load_frame(cut), shown(times, frames, times[-1] * len(times) / (len(times) - 1) / 2))
    assert len(load_frames(cut, 3)) == 3
    with pytest.raises(MediaError, match=r"cut\.mp4.*cut short"):
        load_audio(cut)
    assert load_audio(cut, 0.0, 0.5)[0].shape == (1, RATE // 2)


def test_a_bare_stream_without_time_stamps_decodes(tmp_path: Path) -> None:
    path = film(tmp_path / "a.h264", 1.0, sound=False)
    _, frames = what_decodes(path)
    assert same(load_frame(path), frames[len(frames) // 2])


@pytest.mark.parametrize("content", [b"", b"\0", b"no film at all" * 50, "cut"], ids=["empty", "byte", "junk", "index lost"])
def test_what_is_no_film_is_named(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(film(tmp_path / "a.mp4").read_bytes()[:5000] if content == "cut" else content)
    for load in (load_frame, load_audio):
        with pytest.raises(MediaError, match=r"bad\.mp4"):
            load(path)


def test_what_has_no_pictures_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(0.5), RATE)
    with pytest.raises(MediaError, match=r"tone\.wav.*no pictures"):
        load_frame(tmp_path / "tone.wav")
    with pytest.raises(MediaError, match=r"gone\.mp4.*does not exist"):
        load_frame(tmp_path / "gone.mp4")
    with pytest.raises(MediaError, match="is not a file"):
        load_frame(tmp_path)
    with pytest.raises(MediaError, match=r"must be a path or bytes; found an array"):
        load_frame(np.zeros((2, 4, 4, 3), np.uint8))


def test_frames_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", 1.0)
    monkeypatch.setattr("gtimm.core.media.image.MAX_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(MediaError, match=r"a\.mp4.*96x64 pixels"):
        load_frame(path)


def test_a_stream_of_endless_packets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4")
    monkeypatch.setattr("gtimm.core.media.ffmpeg.MAX_PACKETS", 20)
    with pytest.raises(MediaError, match=r"a\.mp4.*more than 20 packets"):
        load_audio(path)


def test_a_playlist_reaches_no_other_file(tmp_path: Path) -> None:
    inner = film(tmp_path / "inner.ts", 1.0)
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nfile://{inner}\n#EXT-X-ENDLIST\n")
    for load in (load_frame, load_audio):
        with pytest.raises(MediaError, match=r"list\.m3u8"):
            load(path)
    with pytest.raises(MediaError, match="does not exist"):
        load_frame("http://127.0.0.1:9/a.mp4")


@pytest.mark.parametrize("moment", [-1, float("nan"), float("inf")])
def test_moments_and_counts_that_make_no_sense_are_refused(tmp_path: Path, moment: float) -> None:
    path = film(tmp_path / "a.mp4", 1.0)
    with pytest.raises(ConfigError, match="moment of a frame"):
        load_frame(path, moment)
    with pytest.raises(ConfigError, match="1 or more"):
        load_frames(path, 0)


def test_a_film_is_known_by_its_bytes_and_kind(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 1.0)
    (tmp_path / "b.mov").write_bytes(path.read_bytes())
    (tmp_path / "link.mp4").symlink_to(path)
    keys = [payload_key("video", p) for p in (path, str(path), tmp_path / "b.mov", tmp_path / "link.mp4")]
    assert len(set(keys)) == 1
    assert payload_key("audio", path) not in keys
    assert same(load_frame(tmp_path / "link.mp4"), np.asarray(load_frame(path)))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.m4a", "a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize(("start", "end"), [(None, 1.0), (0.3, 0.9), (2.0, 3.0), (1.5, None), (3.5, 99.0)])
def test_a_part_of_a_sound_is_that_part_of_the_whole(tmp_path: Path, name: str, start: float | None, end: float | None) -> None:
    path = tmp_path / name
    if path.suffix in (".mp4", ".mkv", ".ts", ".m4a"):
        film(tmp_path / ("b.mp4" if path.suffix == ".m4a" else name)).rename(path) if path.suffix == ".m4a" else film(path)
    else:
        soundfile.write(path, tone(4.0), RATE)
    whole, rate = load_audio(path)
    part, part_rate = load_audio(path, start, end)
    expected = whole[:, round((start or 0) * rate) : None if end is None else round(end * rate)]
    assert part_rate == rate == RATE
    assert part.shape == expected.shape
    np.testing.assert_allclose(part, expected, atol=2e-3)


def test_parts_of_arrays_and_parts_that_hold_nothing(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_audio((tone(1.0), RATE), 0.25, 0.5)[0][0], tone(1.0)[4000:8000])
    path = film(tmp_path / "a.mp4", 1.0)
    for payload in (path, (tone(1.0), RATE)):
        with pytest.raises(MediaError, match="holds no samples from 7 s to 8 s"):
            load_audio(payload, 7, 8)
        for bounds in ((2, 1), (-1, 1), (1, 1), (float("nan"), 1)):
            with pytest.raises(ConfigError, match="0 <= start < end"):
                load_audio(payload, *bounds)


def test_the_cover_of_a_sound_file_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as out:
        track = out.add_stream("libmp3lame", rate=RATE, layout="mono")
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        out.mux(cover.encode())
        part = av.AudioFrame.from_ndarray(tone(1.0)[None], format="fltp", layout="mono")
        part.sample_rate, part.pts, part.time_base = RATE, 0, Fraction(1, RATE)
        out.mux(track.encode(part))
        out.mux(track.encode())
    assert load_audio(path)[1] == RATE
    with pytest.raises(MediaError, match=r"song\.mp3.*no pictures"):
        load_frame(path)
