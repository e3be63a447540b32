"""Makes plugins/imgtool-defocus/lens.png: a render, its depth, and what lenses make of it.

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

TARGET = Path(__file__).resolve().parents[1] / "plugins" / "imgtool-defocus" / "lens.png"
SCENE, SIZE, SAMPLES, COLOURS = 23, 288, 4, 256
SENSOR_MM, F_NUMBER = 36.0, 1.4


def main() -> None:
    """Render, blur, put side by side, and write the picture."""
    scene = scene_at(5, SCENE, BROAD, held_out=True)
    image = render([scene], SIZE, SAMPLES)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    depth = measure(gather([scene]), SIZE).depth[0].numpy()
    near, far = np.quantile(depth, (0.02, 0.98))
    grey = np.clip((1 / depth - 1 / far) / (1 / near - 1 / far) * 255, 0, 255).astype(np.uint8)
    cells, labels = [image, np.repeat(grey[..., None], 3, axis=2)], ["sharp", "depth"]
    distances = sorted(scene.camera.project(solid.centre)[2] for solid in scene.solids)
    focal = f"{SENSOR_MM / 2 / scene.camera.tan_half:.1f}mm"
    for focus_m in (distances[0], distances[-1]):
        with imgtool.stage(
            "defocus.thinlens",
            focus_at=f"{focus_m:.3f}m",
            focal_length=focal,
            f_number=F_NUMBER,
            sensor=f"{SENSOR_MM}x{SENSOR_MM}mm",
        ) as lens:
            cells.append(lens(image=image, depth=depth)["image"])
        labels.append(f"f/{F_NUMBER:g}, sharp at {focus_m:.2f} m")
    sheet = contact_sheet(cells, labels, len(cells), SIZE)
    sheet.quantize(COLOURS).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
