"""Prompts as pipelines want them, and a word about those that are too long."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.api import Row
    from imgtool_generate.capability import Capability

log = logging.getLogger("imgtool.generate")
UNLIMITED = 100_000


def prompt_arguments(
    rows: Sequence[Row], negatives: Sequence[str], capability: Capability
) -> dict[str, Any]:
    """Prompt, negative prompt and embeddings for a call; rows agree on which they have.

    Raises
    ------
    BadParams : the rows bring embeddings, which this pipeline cannot take alone.
    """
    arguments: dict[str, Any] = {}
    if rows[0].values.get("prompt_embeds") is not None:
        arguments.update(_embeddings(rows, capability))
    else:
        arguments["prompt"] = [str(row.values.get("prompt") or "") for row in rows]
    if any(negatives) and capability.negative:
        arguments["negative_prompt"] = list(negatives)
    elif any(negatives):
        log.warning("%s takes no negative prompt: it is not used", capability.pipeline)
    if any(negatives) and capability.cfg == "E" and "true_cfg_scale" in capability.defaults:
        log.warning("a negative prompt acts only with --option true_cfg_scale=2 or the like")
    return arguments


def _embeddings(rows: Sequence[Row], capability: Capability) -> dict[str, Any]:
    import numpy as np
    import torch

    known = capability.defaults
    pooled = rows[0].values.get("pooled_prompt_embeds") is not None
    if "prompt_embeds" not in known or pooled != ("pooled_prompt_embeds" in known):
        other = "with pooled_prompt_embeds" if pooled else "alone"
        raise BadParams(
            f"{capability.pipeline} cannot draw from prompt_embeds {other}",
            "Leave that field out: the prompt is then encoded by the model",
        )
    names = ("prompt_embeds", "pooled_prompt_embeds") if pooled else ("prompt_embeds",)
    arguments = {
        name: torch.from_numpy(np.stack([np.asarray(row[name]) for row in rows])) for name in names
    }
    if "prompt_attention_mask" in known:
        arguments["prompt_attention_mask"] = torch.ones(
            arguments["prompt_embeds"].shape[:2], dtype=torch.long
        )
    return arguments


def check_embeds(rows: Sequence[Row], mark: str) -> None:
    """See that embeddings which say who made them are of the text encoder with this mark.

    Raises
    ------
    BadParams : those of a row are of another.
    """
    for row in rows:
        made_by = row.values.get("prompt_embeds_of")
        if made_by and made_by != mark and row.values.get("prompt_embeds") is not None:
            raise BadParams(
                f"row {row.id}: its prompt_embeds were made by another text encoder",
                "Make them with the model that draws: --model of that stage",
            )


def warn_of_long_prompts(pipe: Any, settings: Mapping[str, object], rows: Sequence[Row]) -> None:
    """Say which prompts the model will not read to their end.

    `settings` are what the pipeline is called with, or its defaults: some cut prompts by them.
    """
    limits = [
        (tokenizer, limit)
        for name, tokenizer in pipe.components.items()
        if name.startswith("tokenizer") and tokenizer is not None
        for limit in (_limit(tokenizer, settings),)
        if limit < UNLIMITED
    ]
    if not limits:
        return
    tokenizer, limit = max(limits, key=lambda pair: pair[1])
    for row in rows:
        if row.values.get("prompt_embeds") is not None:
            continue
        prompt = str(row.values.get("prompt") or "")
        # A token is at least one byte, so short prompts need no counting.
        if len(prompt.encode()) + 2 <= limit:
            continue
        count = len(tokenizer(prompt, truncation=False, verbose=False).input_ids)
        if count > limit:
            log.warning(
                "row %s: the prompt has %d tokens, the model reads the first %d",
                row.id, count, limit,
            )  # fmt: skip


def _limit(tokenizer: Any, settings: Mapping[str, object]) -> int:
    own = int(min(getattr(tokenizer, "model_max_length", UNLIMITED), UNLIMITED))
    asked = settings.get("max_sequence_length")
    # Pipelines with a long text encoder cut at their own length, whatever the tokenizer says.
    long = not type(tokenizer).__name__.startswith("CLIP") and isinstance(asked, int)
    return int(str(asked)) if long else own
