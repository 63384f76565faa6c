"""`make audit`: a list of packages always, what is vulnerable where that can be asked, and a plain word where it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[1] / ".ci" / "audit.py"
SAFE = {"name": "numpy", "version": "2.0", "vulns": []}
HARMED = {"name": "pillow", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.0"]}]}
UNKNOWN = {"name": "torch", "skip_reason": "not found"}


def tool(path: Path, flag: str, content: Any) -> None:
    """A program that writes JSON to the file that its flag names."""
    code = f"import sys; open(sys.argv[sys.argv.index({flag!r}) + 1], 'w').write({json.dumps(content)!r})"
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SAFE, UNKNOWN], 0, "1 of 2 packages audited, 0 known vulnerabilities"),
        ([SAFE, HARMED], 1, "pillow 1.0: CVE-1, mended in 2.0"),
        ([UNKNOWN], 0, "NOTHING WAS AUDITED"),
    ],
)
def test_what_was_audited_is_said(packages: list[dict[str, Any]], code: int, said: str, tmp_path: Path) -> None:
    tool(tmp_path / "cyclonedx-py", "--output-file", {"components": [{"name": "a"}, {"name": "b"}]})
    tool(tmp_path / "pip-audit", "--output", {"dependencies": packages})
    call = [sys.executable, str(AUDIT), str(tmp_path), sys.executable, str(tmp_path / "out")]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout
    assert (tmp_path / "out" / "sbom.json").is_file()
