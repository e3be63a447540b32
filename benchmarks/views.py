"""Training data of the tabletop world: examples and pictures a second of every view, by size.

    python benchmarks/views.py [--sizes 64 256] [--seconds 4]

One thread; workers of a data loader multiply the rate. A picture is any colour picture of an
example: a view with four cameras has four.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import torch

from imgtool.declared import params_type
from imgtool_tabletop.views import makers
from imgtool_tabletop.views.catalogue import VIEWS
from imgtool_tabletop.views.view import Kind

if TYPE_CHECKING:
    from imgtool_tabletop.views.view import Example, View


def pictures_of(view: View[Any], example: Example) -> int:
    """How many colour pictures an example has."""
    return sum(
        1 if value.dim() == 3 else len(value)
        for layer in view.layers
        if layer.kind is Kind.PICTURE
        and isinstance(value := example.values[layer.name], torch.Tensor)
    )


def rates(view: View[Any], seconds: float) -> tuple[float, float]:
    """Examples and pictures a second of processor time, after one example to warm up."""
    view.example(0)
    start, examples, pictures = time.process_time(), 0, 0
    while time.process_time() - start < seconds:
        examples += 1
        pictures += pictures_of(view, view.example(examples))
    spent = time.process_time() - start
    return examples / spent, pictures / spent


def main() -> None:
    """Print a line a view and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, view in VIEWS.items():
        params = params_type(getattr(makers, f"{name.title()}Data"))
        for size in options.sizes:
            examples, pictures = rates(view(params(size=size)), options.seconds)
            print(f"{name:10} {size:5} px  {examples:7.1f} examples/s  {pictures:7.1f} pictures/s")


if __name__ == "__main__":
    main()
