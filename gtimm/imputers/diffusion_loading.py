"""Loading diffusers pipelines: folders are checked first, and what cannot be loaded says how to mend it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gtimm.core.errors import ConfigError, WeightsError, did_you_mean
from gtimm.core.plain import from_json


def load_text_to_image(
    model: str,
    revision: str | None,
    scheduler: str | None,
    dtype: str,
    device: str,
    download: bool = False,
    offload: bool = False,
) -> Any:
    """Load a text-to-image pipeline of any architecture that diffusers knows.

    Args:
        model: a local folder in diffusers format, or a hub id; weights must be safetensors.
        revision: commit of the hub id.
        scheduler: class name of a diffusers scheduler, made from the model's own configuration; `None` takes the model's.
        dtype: of the weights.
        device: such as `"cpu"` or `"cuda"`.
        download: fetch a hub id's files that are not on this machine.
        offload: keep on the device only the part at work.

    Raises:
        WeightsError: no pipeline, a part is missing or damaged, not on this machine, or the hub cannot be reached.
        ConfigError: diffusers has no such scheduler.
    """
    import diffusers

    cls = None
    if scheduler is not None:
        cls = getattr(diffusers, scheduler, None)
        if cls is None or not hasattr(cls, "from_config"):
            raise ConfigError(f"diffusers has no scheduler {scheduler!r}.{did_you_mean(scheduler, _schedulers())}")
    with loading(model, revision, dtype, download) as options:
        pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(model, **options)
    if cls is not None:
        pipeline.scheduler = cls.from_config(pipeline.scheduler.config)
    return placed(pipeline, device, offload)


@contextmanager
def loading(model: str, revision: str | None, dtype: str, download: bool) -> Iterator[dict[str, Any]]:
    """Give the options of `from_pretrained`, after a look at the folder; what goes wrong in the block is a `WeightsError`.

    Args:
        model: a local folder in diffusers format, or a hub id; weights must be safetensors.
        revision: commit of the hub id.
        dtype: of the weights.
        download: fetch a hub id's files that are not on this machine.
    """
    import torch
    from safetensors import SafetensorError

    if Path(model).is_dir():
        check_folder(Path(model))
    quiet_loading()
    try:
        yield {
            "revision": revision,
            "use_safetensors": True,
            "dtype": getattr(torch, dtype),
            "local_files_only": not download,
        }
    except (OSError, ValueError, TypeError, AttributeError, SafetensorError) as error:  # also of damaged configurations
        raise WeightsError(
            f"The pipeline {model!r} cannot be loaded: {error} Give a folder in diffusers format with safetensors weights, "
            "or the id of a hub repository; download=True fetches what is not on this machine (several GB; its licence is on its page)."
        ) from error


def placed(pipeline: Any, device: str, offload: bool) -> Any:
    """Return a pipeline on its device, or with parts that come there when they are at work."""
    pipeline.set_progress_bar_config(disable=True)
    if not offload:
        return pipeline.to(device)
    pipeline.enable_model_cpu_offload(device=device)
    return pipeline


def hub_commit(model: str, latest: bool) -> str | None:
    """Return the commit of a hub id: of the files on this machine, else with `latest` the hub's; `None` where nobody knows.

    Raises:
        WeightsError: the hub was asked and cannot be reached, or has no such repository.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(model, "model_index.json")
        if isinstance(cached, str):
            return Path(cached).parent.name
        return HfApi().model_info(model).sha if latest else None
    except Exception as error:  # whichever library reaches the network has errors of its own
        raise WeightsError(
            f"{model!r} is no folder here, and the hub does not know it or cannot be reached: {error} Give a folder in diffusers "
            "format, or revision= with the commit of a repository whose files are on this machine."
        ) from error


def absent(model: str, revision: str | None) -> str | None:
    """Return what of a pipeline is not on this machine and how to get it, `None` where it is there; nothing is loaded.

    Args:
        model: a local folder, or a hub id.
        revision: commit of the hub id.
    """
    if Path(model).is_dir():
        try:
            check_folder(Path(model))
        except WeightsError as error:
            return str(error)
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(model, "model_index.json", revision=revision), str):
        return None
    return (
        f"The pipeline {model!r} is not in {constants.HF_HUB_CACHE}. download=True fetches it from the Hugging Face hub (several GB; its "
        "licence is on its page), or give model= a folder in diffusers format."
    )


def image_to_image(pipeline: Any) -> Any:
    """Return the pipeline that starts from images, with the same parts.

    Raises:
        ConfigError: diffusers has none for this architecture.
    """
    from diffusers import AutoPipelineForImage2Image

    try:
        other = AutoPipelineForImage2Image.from_pipe(pipeline)
    except ValueError as error:
        raise ConfigError(
            f"diffusers has no image-to-image form of {type(pipeline).__name__}, which init='real' needs. Use another model, or init=None."
        ) from error
    other.set_progress_bar_config(disable=True)
    if offloads(pipeline):
        other.enable_model_cpu_offload(device=pipeline._offload_device)
    return other


def offloads(pipeline: Any) -> bool:
    """Return whether the parts of a pipeline come to the device only when they are at work."""
    return bool(getattr(pipeline, "_all_hooks", None))


def check_call(pipeline: Any, options: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where a pipeline's call does not take one of these options."""
    known = list(inspect.signature(pipeline.__call__).parameters)
    for name in options:
        if name not in known:
            raise ConfigError(
                f"pipeline_options: {type(pipeline).__name__} takes no {name!r}.{did_you_mean(name, known)} It takes {', '.join(known)}."
            )


def quiet_loading() -> None:
    """Turn off the bars that diffusers and transformers draw while they load parts; a load takes its own line elsewhere."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def check_folder(folder: Path) -> None:
    """Raise `WeightsError` unless a folder is a diffusers pipeline whose tokenizers have their files."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise WeightsError(f"{folder} has no model_index.json, so it is not a diffusers pipeline. Give the folder that holds it.")
    try:
        parts = from_json(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{index} is not JSON: {error}.") from error
    if not isinstance(parts, dict):
        raise WeightsError(f"{index} does not name the parts of a pipeline. Download the folder again.")
    for name in parts:
        tokenizer = folder / name
        if not name.startswith("tokenizer") or parts[name] == [None, None]:
            continue
        if not any((tokenizer / file).is_file() for file in ("tokenizer.json", "vocab.json", "spiece.model")):
            raise WeightsError(
                f"{tokenizer} has no tokenizer.json (nor vocab.json or spiece.model): every prompt would be encoded alike. "
                "Download the folder again."
            )


def _schedulers() -> list[str]:
    import diffusers

    return [name for name in dir(diffusers) if name.endswith("Scheduler")]
