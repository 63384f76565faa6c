"""CLIP (Radford et al., ICML 2021) and its relatives, through open_clip: one embedding space for images and text.

`source` finds a model's files, `preprocess` turns media into tensors with open_clip's own transform and tokenizer, `prompts`
runs the last block from a stored summary, and `backbone` is the plug-in.
"""

from gtimm.backbones.clip.backbone import Clip

__all__ = ["Clip"]
