"""GRPO by TRL, with the settings that keep hard prompts from losing their plans.

Advantages are not divided by the deviation of a group's rewards: that cancels both the weight of
the length and how easy the prompt is. The loss does not prefer short answers by itself (`dr_grpo`).
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, loading
from imgtool_rewrite.shortcot.plans import question
from imgtool_rewrite.spans import protect
from imgtool_rewrite.training.reward import as_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgtool_rewrite.training.reward import Rewards

log = logging.getLogger("imgtool.train")
SAVED_EVERY = 20
LOGGED = ("step", "reward", "completions/mean_length", "frac_reward_zero_std", "loss")


@dataclass(frozen=True)
class Settings:
    """What TRL is told; see `TrainShortCotParams`."""

    updates: int = 400
    group: int = 8
    batch: int = 2
    rate: float = 1e-6
    beta: float = 0.0
    temperature: float = 1.0
    most_tokens: int = 256
    scale: str = "none"
    seed: int = 1


@dataclass
class Writer:
    """A causal language model with its tokenizer."""

    model: Any
    tokenizer: Any

    def asked(self, text: str, system: str) -> Any:
        """A question in the form that the model was made for, as `rewrite.shortcot` asks it."""
        template = getattr(self.tokenizer, "chat_template", None)
        if not template:
            return f"{system}\n\n{text}\n"
        if "system" not in str(template):
            return [{"role": "user", "content": f"{system}\n\n{text}"}]
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def save(self, folder: Path) -> None:
        """Write a folder that plain transformers loads."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def loaded(folder: Path, name: str) -> Writer:
    """The model of a folder, in full precision.

    Raises
    ------
    ModelUnusable : trl is not installed, or this is no causal language model with a tokenizer.
    """
    if find_spec("trl") is None:
        raise ModelUnusable(
            "training by GRPO needs trl", "pip install 'imgtool-rewrite[train]' brings it"
        )
    import torch

    settings: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with loading(name, "transformers"):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, **settings
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **settings)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Writer(model, tokenizer)


def train(
    writer: Writer, rewards: Rewards, settings: Settings, journal: Path, on_cpu: bool
) -> list[dict[str, float]]:
    """Train `writer` in place; what was logged, a record a step.

    A stopped training goes on from its last checkpoint below `journal`.

    Raises
    ------
    StageFailed : see `Watch`.
    """
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint
    from trl import GRPOConfig, GRPOTrainer

    checkpoints = journal / "checkpoints"
    asked = [
        {"prompt": writer.asked(_question(row, rewards), rewards.asking.system), "at": at}
        for at, row in enumerate(rewards.rows)
    ]

    def worth(completions: Sequence[Any], at: Sequence[int], **_: object) -> list[float | None]:
        return rewards.of(at, as_texts(completions))

    class Telling(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: object) -> None:
            if "reward" in logs:
                told = (f"{name} {float(logs[name]):.4g}" for name in LOGGED if name in logs)
                log.info("step %d: %s", state.global_step, ", ".join(told))

    with warnings.catch_warnings():
        # About settings that TRL itself passes on to transformers.
        warnings.simplefilter("ignore", FutureWarning)
        trainer = GRPOTrainer(
            model=writer.model,
            reward_funcs=worth,
            args=GRPOConfig(**told(settings, str(checkpoints), on_cpu)),
            train_dataset=Dataset.from_list(asked),
            processing_class=writer.tokenizer,
            callbacks=[Telling()],
        )
        trainer.remove_callback(PrinterCallback)  # it writes where results go
        last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
        trainer.train(resume_from_checkpoint=last)
    writer.model = trainer.accelerator.unwrap_model(trainer.model)
    return [
        {name: float(line[name]) for name in LOGGED if name in line}
        for line in trainer.state.log_history
        if "reward" in line
    ]


def told(settings: Settings, folder: str, on_cpu: bool) -> dict[str, Any]:
    """The arguments of `GRPOConfig`."""
    return {
        "output_dir": folder,
        "max_steps": settings.updates,
        "num_generations": settings.group,
        "per_device_train_batch_size": settings.group * settings.batch,
        "learning_rate": settings.rate,
        "lr_scheduler_type": "constant",
        "beta": settings.beta,
        "temperature": settings.temperature,
        "max_completion_length": settings.most_tokens,
        "scale_rewards": settings.scale,
        "loss_type": "dr_grpo",
        "seed": settings.seed,
        "use_cpu": on_cpu,
        "bf16": not on_cpu,
        "save_strategy": "steps",
        "save_steps": SAVED_EVERY,
        "save_total_limit": 1,
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }


def _question(row: Any, rewards: Rewards) -> str:
    return question(protect(str(row["prompt"])), rewards.asking.form)
