"""One virtual environment for each contender's packages; made once, under build/peers/."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """What to install, and which packages' versions to note; without requirements it is the interpreter that runs this."""

    requirements: tuple[str, ...]
    noted: tuple[str, ...]


def places() -> dict[str, Place]:
    """Return the environments; torch is the same version in all, so that none is faster for that."""
    return {
        "gtimm": Place((), ("gtimm", "torch", "diffusers", "transformers")),
        "scikit-learn": Place(("scikit-learn==1.9.1", "pandas"), ("scikit-learn", "numpy")),
        "imml": Place(
            ("imml[deep]==0.6.0", f"torch=={version('torch').partition('+')[0]}"),
            ("imml", "torch", "lightning", "torch_geometric", "scikit-learn"),
        ),
    }


class NotInstalledError(Exception):
    """An environment cannot be made; says why."""


def python(name: str, build: Path) -> Path:
    """Return the interpreter of an environment, which is made when it is not there.

    Raises:
        NotInstalledError: pip failed; with the end of what it said.
    """
    place = places()[name]
    if not place.requirements:
        return Path(sys.executable)
    folder = build / f"venv-{name}"
    stamp, wanted = folder / "installed", hashlib.sha256(json.dumps(place.requirements).encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"Installing {', '.join(place.requirements)} into {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *place.requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = "\n  ".join(line for line in done.stderr.splitlines() if line.startswith("ERROR")) or done.stderr[-500:]
            raise NotInstalledError(f"{', '.join(place.requirements)} cannot be installed into {folder}:\n  {said}")
        stamp.write_text(wanted, encoding="utf-8")
    return folder / "bin" / "python"


def versions(name: str, build: Path) -> dict[str, str]:
    """Return the versions of an environment's noted packages, and its Python's."""
    code = (
        "import json, platform, sys; from importlib.metadata import version; "
        "print(json.dumps({'python': platform.python_version(), **{n: version(n) for n in sys.argv[1:]}}))"
    )
    command = [str(python(name, build)), "-c", code, *places()[name].noted]
    found: dict[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found
