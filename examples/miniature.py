"""Miniatures in the exact form of the real things, for examples and tests: CrisisMMD v2, UPMC Food-101, UCF101, and an open_clip model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

LABELS = {
    "affected_individuals": "families wait for food and water",
    "infrastructure_and_utility_damage": "the bridge and the road are gone",
    "injured_or_dead_people": "many people hurt, hospital is full",
    "missing_or_found_people": "have you seen her? please share",
    "rescue_volunteering_or_donation_effort": "volunteers bring boats, donate here",
    "vehicle_damage": "cars under a fallen tree",
    "not_humanitarian": "watching the game tonight",
    "other_relevant_information": "the storm turns north, says the forecast",
}
VAGUE = "so sad about this, pray for all of them"
EVENTS = ("hurricane_maria", "california_wildfires", "mexico_earthquake")
ODDITIES = (
    '"',
    ' said "stay inside',
    " 🌀",
    " l’été à Niños",
    " &amp; more…",
    " 'quoted' \"twice\"",
    "\u2028next",
    " 100% #RT @you",
)
DISHES = ("apple_pie", "baby_back_ribs", "caesar_salad", "fish_and_chips", "french_fries", "hot_dog", "ice_cream", "sushi")
ACTIONS = ("ApplyEyeMakeup", "BandMarching", "Bowling", "HandstandPushups", "PlayingFlute", "Typing")
PAGES = (
    "{} recipe | Kitchen",
    "Easy {}, step by step",
    'How to make "{}"',
    "Grandma’s {}s",
    "What we ate in Paris",
    "Dinner, again",
)
COLUMNS = (
    "event_name", "tweet_id", "image_id", "tweet_text", "image", "label", "label_text", "label_image", "label_text_image",
)  # fmt: skip
CLIP: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]  # CLIP's


def write_crisismmd(root: Path, per_class: dict[str, int] | None = None, seed: int = 0) -> Path:
    """Write a data set with the folders, files, columns and labels of CrisisMMD v2; every picture is a JPEG file.

    Args:
        root: the folder to fill.
        per_class: rows a label in `train`, `dev` and `test`; by default 40, 10 and 20.
        seed: of colours, words and events.
    """
    random = np.random.default_rng(seed)
    folder = root / "crisismmd_datasplit_all"
    folder.mkdir(parents=True)
    number = 0
    for split, count in (per_class or {"train": 40, "dev": 10, "test": 20}).items():
        lines = ["\t".join(COLUMNS)]
        for place in random.permutation(count * len(LABELS)).tolist():
            label, number = list(LABELS)[place % len(LABELS)], number + 1
            tweet = str(905_000_000_000_000_000 + 7 * number)  # more digits than a float holds
            event = EVENTS[int(random.integers(len(EVENTS)))]
            picture = f"data_image/{event}/{10 + number % 20}_9_2017/{tweet}_0.jpg"
            _write_picture(root / picture, place % len(LABELS), random)
            text = _tweet(label, random) + ODDITIES[number % len(ODDITIES)]
            lines.append("\t".join((event, tweet, f"{tweet}_0", text, picture, label, label, label, "Positive")))
        path = folder / f"task_humanitarian_text_img_{split}.tsv"
        path.write_bytes(("\n".join(lines) + "\n").encode())
    return root


def write_food101(root: Path, per_class: dict[str, int] | None = None, header: bool = False, seed: int = 0) -> Path:
    """Write a data set with the folders, files and columns of UPMC Food-101, of 8 dishes; every picture is a JPEG file.

    Args:
        root: the folder to fill.
        per_class: rows a dish in `train` and `test`; by default 40 and 20.
        header: whether the titles have a first line of column names.
        seed: of colours and titles.
    """
    random = np.random.default_rng(seed)
    (root / "texts").mkdir(parents=True)
    for split, count in (per_class or {"train": 40, "test": 20}).items():
        with (root / "texts" / f"{split}_titles.csv").open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            if header:
                lines.writerow(("image_name", "title", "class_label"))
            for index, dish in enumerate(DISHES):
                for number in range(count):
                    picture = f"{dish}_{number}.jpg"
                    _write_picture(root / "images" / split / dish / picture, index, random)
                    page = PAGES[int(random.integers(len(PAGES)))]
                    lines.writerow((picture, page.format(dish.replace("_", " ").title()), dish))
    return root


def write_ucf101(root: Path, groups: dict[str, int] | None = None, clips: int = 2, seconds: float = 0.8, seed: int = 0) -> Path:
    """Write a data set with the folders, files and lists of UCF101, of 6 actions with sound and a silent one; films are MPEG-4 and MP3.

    Args:
        root: the folder to fill.
        groups: groups of clips an action in `train` and `test`; by default 8 and 3. Test has the first, as in the lists.
        clips: films a group.
        seconds: of a film.
        seed: of pictures and sounds.
    """
    random = np.random.default_rng(seed)
    (root / "ucfTrainTestlist").mkdir(parents=True)
    counts = groups or {"train": 8, "test": 3}
    actions = sorted((*ACTIONS, "Basketball"))
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number, action in enumerate(actions, 1):
        for group in range(1, sum(counts.values()) + 1):
            part = "test" if group <= counts["test"] else "train"
            for clip in range(1, clips + 1):
                name = (
                    f"v_{action.replace('dst', 'dSt')}_g{group:02d}_c{clip:02d}.avi"  # v_HandStandPushups, as in the real thing
                )
                (root / "UCF-101" / action).mkdir(parents=True, exist_ok=True)
                _write_film(root / "UCF-101" / action / name, number - 1, seconds, action in ACTIONS, random)
                lines[part].append(f"{action}/{name}" + (f" {number}" if part == "train" else ""))
    named = [f"{number} {action}" for number, action in enumerate(actions, 1)]
    for stem, rows in (("classInd", named), ("trainlist01", lines["train"]), ("testlist01", lines["test"])):
        (root / "ucfTrainTestlist" / f"{stem}.txt").write_bytes("".join(f"{row}\r\n" for row in rows).encode())
    return root


def write_clip(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Write an open_clip folder whose weights are random but saved: it stands in for a model, and has learnt nothing.

    Args:
        folder: the folder to fill; `model="local-dir:<folder>"` reads it.
        seed: of the weights.
        changes: what differs from `CLIP`; dictionaries are merged.
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = {**CLIP, **{key: {**CLIP[key], **v} if isinstance(v, dict) else v for key, v in changes.items()}}
    sizes = {key: value for key, value in config.items() if key != "custom_text"}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = (open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP)(**sizes)
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.1)  # biases and scales too: a test must see each of them
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "open_clip_model.safetensors"
    save_file(model.state_dict(), str(path))
    path.chmod(0o644)
    image = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": image}))
    return folder


def _write_picture(path: Path, label: int, random: np.random.Generator) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    colour = np.array([label % 2, label // 2 % 2, label // 4]) * 170 + 40
    pixels = colour + random.normal(0, 60, (48 + 8 * (label % 3), 64, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=85)


def _write_film(path: Path, label: int, seconds: float, sound: bool, random: np.random.Generator) -> None:
    """Write a film of 25 frames a second: a bright bar whose place tells the class, or nothing, and a tone whose pitch does."""
    import av

    rate, shown = 16_000, random.random() < 0.8
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        track = out.add_stream("libmp3lame", rate=rate, layout="mono") if sound else None
        for index in range(round(seconds * 25)):
            pixels = random.normal(30, 20, (48, 64, 3))
            pixels[:, 8 * label : 8 * label + 8] += 190 * shown
            pixels[index % 48] += 20
            out.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8), format="rgb24")))
        if track is not None:
            time = np.arange(round(seconds * rate)) / rate
            wave = 0.3 * np.sin(2 * np.pi * 200 * 1.5**label * time) + random.normal(0, 0.15, len(time))
            part = av.AudioFrame.from_ndarray((wave.clip(-1, 1) * 32767).astype(np.int16)[None], format="s16", layout="mono")
            part.sample_rate = rate
            out.mux(track.encode(av.AudioResampler(format=track.format, layout="mono", rate=rate).resample(part)[0]))
            out.mux(track.encode())
        out.mux(pictures.encode())


def _tweet(label: str, random: np.random.Generator) -> str:
    words = (LABELS[label] if random.random() < 0.6 else VAGUE).split()
    return f"RT @user{int(random.integers(1000))}: " + " ".join(random.permutation(words).tolist())
