"""The runtime of a stage: settings, shared models, journal, attention."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

from imgtool.errors import BadParams
from imgtool.runtime.attention import attention, choose, probe
from imgtool.runtime.context import Runtime
from imgtool.runtime.shared import Shared


def test_auto_is_float32_on_the_cpu() -> None:
    runtime = Runtime(device="cpu")
    assert (runtime.torch_device.type, runtime.torch_dtype) == ("cpu", torch.float32)
    assert runtime.attention_backend == "sdpa"


@pytest.mark.parametrize(
    ("settings", "property_name"),
    [
        ({"device": "gpu"}, "torch_device"),
        ({"device": "cuda:99"}, "torch_device"),
        ({"device": "cpu", "dtype": "float64"}, "torch_dtype"),
        ({"device": "cpu", "attention": "flash"}, "attention_backend"),
        ({"device": "cpu", "attention": "xformers"}, "attention_backend"),
    ],
)
def test_what_does_not_work_here_is_refused(settings: dict[str, str], property_name: str) -> None:
    with pytest.raises(BadParams):
        getattr(Runtime(**settings), property_name)


def test_deterministic_computes_one_row_at_once() -> None:
    assert Runtime(deterministic=True).rows_at_once(16) == 1
    assert Runtime(compute_batch=4).rows_at_once(16) == 4
    assert Runtime().rows_at_once(16) == 16


def test_models_are_loaded_once_and_dropped_when_released() -> None:
    shared, loads = Shared(), []
    one, two = Runtime(shared=shared), Runtime(shared=shared).for_stage()
    first = one.load_once("net", lambda: loads.append(1) or object())
    second = two.load_once("net", lambda: loads.append(1) or object())
    assert first is second
    assert len(loads) == 1
    one.release()
    assert len(shared) == 1
    two.release()
    assert len(shared) == 0


def test_two_threads_load_one_key_once() -> None:
    shared, loads, ready = Shared(), [], threading.Barrier(2)

    def ask() -> None:
        ready.wait()
        shared.acquire("net", lambda: loads.append(1))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_failed_load_holds_nothing() -> None:
    shared = Shared()

    def broken() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        shared.acquire("net", broken)
    assert len(shared) == 0


def test_journal_without_an_engine_is_a_folder() -> None:
    assert Runtime().journal.is_dir()


def test_attention_is_softmax_attention() -> None:
    q, k, v = (torch.randn(2, 3, 5, 8, generator=torch.manual_seed(i)) for i in range(3))
    want = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v
    torch.testing.assert_close(attention(q, k, v), want)


def test_mask_hides_keys() -> None:
    q, k, v = (torch.randn(1, 1, 4, 8, generator=torch.manual_seed(i)) for i in range(3))
    mask = torch.tensor([True, True, False, False])
    torch.testing.assert_close(
        attention(q, k, v, mask.expand(4, 4)), attention(q, k[:, :, :2], v[:, :, :2])
    )


def test_xformers_is_not_taken_on_the_cpu() -> None:
    assert probe("cpu")
    assert choose("auto", "cpu") == "sdpa"


def test_report_says_what_is_used() -> None:
    report = Runtime(device="cpu").device_report().as_dict()
    assert (report["device"], report["dtype"], report["attention"]) == ("cpu", "float32", "sdpa")


def test_making_a_runtime_imports_nothing_heavy() -> None:
    code = (
        "import sys; from imgtool.runtime.context import Runtime; Runtime(); "
        "heavy = {'torch', 'numpy', 'diffusers', 'zarr', 'pydantic'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
