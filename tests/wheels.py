"""Wheels as users get them: built outside the source tree, and installed where nothing of the tree is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "examples" / "plugin-template"
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__", "_build")
QUIET = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"}


def clean() -> dict[str, str]:
    """Return this process's environment without what would show the source tree to another Python."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH", "VIRTUAL_ENV")} | QUIET


def call(*command: str | Path, cwd: Path | None = None, **env: str) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        env=clean() | env,
        cwd=cwd,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Distributions:
    """What is uploaded."""

    sdist: Path
    wheel: Path


def build(source: Path, folder: Path) -> Distributions:
    """Build the sdist of a project, and from it the wheel, as `python -m build` does; setuptools writes into the source, so in a copy."""
    copy = folder / "source"
    shutil.copytree(source, copy, ignore=LEFT_OUT)
    for hidden in (".ci", ".gitignore"):
        if (source / hidden).is_dir():
            shutil.copytree(source / hidden, copy / hidden)
        elif (source / hidden).is_file():
            shutil.copy(source / hidden, copy / hidden)
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", copy)
    return found(folder / "dist")


def found(folder: Path) -> Distributions:
    """Return the sdist and the wheel in a folder, which holds one of each."""
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Distributions(sdist, wheel)


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds wheels, and sees the dependencies of this one; editable installs are not among them."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *wheels: Path) -> Environment:
        """Create it in a new folder."""
        call(sys.executable, "-m", "venv", "--without-pip", folder)
        made = cls(folder)
        call(sys.executable, "-m", "pip", "--python", made.python, "install", "--quiet", "--no-deps", *wheels)
        # Afterwards, or pip would find here what is installed there.
        (made.packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
        return made

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where its wheels are installed."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def run(self, *arguments: str | Path, cwd: Path, **env: str) -> str:
        """Run one of its programs, by name, and return what it prints."""
        return call(self.folder / "bin" / str(arguments[0]), *arguments[1:], cwd=cwd, **env)
