"""The names that plugins rely on are frozen: removing one takes a release with a warning."""

from __future__ import annotations

import inspect

import imgtool
from imgtool import api, hookspecs

NAMES = """
ALPHA COC DEEP DEPTH DEPTH_KIND EXIF IMAGE LATENTS MASK NEGATIVE_PROMPT PROMPT PROMPT_EMBEDS SEED
SOURCE_PROMPT
BadParams Batch Bounds BudgetEnded Choices Component EndpointDown Failure Field FieldRef Help
ImgtoolError InputEmpty InputMissing InputUnreadable Kind Maker MissingField ModelRef ModelUnusable
NeedsConsent OutOfMemory OutputUnwritable PathTo Row RowError Runtime Scope Stage StageFailed
StageRef UnknownComponent as_json attention cache_dir concatenate derive_seed hookimpl optional
score Shown contact_sheet current_registry deep_of in_8_bits loading quiet_libraries
read_picture run_rows stored_rows validate write_file
""".split()

HOOKS = {
    "imgtool_components": [],
    "imgtool_commands": [],
    "imgtool_run_started": ["run"],
    "imgtool_stage_opened": ["stage"],
    "imgtool_batch_done": ["batch"],
    "imgtool_row_failed": ["stage", "row_id", "failure"],
    "imgtool_run_finished": ["run"],
}


def test_names_are_frozen() -> None:
    assert sorted(api.__all__) == sorted(NAMES)


def test_every_name_is_there_and_documented() -> None:
    for name in NAMES:
        value = getattr(api, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


def test_hooks_are_frozen_and_documented() -> None:
    hooks = {
        name: list(inspect.signature(value).parameters)
        for name, value in vars(hookspecs).items()
        if name.startswith("imgtool_")
    }
    assert hooks == HOOKS
    assert all(inspect.getdoc(getattr(hookspecs, name)) for name in HOOKS)
    assert set(hookspecs.EVENTS) == set(HOOKS) - {"imgtool_components", "imgtool_commands"}


def test_run_and_stage_are_functions_of_the_package() -> None:
    assert inspect.isfunction(imgtool.run)
    assert inspect.isfunction(imgtool.stage)
