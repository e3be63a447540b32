"""Imports run one way, from commands down to errors. Read from the source, not from a run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import imgtool

ROOT = Path(imgtool.__file__).parent
REPOSITORY = ROOT.parent.parent

PIPELINE = {"pipeline", "pipeline_model", "pipeline_check", "pipeline_file"}
# a module may import its own layer and those below
LAYERS = [
    {"errors", "paths"},
    {"fields", "batch", "stages", "components", "specs", "shown"},
    {"declared", "hookspecs", "params", "specdump", "spec_cache", "specrun", "registry", "store",
     "runtime", "toml_lines", "pictures"},
    {*PIPELINE, "engine", "stream", "builtin", "inputs", "recipe", "unnamed"},
    {"ui", "report", "plugin_kit"},
    {"cli", "__main__"},
]  # fmt: skip
# what plugins import, ours too: it re-exports names of many layers
FACADES = {"api", "imgtool"}
BUILTIN = "builtin"
LISTENERS = "ui"


def part(module: str) -> str:
    """The part of imgtool that a module belongs to: `imgtool.store.keys` -> `store`."""
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "imgtool"


def module_name(file: Path, root: Path) -> str:
    pieces = file.relative_to(root).with_suffix("").parts
    return ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces)


class Imports(ast.NodeVisitor):
    """Names of modules imported, those of type checks apart from those of execution."""

    def __init__(self) -> None:
        self.at_run: list[str] = []
        self.at_top: list[str] = []
        self.depth = 0

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for child in node.orelse:
                self.visit(child)
            return
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_Import(self, node: ast.Import) -> None:
        self._add(*(alias.name for alias in node.names))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "imports are absolute"
        assert node.module is not None
        if node.module == "imgtool":
            self._add(*(f"imgtool.{alias.name}" for alias in node.names))
        else:
            self._add(node.module)

    def _add(self, *names: str) -> None:
        self.at_run += names
        if not self.depth:
            self.at_top += names


def imports_of(file: Path) -> Imports:
    found = Imports()
    found.visit(ast.parse(file.read_text(encoding="utf-8")))
    return found


def graph() -> dict[str, Imports]:
    files = sorted(ROOT.rglob("*.py"))
    return {module_name(file, ROOT.parent): imports_of(file) for file in files}


def own(names: list[str]) -> list[str]:
    return [name for name in names if name.split(".")[0] == "imgtool" and name != "imgtool"]


def test_every_part_has_a_layer() -> None:
    known = set().union(*LAYERS) | FACADES
    assert {part(module) for module in graph()} <= known


def test_no_module_imports_a_layer_above_it() -> None:
    level = {name: index for index, layer in enumerate(LAYERS) for name in layer}
    wrong = [
        f"{module} imports {name}"
        for module, imports in graph().items()
        for name in own(imports.at_run)
        if part(module) in level and part(name) in level and level[part(name)] > level[part(module)]
    ]
    assert not wrong


def test_engine_and_below_know_no_observer_and_no_command() -> None:
    below = set().union(*LAYERS[:4])
    wrong = [
        f"{module} imports {name}"
        for module, imports in graph().items()
        for name in imports.at_run
        if part(module) in below
        and (name.split(".")[0] in ("click", "rich") or part(name) == LISTENERS)
    ]
    assert not wrong


def test_builtin_stages_know_no_engine_and_no_registry() -> None:
    allowed = {"api", "errors", "inputs", "paths", "pictures", BUILTIN}
    wrong = [
        f"{module} imports {name}"
        for module, imports in graph().items()
        if part(module) == BUILTIN
        for name in own(imports.at_run)
        if part(name) not in allowed
    ]
    assert not wrong


def test_declarations_need_the_standard_library_only() -> None:
    light = {"errors", "paths", "fields", "batch", "stages", "components", "specs", "declared",
             "params", "spec_cache", "specrun", "registry", *PIPELINE}  # fmt: skip
    heavy = {"torch", "numpy", "pydantic", "zarr", "PIL", "pluggy", "click", "rich"}
    wrong = [
        f"{module} imports {name}"
        for module, imports in graph().items()
        for name in imports.at_top
        if part(module) in light and name.split(".")[0] in heavy
    ]
    assert not wrong


def plugin_sources() -> list[Path]:
    return sorted(REPOSITORY.glob("plugins/*/src/*"))


@pytest.mark.parametrize("source", plugin_sources(), ids=lambda path: str(path.name))
def test_plugins_import_the_api_alone_and_never_each_other(source: Path) -> None:
    others = {path.name for path in plugin_sources()} - {source.name}
    for file in sorted(source.rglob("*.py")):
        for name in imports_of(file).at_run:
            assert name.split(".")[0] not in others, f"{file.name} imports {name}"
            assert not own([name]) or name == "imgtool.api", f"{file.name} imports {name}"
            assert name != "imgtool", f"{file.name} imports {name}"
