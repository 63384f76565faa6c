"""espeak-ng in a process of its own: every sound is spoken from the same state, whatever was said before.

espeak-ng keeps state from call to call (the breath and flutter of a voice go on), so the same words sound a little different the
second time. Here a small process loads the library once and forks for each sound; the fork speaks and ends. Where there
is no fork, the process ends after each sound and a new one is started. Run as a script, this file is that process; it then
imports the standard library and `espeakng_loader` alone.

espeak-ng is GPL-3.0: it is an optional dependency, and loaded nowhere but in that process.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from typing import IO, Any

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS of espeak-ng's speak_lib.h: no thread, which a fork would lose
_RATE, _PITCH = 1, 3  # espeakRATE, espeakPITCH
_UTF8 = 1  # espeakCHARS_UTF8
_HEADER = struct.Struct("<qq")  # rate in Hz or minus one, bytes that follow: samples (int16), or a message (UTF-8)


class EspeakError(Exception):
    """What espeak-ng could not do."""


class Espeak:
    """The other end: starts the process when it is first needed, and asks it for sounds. Not for several threads at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def speak(self, text: str, voice: str, rate: int, pitch: int) -> tuple[bytes, int]:
        """Say a text; the same arguments give the same samples.

        Args:
            text: what to say.
            voice: an accent, perhaps with a variant, such as `"en-us+f3"`.
            rate: words a minute, 80 to 450.
            pitch: 0 (low) to 100 (high), relative to the voice.

        Returns:
            Samples as bytes, mono int16 of this machine's byte order, and their rate in Hz.

        Raises:
            EspeakError: an unknown voice, no sound, or a process that ended.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - this very file
                [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([text, voice, rate, pitch]).encode() + b"\n")
            self._process.stdin.flush()
            header = self._process.stdout.read(_HEADER.size)
        except OSError:
            header = b""
        if len(header) < _HEADER.size:
            self.close()
            raise EspeakError(f"espeak-ng ended while it was to say {text!r} with voice {voice!r}")
        sample_rate, size = _HEADER.unpack(header)
        content = self._process.stdout.read(size)
        if not hasattr(os, "fork"):
            self.close()
        if sample_rate < 0:
            raise EspeakError(content.decode())
        return content, sample_rate

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None and process.stdout is not None:
            process.stdout.close()
            process.stdin.close()
            process.wait()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.close()


class _Library:
    """The shared library, loaded and started, with one voice set, so that the list of voices is read."""

    def __init__(self) -> None:
        import espeakng_loader

        self._variants = os.path.join(espeakng_loader.get_data_path(), "voices", "!v")
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0))
        if self.rate <= 0:
            raise EspeakError(f"espeak-ng did not start (code {self.rate}); re-install espeakng-loader")
        self._chunks: list[bytes] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = kind(self._collect)  # kept, or it is freed under the library's feet
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_SetVoiceByName(b"en-us")

    def _collect(self, wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            self._chunks.append(ctypes.string_at(wave, 2 * count))
        return 0

    def speak(self, text: str, voice: str, rate: int, pitch: int) -> bytes:
        library = self._library
        variant = voice.partition("+")[2]  # espeak-ng would ignore one that it does not have
        known = not variant or os.path.isfile(os.path.join(self._variants, variant))
        if not known or library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"espeak-ng has no voice {voice!r}; 'en-us+f3' is one (accent, '+', variant)")
        library.espeak_SetParameter(_RATE, rate, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # it would start from the clock
        data = text.encode()
        library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        if not self._chunks:
            raise EspeakError(f"espeak-ng gave no sound for {text!r} with voice {voice!r}")
        return b"".join(self._chunks)


def _answer(library: _Library, request: list[Any], out: IO[bytes]) -> None:
    try:
        content = library.speak(*request)
        header = _HEADER.pack(library.rate, len(content))
    except Exception as error:
        content = str(error).encode()
        header = _HEADER.pack(-1, len(content))
    out.write(header + content)
    out.flush()


def _serve() -> None:
    library = _Library()
    out = sys.stdout.buffer
    for line in iter(sys.stdin.buffer.readline, b""):
        if not hasattr(os, "fork"):
            _answer(library, json.loads(line), out)
            return
        child = os.fork()
        if child == 0:
            _answer(library, json.loads(line), out)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
            return


if __name__ == "__main__":
    _serve()
