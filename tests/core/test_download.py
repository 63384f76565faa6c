"""Downloads on loopback: whole, resumed, interrupted, refused."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gtimm.core.download import Remote, download
from gtimm.core.errors import ConfigError, WeightsError

CONTENT = bytes(range(256)) * 5000


class Handler(BaseHTTPRequestHandler):
    cut = 0
    asked: list[str | None] = []  # noqa: RUF012 - shared by all requests of a test

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : type(self).cut or None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def remotes() -> Iterator[dict[str, Remote]]:
    Handler.cut, Handler.asked = 0, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"toy": Remote("toy.pth", f"http://127.0.0.1:{server.server_port}/toy.pth", len(CONTENT), "CC0-1.0")}
    server.shutdown()
    server.server_close()


def test_a_file_arrives_whole_with_its_digest(remotes: dict[str, Remote], home: Path) -> None:
    path = download("toy", remotes)
    assert path == home / "weights" / "toy.pth"
    assert path.read_bytes() == CONTENT
    assert (home / "weights" / "toy.pth.sha256").read_text() == f"{hashlib.sha256(CONTENT).hexdigest()}  toy.pth\n"
    assert download("toy", remotes) == path
    assert len(Handler.asked) == 1


def test_an_interrupted_download_goes_on_where_it_stopped(remotes: dict[str, Remote], home: Path) -> None:
    Handler.cut = 300_000
    with pytest.raises(WeightsError, match="run the command again"):
        download("toy", remotes)
    assert not (home / "weights" / "toy.pth").exists()
    Handler.cut = 0
    assert download("toy", remotes).read_bytes() == CONTENT
    assert Handler.asked[-1] == "bytes=300000-"
    assert not list((home / "weights").glob("*.part"))


def test_a_part_that_is_complete_is_taken(remotes: dict[str, Remote], home: Path) -> None:
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "toy.pth.part").write_bytes(CONTENT)
    assert download("toy", remotes).read_bytes() == CONTENT


def test_an_unreachable_server_is_named(remotes: dict[str, Remote]) -> None:
    broken = {"toy": Remote("toy.pth", "http://127.0.0.1:9/toy.pth", 1, "CC0-1.0")}
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9"):
        download("toy", broken)
    with pytest.raises(ConfigError, match="Did you mean 'toy'"):
        download("toi", remotes)
