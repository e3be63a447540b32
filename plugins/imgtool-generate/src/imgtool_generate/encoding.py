"""The text encoder of a model by itself, for plugins that make prompt embeddings.

The component `diffusers` of the kind `text-encoder` is `load_text_encoder(runtime, ref)`. Rows say
in `prompt_embeds_of` which encoder made their embeddings; drawing refuses those of another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, loading
from imgtool_generate.loading import load_pipeline, model_index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from imgtool.api import Runtime

CLIP = "CLIPTextModel"
SAMPLES, SAMPLE_BYTES = 64, 4096


@dataclass
class TextEncoder:
    """CLIP's text tower as Stable Diffusion uses it, loaded.

    Attributes
    ----------
    mark : tells one text encoder from another.
    """

    net: Any
    tokenizer: Any
    mark: str

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text, without marks, however many."""
        found: list[int] = self.tokenizer(
            text, add_special_tokens=False, truncation=False, verbose=False
        ).input_ids
        return found

    def padded(self, ids: Sequence[int]) -> list[int]:
        """The tokens between marks, cut or padded to what the model reads."""
        length = int(self.tokenizer.model_max_length)
        kept = list(ids[: length - 2])
        whole = [self.tokenizer.bos_token_id, *kept, self.tokenizer.eos_token_id]
        return whole + [self.tokenizer.pad_token_id] * (length - len(whole))

    def encode(self, ids: Sequence[int], mask: Sequence[int] | None = None) -> Tensor:
        """[T, D] float32, on the CPU, of padded tokens; nothing looks at those with 0 in `mask`."""
        import torch

        device = self.net.device
        given = None if mask is None else torch.tensor([list(mask)], device=device)
        with torch.inference_mode():
            found = self.net(torch.tensor([list(ids)], device=device), attention_mask=given)
        # A tensor of inference mode would refuse what callers do with it.
        return found.last_hidden_state[0].float().cpu().clone()


def load_text_encoder(runtime: Runtime, ref: str) -> TextEncoder:
    """The text encoder of the model that `ref` names, shared with every stage that uses it.

    Raises
    ------
    ModelUnusable, NeedsConsent : it is not here, or is not one CLIP text tower alone.
    """
    model = runtime.model(ref, "text-to-image")
    if model.base or model.kind == "single-file":
        pipe = load_pipeline(ref, (), "none", runtime)
        _check(ref, {name: type(part).__name__ for name, part in pipe.components.items() if part})
        return TextEncoder(pipe.text_encoder, pipe.tokenizer, text_encoder_mark(ref, runtime))
    index = model_index(model.path)
    _check(ref, {name: part[1] for name, part in index.items() if type(part) is list and part[1]})
    key = ("text-encoder", model.digest, str(runtime.torch_device), str(runtime.torch_dtype))

    def load() -> TextEncoder:
        with loading(ref, "transformers", "diffusers"):
            from transformers import AutoTokenizer
            from transformers.models.clip.modeling_clip import CLIPTextModel

            tokenizer = AutoTokenizer.from_pretrained(
                model.path / "tokenizer", local_files_only=True, trust_remote_code=False
            )
            net = CLIPTextModel.from_pretrained(
                model.path / "text_encoder", dtype=runtime.torch_dtype, use_safetensors=True,
                local_files_only=True,
            )  # fmt: skip
        return TextEncoder(
            net.to(runtime.torch_device).eval(), tokenizer, text_encoder_mark(ref, runtime)
        )

    return runtime.load_once(key, load)


def text_encoder_mark(ref: str, runtime: Runtime) -> str:
    """16 hex digits: equal for models of one text encoder, whatever they are computed in.

    Of a folder, the configuration and a sample of the weights' bytes count; of a single file or a
    LoRA, the whole model.
    """
    model = runtime.model(ref, "text-to-image")
    folder = model.path / "text_encoder"
    if model.base or not folder.is_dir():
        return hashlib.blake2b(model.digest.encode(), digest_size=8).hexdigest()
    total = hashlib.blake2b(digest_size=8)
    for file in sorted(folder.iterdir()):
        if file.suffix == ".json":
            total.update(file.read_bytes())
        elif file.suffix == ".safetensors":
            total.update(_sample(file))
    return total.hexdigest()


def _sample(file: Path) -> bytes:
    size = file.stat().st_size
    parts = [str(size).encode()]
    with file.open("rb") as data:
        for number in range(SAMPLES):
            data.seek(size * number // SAMPLES)
            parts.append(data.read(SAMPLE_BYTES))
    return b"".join(parts)


def _check(ref: str, classes: Mapping[str, str]) -> None:
    if classes.get("text_encoder") != CLIP or "text_encoder_2" in classes:
        raise ModelUnusable(
            f"{ref!r} does not read prompts by one CLIP text encoder alone",
            "Name a Stable Diffusion 1.x or 2.x model, or tabletop",
        )
