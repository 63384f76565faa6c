"""`gtimm run`: a configuration of one's own, or what a run folder's `config.yaml` says was run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gtimm.cli.engine import configured_engine
from gtimm.cli.options import Machine
from gtimm.cli.tables import print_results, progress_line

Say = Callable[[str], None]


def run_file(config: Path, out: Path, machine: Machine) -> None:
    """Run a YAML file into a run folder and print what came out.

    Raises:
        ConfigError: an unknown experiment, or a field that it does not have.
    """
    from gtimm.core.config import read_yaml
    from gtimm.core.errors import ConfigError, did_you_mean

    plain = read_yaml(config)
    if "compare" in plain:
        from gtimm.cli.compare import compare_command

        compare_command(str(config), out, {}, machine)
        return
    kind = plain.pop("experiment", None)
    if kind is not None and kind not in _AGAIN:
        raise ConfigError(
            f"experiment: {kind!r} is not known.{did_you_mean(str(kind), _AGAIN)} Known: {', '.join(_AGAIN)}; leave the field out "
            "for a run of your own."
        )
    with progress_line("run", out) as say:
        if kind is None:
            from gtimm.experiments.run import run_config

            results = run_config(config, out, say=say, **machine.options(configured_engine(config)))
        else:
            results = _AGAIN[kind](plain, config.resolve().parent, out, machine, say)
    _PRINT.get(kind or "", print_results)(results, out)


def _only(kind: str, plain: Mapping[str, Any], fields: tuple[str, ...]) -> None:
    from gtimm.core.errors import ConfigError, did_you_mean

    if unknown := sorted(set(plain) - set(fields)):
        raise ConfigError(
            f"The experiment {kind!r} has no field {unknown[0]!r}.{did_you_mean(unknown[0], fields)} Fields: {', '.join(fields)}."
        )


def _demo(plain: dict[str, Any], folder: Path, out: Path, machine: Machine, say: Say) -> dict[str, Any]:
    from gtimm.experiments.demo import run_demo

    _only("demo", plain, ("missing", "seeds", "speech", "engine"))
    place = machine.options(plain.pop("engine", None))
    place.pop("generate", None)  # it takes seconds
    return run_demo(out, say=say, **plain, **place)


def _reproduce(plain: dict[str, Any], folder: Path, out: Path, machine: Machine, say: Say) -> dict[str, Any]:
    from gtimm.core.errors import ConfigError
    from gtimm.experiments.reproduction.reproduce import run_reproduce

    _only("reproduce", plain, ("exhibits", "preset", "root", "choices", "engine"))
    if not isinstance(exhibits := plain.get("exhibits"), list) or "preset" not in plain:
        raise ConfigError(f"The experiment 'reproduce' needs exhibits, a list such as [table3], and preset; found {plain!r}.")
    root = str(folder / Path(plain["root"]).expanduser()) if "root" in plain else None
    place = machine.options(plain.get("engine"))
    return run_reproduce(exhibits, plain["preset"], out, root=root, choices=plain.get("choices"), say=say, **place)


def _sweep(plain: dict[str, Any], folder: Path, out: Path, machine: Machine, say: Say) -> dict[str, Any]:
    from gtimm.core.errors import ConfigError
    from gtimm.experiments.sweeps.sweep import run_sweep

    sweep = plain.pop("sweep", None)
    if not isinstance(sweep, dict) or "name" not in sweep:
        raise ConfigError(f"The experiment 'sweep' needs sweep: {{name: quantity}}, perhaps with values; found {sweep!r}.")
    _only("sweep", sweep, ("name", "values", "methods", "rate", "target"))
    place = machine.options((plain.get("pipeline") or {}).get("engine"))
    return run_sweep(sweep.pop("name"), plain, out, say=say, **sweep, **place)


_AGAIN: Mapping[str, Callable[[dict[str, Any], Path, Path, Machine, Say], dict[str, Any]]] = {
    "demo": _demo,
    "reproduce": _reproduce,
    "sweep": _sweep,
}


def _print_reproduced(results: dict[str, Any], out: Path) -> None:
    from gtimm.cli.reproduce import print_reproduced

    print_reproduced(results, out)


def _print_sweeps(results: dict[str, Any], out: Path) -> None:
    from gtimm.cli.sweep import print_sweeps

    print_sweeps(results, out)


_PRINT: Mapping[str, Callable[[dict[str, Any], Path], None]] = {"reproduce": _print_reproduced, "sweep": _print_sweeps}
