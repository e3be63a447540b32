"""CPU time of commands that load nothing, as ratios to `python -c pass`.

    python benchmarks/startup.py [--runs 20] [--generate PROMPT]

With `--generate`, also the CPU time from start to the first batch of `imgtool generate`, when the
first denoising step begins, against importing torch and loading the same weights with the plain
component classes of diffusers and transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = {
    "--version": ["--version"],
    "--help": ["--help"],
    "sr --help": ["sr", "--help"],
    "run --help": ["run", "--help"],
    "stages": ["stages"],
}
LIMIT = 6.0
NOTHING = "python -c pass"
COMPONENTS = """
from pathlib import Path
import imgtool_tabletop
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

folder = Path(imgtool_tabletop.__file__).parent / "weights" / "tabletop"
UNet2DConditionModel.from_pretrained(folder / "unet")
CLIPTextModel.from_pretrained(folder / "text_encoder")
CLIPTokenizer.from_pretrained(folder / "tokenizer")
"""


def cpu_seconds(command: list[str], env: dict[str, str]) -> float:
    """CPU time, user and system, of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=env, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def startup(runs: int) -> bool:
    """Print a ratio for each command; whether help and version are within the limit.

    All commands run once in each of the rounds, so that a slow moment of the machine slows all.
    """
    imgtool = [sys.executable, "-m", "imgtool"]
    script = Path(sys.executable).with_name("imgtool")
    if script.exists():
        imgtool = [str(script)]
    with tempfile.TemporaryDirectory() as cache:
        # As installed: bytecode is compiled once, wherever the sources lie and may be written.
        env = {**os.environ, "IMGTOOL_CACHE": cache, "PYTHONPYCACHEPREFIX": f"{cache}/bytecode"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        completing = {"_IMGTOOL_COMPLETE": "bash_complete", "COMP_WORDS": "imgtool g"}
        cases = {NOTHING: ([sys.executable, "-c", "pass"], env)}
        cases |= {name: ([*imgtool, *arguments], env) for name, arguments in COMMANDS.items()}
        cases["completion"] = (imgtool, {**env, **completing, "COMP_CWORD": "1"})
        rounds = [
            {name: cpu_seconds(*case) for name, case in cases.items()} for _ in range(runs + 1)
        ]
    warm = {name: [each[name] for each in rounds[1:]] for name in cases}
    medians = {name: statistics.median(spent) for name, spent in warm.items()}
    for name, spent in medians.items():
        report(f"{name:<16} {spent * 1e3:7.1f} ms  {spent / medians[NOTHING]:5.2f} x")
    return all(
        spent <= LIMIT * medians[NOTHING] for name, spent in medians.items() if name != "stages"
    )


def first_step(prompt: str) -> None:
    """Print the CPU time to the first denoising step, and what is the least that it could be."""
    imgtool = [sys.executable, "-m", "imgtool", "generate", prompt, "--progress", "json", "--json"]
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "IMGTOOL_CACHE": cache}
        subprocess.run([*imgtool[:3], "--help"], env=env, capture_output=True, check=True)
        process = subprocess.Popen(
            imgtool, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert process.stderr is not None
        spent = 0.0
        for line in process.stderr:
            if json.loads(line).get("event") == "BatchStarted":
                spent = _cpu_of(process.pid)
                break
        process.kill()
        process.wait()
    least = cpu_seconds([sys.executable, "-c", COMPONENTS], dict(os.environ))
    report(f"{'imgtool, to first batch':<24} {spent:7.2f} s")
    report(f"{'torch and components':<24} {least:7.2f} s  {spent / least:5.2f} x")


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(line: str) -> None:
    """One line on stdout."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Status 1 when a command takes more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--generate", metavar="PROMPT")
    given = parser.parse_args()
    good = startup(given.runs)
    if given.generate:
        first_step(given.generate)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
