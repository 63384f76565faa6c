"""Which packages an environment holds, as a CycloneDX list, and which of them have known vulnerabilities; `make audit` calls it.

`audit.py TOOLS PYTHON FOLDER`: folder of the tools' programs, the environment's interpreter, where `sbom.json` and `audit.json` go.
Ends with 1 where a vulnerability is known, and with 0 where none is, or where no service of advisories can be reached: it says so then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SERVICES = ("pypi", "osv")


def main(tools: Path, python: Path, out: Path) -> int:
    """Write both files and say what they hold; returns the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    bill = out / "sbom.json"
    command = [tools / "cyclonedx-py", "environment", python, "--output-format", "JSON", "--output-file", bill]
    subprocess.run(command, check=True)  # noqa: S603 - our own tools
    count = len(json.loads(bill.read_text(encoding="utf-8"))["components"])
    print(f"{bill}: {count} packages.")
    places = "import site; print(site.getsitepackages()[0])"
    site = subprocess.run([python, "-c", places], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    for service in SERVICES:
        found = _audited(tools, site, out / "audit.json", service)
        if found:
            return _say(found, count, out / "audit.json")
    print(
        f"NOTHING WAS AUDITED: no service of advisories ({', '.join(SERVICES)}) answers from here. Where one can be reached, run "
        f"`make audit` again, or give {bill} to a scanner of CycloneDX files."
    )
    return 0


def _audited(tools: Path, site: str, result: Path, service: str) -> list[dict[str, Any]]:
    """Return the packages that a service of advisories knew; empty where it does not answer."""
    result.unlink(missing_ok=True)
    command = [tools / "pip-audit", "--path", site, "--vulnerability-service", service, "--format", "json", "--output", result]
    try:
        subprocess.run([*command, "--progress-spinner", "off", "--timeout", "15"], check=False, capture_output=True, timeout=600)  # noqa: S603
        packages = json.loads(result.read_text(encoding="utf-8"))["dependencies"]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []
    return [package for package in packages if "skip_reason" not in package]


def _say(found: list[dict[str, Any]], count: int, result: Path) -> int:
    harmed = [(package, one) for package in found for one in package["vulns"]]
    for package, one in harmed:
        mended = ", ".join(one["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}")
    print(f"{result}: {len(found)} of {count} packages audited, {len(harmed)} known vulnerabilities.")
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:])))
