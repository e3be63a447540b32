"""`imgtool doctor`: what this machine offers and what is wrong with it.

Examples
--------
imgtool doctor
imgtool doctor --json
"""

from __future__ import annotations

import platform
from importlib import metadata, util

import click

from imgtool import __version__
from imgtool.cli.loaded import load_registry
from imgtool.cli.output import Output
from imgtool.errors import Status
from imgtool.paths import cache_dir, config_dir

SCHEMA = "imgtool.doctor/1"
LIBRARIES = ("torch", "diffusers", "transformers", "zarr", "numpy", "xformers", "safetensors")


@click.command()
@click.option("--device", default="auto", help="Device to look at.  [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, device: str, as_json: bool) -> int:
    """Report versions, devices, attention, places and broken plugins; 1 when one is broken."""
    output = Output.plain(as_json)
    registry = load_registry(ctx)
    facts: dict[str, object] = {
        "imgtool": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in LIBRARIES},
        **_devices(device),
        "cache": str(cache_dir()),
        "config": str(config_dir()),
        "plugins": [plugin.dist for plugin in registry.plugins],
    }
    problems = [
        {"plugin": p.dist, "component": f"{p.kind} {p.name}".strip(), "reason": p.reason}
        for p in registry.problems
    ]
    if as_json:
        output.json({"schema": SCHEMA, **facts, "problems": problems})
    else:
        shown = {k: ", ".join(v) if isinstance(v, list) else v for k, v in facts.items()}
        output.rows(("what", "value"), list(shown.items()))
        for problem in problems:
            output.line(f"broken: {problem['plugin']} {problem['component']}: {problem['reason']}")
    return Status.ROWS_FAILED if problems else Status.DONE


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices(device: str) -> dict[str, object]:
    if util.find_spec("torch") is None:
        return {"device": "none: torch is not installed"}
    from dataclasses import asdict

    from imgtool.runtime.context import Runtime

    return {
        f"{key}": value for key, value in asdict(Runtime(device=device).device_report()).items()
    }
