"""Plugins are found, guarded and cached; names mean one component or say why not."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import pytest

from imgtool.errors import AmbiguousComponent, BrokenPlugin, UnknownComponent
from imgtool.registry import Registry
from imgtool.specs import Spec

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakePlugin

PLUGIN = """
    from imgtool.api import Component, hookimpl

    @hookimpl
    def imgtool_components():
        yield Component("stage", "{name}", "{package}.stage:Tint", "Tint a picture.")
        yield Component("model", "tiny", "{package}:weights/tiny", meta={{"task": "text-to-image"}})

    @hookimpl
    def imgtool_commands():
        yield Component("command", "polish", "{package}.commands:polish", "Polish it.")
"""

STAGE = """
    from dataclasses import dataclass
    from typing import Annotated, Literal
    from imgtool.api import IMAGE, Bounds, Choices, Help, ModelRef, PathTo, Stage, optional, score

    @dataclass(frozen=True)
    class Params:
        amount: Annotated[float, Help("How much."), Bounds(0, 1)] = 0.5
        mode: Literal["soft", "hard"] = "soft"
        sizes: Annotated[tuple[int, ...], Bounds(1)] = (8, 16)
        model: Annotated[str, ModelRef("text-to-image")] = "tiny"
        lut: Annotated[str | None, PathTo("a colour table")] = None

    class Tint(Stage[Params]):
        id, version, summary = "{name}", 3, "Tint a picture."
        scope = "siblings"
        consumes, produces = (IMAGE, optional(score("clip"))), (IMAGE,)
        default_of_family = {default}

        def process(self, batch):
            return batch
"""


def plugin_files(package: str, name: str = "tint.flat", default: bool = False) -> dict[str, str]:
    """Files of a plugin with one stage, one model alias and one command."""
    return {
        "plugin.py": PLUGIN.format(package=package, name=name),
        "stage.py": STAGE.format(name=name, default=default),
        "commands.py": "polish = object()\n",
    }


def only(monkeypatch: pytest.MonkeyPatch, *dists: str) -> None:
    monkeypatch.setenv("IMGTOOL_PLUGINS", ",".join(dists))


def test_spec_is_computed_from_the_declaration(make_plugin: MakePlugin) -> None:
    make_plugin("tints", plugin_files("tints"))
    spec = Registry.load().spec("stage", "tint.flat")
    assert (spec.id, spec.version, spec.scope, spec.dist) == ("tint.flat", 3, "siblings", "tints")
    assert [(field.name, field.optional) for field in spec.consumes] == [
        ("image", False),
        ("score.clip", True),
    ]
    by_name = {param.name: param for param in spec.params}
    assert list(by_name) == ["amount", "mode", "sizes", "model", "lut"]
    amount = by_name["amount"]
    assert (amount.type, amount.default, amount.low, amount.high, amount.help) == (
        "float", 0.5, 0, 1, "How much.",
    )  # fmt: skip
    assert (by_name["mode"].choices, by_name["mode"].closed) == (("soft", "hard"), True)
    assert (by_name["sizes"].type, by_name["sizes"].default) == ("list[int]", [8, 16])
    assert by_name["model"].model_task == "text-to-image"
    assert (by_name["lut"].path_what, by_name["lut"].nullable) == ("a colour table", True)


def test_loading_imports_no_plugin(make_plugin: MakePlugin) -> None:
    make_plugin("tints", plugin_files("tints"))
    registry = Registry.load()
    assert registry.component("model", "tiny").meta["task"] == "text-to-image"
    assert [item.name for item in registry.components("command")] == ["polish"]
    assert not [name for name in sys.modules if name.partition(".")[0] == "tints"]
    assert registry.resolve("stage", "tint.flat").__name__ == "Tint"


def test_spec_survives_json(make_plugin: MakePlugin) -> None:
    make_plugin("tints", plugin_files("tints"))
    spec = Registry.load().spec("stage", "tint")
    assert Spec.from_json(spec.as_json()) == spec


BREAKAGES = {
    "raises": ("raise ValueError('no colours today')", "ValueError: no colours today"),
    "exits": ("import sys; sys.exit(4)", "exited with 4"),
    "dies": ("import os; os._exit(7)", "ended with 7"),
    "hangs": ("import time; time.sleep(600)", "did not end in"),
    "talks": ("print('x' * 100000); raise RuntimeError", "RuntimeError"),
    "misspells": ("def", "SyntaxError"),
}


@pytest.mark.parametrize("how", BREAKAGES)
def test_plugin_broken_at_import_takes_nothing_else_down(
    how: str, make_plugin: MakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, reason = BREAKAGES[how]
    make_plugin("tints", plugin_files("tints"))
    make_plugin("broken", {"plugin.py": code})
    only(monkeypatch, "tints", "broken")
    if how == "hangs":
        monkeypatch.setenv("IMGTOOL_PLUGIN_TIMEOUT", "5")
    registry = Registry.load()
    assert registry.spec("stage", "tint.flat").dist == "tints"
    problems = [problem for problem in registry.problems if problem.dist == "broken"]
    assert len(problems) == 1
    assert reason in problems[0].reason
    with pytest.raises(UnknownComponent) as caught:
        registry.spec("stage", "bend")
    assert "'broken'" in caught.value.hint


def test_stage_broken_at_import_leaves_its_neighbours(make_plugin: MakePlugin) -> None:
    files = plugin_files("tints")
    files["plugin.py"] += (
        '    @hookimpl(specname="imgtool_components")\n'
        "    def more():\n"
        '        yield Component("stage", "bend.it", "tints.bend:Bend")\n'
    )
    files["bend.py"] = "raise OSError('bent')\n"
    make_plugin("tints", files)
    registry = Registry.load()
    assert registry.spec("stage", "tint.flat")
    with pytest.raises(BrokenPlugin, match=r"bend.it.*OSError: bent"):
        registry.spec("stage", "bend.it")
    with pytest.raises(BrokenPlugin, match="bent"):
        registry.resolve("stage", "bend.it")


def test_broken_plugin_is_named_for_what_it_owned_before(make_plugin: MakePlugin) -> None:
    root = make_plugin("tints", plugin_files("tints"))
    Registry.load()
    (root / "plugin.py").write_text("raise ValueError('half an upgrade')")
    with pytest.raises(BrokenPlugin, match=r"'tints'.*half an upgrade"):
        Registry.load().spec("stage", "tint")


def test_declaration_that_no_shell_can_give_is_a_named_problem(make_plugin: MakePlugin) -> None:
    files = plugin_files("tints")
    files["stage.py"] = files["stage.py"].replace(
        "amount: Annotated[float", "amount: Annotated[set"
    )
    make_plugin("tints", files)
    with pytest.raises(BrokenPlugin, match="parameter 'amount' has type"):
        Registry.load().spec("stage", "tint.flat")


def test_warm_cache_starts_no_process(
    make_plugin: MakePlugin, own_specs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plugin("tints", plugin_files("tints"))
    first = Registry.load().spec("stage", "tint.flat")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert Registry.load().spec("stage", "tint.flat") == first


def test_cache_is_renewed_when_a_file_of_the_plugin_changes(
    make_plugin: MakePlugin, own_specs: Path
) -> None:
    root = make_plugin("tints", plugin_files("tints"))
    assert Registry.load().spec("stage", "tint.flat").version == 3
    stage = root / "stage.py"
    before = stage.stat()
    stage.write_text(stage.read_text().replace('"tint.flat", 3', '"tint.flat", 4'))
    os.utime(stage, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    assert Registry.load().spec("stage", "tint.flat").version == 4


def test_new_and_removed_plugins_are_seen(
    make_plugin: MakePlugin, own_specs: Path, tmp_path: Path
) -> None:
    assert "tints" not in {plugin.dist for plugin in Registry.load().plugins}
    make_plugin("tints", plugin_files("tints"))
    assert "tints" in {plugin.dist for plugin in Registry.load().plugins}
    info = tmp_path / "site-packages" / "tints-1.0.dist-info"
    info.rename(tmp_path / "gone")
    assert "tints" not in {plugin.dist for plugin in Registry.load().plugins}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stamp": 1}'])
def test_damaged_cache_is_computed_again(
    content: str, make_plugin: MakePlugin, own_specs: Path
) -> None:
    make_plugin("tints", plugin_files("tints"))
    Registry.load()
    for file in own_specs.iterdir():
        file.write_text(content)
    assert Registry.load().spec("stage", "tint.flat").version == 3


def test_cache_that_cannot_be_written_costs_only_time(
    make_plugin: MakePlugin, isolated_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plugin("tints", plugin_files("tints"))
    blocked = isolated_world / "file"
    blocked.write_text("")
    monkeypatch.setenv("IMGTOOL_CACHE", str(blocked / "cache"))
    assert Registry.load().spec("stage", "tint.flat")


def test_environment_limits_plugins(
    make_plugin: MakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plugin("tints", plugin_files("tints"))
    make_plugin("others", plugin_files("others", "tint.deep"))
    only(monkeypatch, "others")
    assert {plugin.dist for plugin in Registry.load().plugins} == {"imgtool", "others"}
    only(monkeypatch, "none")
    assert {plugin.dist for plugin in Registry.load().plugins} == {"imgtool"}


def test_disabled_plugin_is_left_out(make_plugin: MakePlugin, isolated_world: Path) -> None:
    make_plugin("tints", plugin_files("tints"))
    (isolated_world / "config").mkdir()
    (isolated_world / "config" / "disabled-plugins.txt").write_text("tints\n")
    assert "tints" not in {plugin.dist for plugin in Registry.load().plugins}


def test_two_owners_of_a_name_need_a_prefix(make_plugin: MakePlugin) -> None:
    make_plugin("tints", plugin_files("tints"))
    make_plugin("others", plugin_files("others"))
    registry = Registry.load()
    with pytest.raises(AmbiguousComponent) as caught:
        registry.spec("stage", "tint.flat")
    assert "others:tint.flat or tints:tint.flat" in caught.value.hint
    assert registry.spec("stage", "tints:tint.flat").dist == "tints"
    assert registry.spec("stage", "others:tint").dist == "others"


def test_bare_family_means_its_only_or_its_default_method(
    make_plugin: MakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plugin("tints", plugin_files("tints"))
    only(monkeypatch, "tints", "others")
    assert Registry.load().spec("stage", "tint").id == "tint.flat"
    make_plugin("others", plugin_files("others", "tint.deep", default=True))
    assert Registry.load().spec("stage", "tint").id == "tint.deep"


def test_bare_family_without_default_asks_which(make_plugin: MakePlugin) -> None:
    make_plugin("tints", plugin_files("tints"))
    make_plugin("others", plugin_files("others", "tint.deep"))
    with pytest.raises(AmbiguousComponent) as caught:
        Registry.load().spec("stage", "tint")
    assert "tint.deep, tint.flat" in caught.value.hint


def test_mistyped_name_has_a_near_match(make_plugin: MakePlugin) -> None:
    make_plugin("tints", plugin_files("tints"))
    with pytest.raises(UnknownComponent, match=r"unknown stage .tint\.falt.") as caught:
        Registry.load().spec("stage", "tint.falt")
    assert "did you mean 'tint.flat'?" in caught.value.hint


def test_events_reach_plugins_and_their_faults_stop_nothing(
    make_plugin: MakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    listener = """
        from imgtool.api import hookimpl
        heard = []

        @hookimpl
        def imgtool_row_failed(row_id, failure):
            heard.append((row_id, failure))
    """
    faulty = """
        from imgtool.api import hookimpl

        @hookimpl
        def imgtool_row_failed(stage):
            raise KeyError(stage)
    """
    make_plugin("listener", {"plugin.py": listener})
    make_plugin("faulty", {"plugin.py": faulty})
    registry = Registry.load()
    with caplog.at_level(logging.WARNING):
        registry.notify("imgtool_row_failed", stage="sr", row_id="4", failure="black")
        registry.notify("imgtool_run_finished", run=None)
    assert sys.modules["listener.plugin"].heard == [("4", "black")]
    assert "faulty" in caplog.text
