"""Makes the pictures of plugins/imgtool-defocus: what lenses make of a render and its depth.

lens.png has two distances in focus, sweep.png a series of apertures, focus.png where the network of
`defocus.auto` looks and a series focused there.

python docs/defocus_picture.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import imgtool
from imgtool.api import contact_sheet
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.render import measure, render
from imgtool_tabletop.world.sample import BROAD

TARGET = Path(__file__).resolve().parents[1] / "plugins" / "imgtool-defocus"
SCENE, SIZE, SAMPLES, COLOURS = 23, 288, 4, 256
SENSOR_MM, F_NUMBERS = 36.0, (1.4, 2.8, 5.6, 11.0)


def main() -> None:
    """Render, blur, put side by side, and write the pictures."""
    scene = scene_at(5, SCENE, BROAD, held_out=True)
    image = render([scene], SIZE, SAMPLES)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    depth = measure(gather([scene]), SIZE).depth[0].numpy()
    near, far = np.quantile(depth, (0.02, 0.98))
    grey = np.clip((1 / depth - 1 / far) / (1 / near - 1 / far) * 255, 0, 255).astype(np.uint8)
    distances = sorted(scene.camera.project(solid.centre)[2] for solid in scene.solids)
    focal = f"{SENSOR_MM / 2 / scene.camera.tan_half:.1f}mm"

    camera = {"focal_length": focal, "sensor": f"{SENSOR_MM}x{SENSOR_MM}mm"}

    def taken(focus_m: float, f_number: float) -> np.ndarray:
        focus_at = f"{focus_m:.3f}m"
        with imgtool.stage(
            "defocus.thinlens", focus_at=focus_at, f_number=f_number, **camera
        ) as lens:
            return lens(image=image, depth=depth)["image"]

    nearest, widest = distances[0], F_NUMBERS[0]
    series = [taken(nearest, f_number) for f_number in F_NUMBERS]
    cells = [image, np.repeat(grey[..., None], 3, axis=2), series[0], taken(distances[-1], widest)]
    ends = [f"f/{widest:g}, sharp at {metres:.2f} m" for metres in (nearest, distances[-1])]
    write("lens.png", cells, ["sharp", "depth", *ends])
    write("sweep.png", series, [f"f/{f_number:g}" for f_number in F_NUMBERS])
    chosen = F_NUMBERS[0], F_NUMBERS[2]
    with imgtool.stage("defocus.auto", f_numbers=chosen, **camera) as lens:
        rows = lens(image=image, depth=depth)
    looked = (rows[0]["saliency"] * 255).round().astype(np.uint8)
    cells = [image, np.repeat(looked[..., None], 3, axis=2), *(row["image"] for row in rows)]
    write("focus.png", cells, ["sharp", "saliency", *(f"f/{f_number:g}" for f_number in chosen)])


def write(name: str, cells: list[np.ndarray], labels: list[str]) -> None:
    """Cells side by side, in few colours."""
    sheet = contact_sheet(cells, labels, len(cells), SIZE)
    sheet.quantize(COLOURS).save(TARGET / name, optimize=True)


if __name__ == "__main__":
    main()
