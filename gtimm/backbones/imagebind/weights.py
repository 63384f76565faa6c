"""Reading a checkpoint into the branches that are asked for."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gtimm.backbones.imagebind.config import BRANCH_OF, ImageBindConfig, Kind
from gtimm.backbones.imagebind.model import ImageBindModel
from gtimm.core.errors import WeightsError

_PARTS = ("modality_preprocessors", "modality_trunks", "modality_heads", "modality_postprocessors")


def load_model(weights: Path, config: ImageBindConfig, kinds: Sequence[Kind]) -> ImageBindModel:
    """Builds the branches for `kinds` and fills them from a `.pth` or `.safetensors` file; float32, evaluation mode.

    The model is built without memory of its own and takes the file's tensors, so loading needs the model's size once.
    Other branches of the file are neither read (safetensors) nor kept.

    Raises:
        WeightsError: the file cannot be read, or its tensors are not those of the config; the message names them.
    """
    with torch.device("meta"):
        model = ImageBindModel(config, kinds)
    branches = {BRANCH_OF[kind] for kind in kinds}
    found = _read(weights, tuple(f"{part}.{branch}." for part in _PARTS for branch in branches))
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    _check(weights, expected, {key: tuple(value.shape) for key, value in found.items()})
    model.load_state_dict({key: value.float() for key, value in found.items()}, assign=True)
    return model.requires_grad_(False).eval()


def _read(path: Path, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"ImageBind weights {path} do not exist")
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefixes)}  # noqa: SIM118
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise WeightsError(f"cannot read ImageBind weights {path}: {error}") from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"ImageBind weights {path} hold {type(loaded).__name__}, expected a state dict")
    return {key: value for key, value in loaded.items() if key.startswith(prefixes)}


def _check(path: Path, expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> None:
    problems = [f"missing {key} {expected[key]}" for key in expected if key not in found]
    problems += [f"not in the config: {key} {found[key]}" for key in found if key not in expected]
    problems += [
        f"{key} is {found[key]}, the config says {shape}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    if problems:
        shown = "\n  ".join(problems[:6])
        more = f"\n  and {len(problems) - 6} more" if len(problems) > 6 else ""
        raise WeightsError(f"ImageBind weights {path} do not fit their config:\n  {shown}{more}")
