"""The tables of names: pipeline classes against the installed diffusers, scheduler spellings."""

from __future__ import annotations

import inspect

import pytest

from imgtool.api import BadParams
from imgtool_generate.classes import TABLE
from imgtool_generate.samplers import CHOICES, SHORT_NAMES, find
from imgtool_generate.schedule import make_scheduler


def arguments(name: str) -> set[str]:
    """Names of the arguments of a pipeline class, or all of them when its libraries lack."""
    import diffusers

    cls = getattr(diffusers, name)
    if hasattr(cls, "_backends"):
        return {"prompt", "output_type", "guidance_scale"}
    return set(inspect.signature(cls.__call__).parameters)


def test_every_class_of_the_table_draws_from_text() -> None:
    for name in TABLE:
        assert {"prompt", "output_type"} <= arguments(name), name


def test_guidance_arguments_of_the_table_exist() -> None:
    without = {
        name
        for name, facts in TABLE.items()
        if facts.scale not in arguments(name) and not facts.why_not
    }
    # Its guidance is an object of its own; `--guidance` is refused there.
    assert without <= {"HunyuanImagePipeline"}


def test_every_text_to_image_pipeline_of_auto_pipeline_is_in_the_table() -> None:
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    names = {cls.__name__ for cls in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    # These need a picture beside the prompt, which is not this stage's business.
    missing = {name for name in names - set(TABLE) if "Control" not in name}
    assert missing <= {"ZImageOmniPipeline"}


def test_every_scheduler_exists_and_is_found_by_its_class_name() -> None:
    import diffusers

    for choice in CHOICES.values():
        assert hasattr(diffusers, choice.class_name)
        found = find(choice.class_name)
        assert found is not None
        assert CHOICES[found].class_name == choice.class_name


@pytest.mark.parametrize(
    ("written", "short"),
    [
        ("DDIM", "ddim"), ("Euler a", "euler-a"), ("euler_ancestral", "euler-a"),
        ("DPM++ 2M", "dpm++"), ("DPM++ 2M Karras", "dpm++-karras"), ("UniPC", "unipc"),
        ("EulerDiscreteScheduler", "euler"), ("nothing", None),
    ],
)  # fmt: skip
def test_schedulers_are_found_however_they_are_spelt(written: str, short: str | None) -> None:
    assert find(written) == short


def test_short_names_find_themselves() -> None:
    assert [find(name) for name in SHORT_NAMES] == list(SHORT_NAMES)


@pytest.mark.parametrize("name", ["flow-euler", "flow-heun", "dpm++", "unipc"])
def test_flow_models_keep_their_shift_under_every_scheduler(name: str) -> None:
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    of_sd3 = FlowMatchEulerDiscreteScheduler(shift=3.0)
    of_sana = DPMSolverMultistepScheduler(**flow, flow_shift=3.0)
    for own in (of_sd3, of_sana):
        made = make_scheduler(name, own)
        made.set_timesteps(4)
        # The second of four levels: below 0.76 without a shift, above 0.85 with one of 3.
        assert 0.8 < made.sigmas[made.sigmas < 0.99].max() < 0.95


def test_models_down_to_pure_noise_take_schedulers_that_begin_there() -> None:
    from diffusers import DDIMScheduler

    own = DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    for name in ("ddim", "dpm++", "euler"):
        assert make_scheduler(name, own).alphas_cumprod[-1] < 1e-6
    with pytest.raises(BadParams, match="'heun' does not fit") as caught:
        make_scheduler("heun", own)
    assert "dpm++" in caught.value.hint
    assert "dpm2" not in caught.value.hint
