"""How models are kept: half precision on disk, loaded in full unless told otherwise."""

import copy
from pathlib import Path

import torch
from transformers import PreTrainedModel


def save_half(model: PreTrainedModel, folder: Path) -> None:
    """Write the model's weights in half precision, and a config that says float32.

    Transformers loads in the precision of the config, diffusers in float32: they agree.
    """
    half = copy.deepcopy(model).half()
    half.save_pretrained(folder)
    half.config.dtype = torch.float32
    half.config.save_pretrained(folder)
