"""What the examples of digits train on: the embedded digits, class folders of yours, or a miniature of such folders."""

from __future__ import annotations

import argparse
import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from gtimm import MultimodalDataset, Splits, load_dataset
from gtimm.core.media import load_audio, load_image

ROWS = 400  # of the miniature


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `read` goes by: --root and --miniature."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--root", type=Path, help="folder with image/<class>/<row>.* and audio/<class>/<row>.* (default: embedded digits)"
    )
    place.add_argument("--miniature", action="store_true", help=f"{ROWS} of the digits in such folders, PNG and WAV")


def read(args: argparse.Namespace) -> Splits:
    """Return training, validation and test rows; of folders a tenth validates and three tenths test, each class alike."""
    if args.root:
        return MultimodalDataset.from_folder(args.root).split(val=0.1, test=0.3)
    if not args.miniature:
        return load_dataset(getattr(args, "data", "digits"))
    place = tempfile.mkdtemp(prefix="gtimm-miniature-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)  # rows are read from the files when they are used
    return MultimodalDataset.from_folder(write_digits(Path(place))).split(val=0.1, test=0.3)


def write_digits(root: Path, rows: int = ROWS) -> Path:
    """Write embedded digits as class folders: `image/<class>/<row>.png` and `audio/<class>/<row>.wav`; returns the root."""
    data = load_dataset("digits").train
    assert data.labels is not None
    order = np.argsort(data.labels, kind="stable").reshape(len(data.classes), -1)[:, : rows // len(data.classes)]
    for row in order.ravel().tolist():
        label = data.classes[data.labels[row]]
        for kind, ending in (("image", "png"), ("audio", "wav")):
            path = root / kind / label / f"{row:04d}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "image":
                load_image(data.payload("image", row)).save(path)
            else:
                samples, rate = load_audio(data.payload("audio", row))
                soundfile.write(path, samples[0], rate, subtype="PCM_16")
    return root
