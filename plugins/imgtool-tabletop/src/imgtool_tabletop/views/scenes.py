"""Views of rendered scenes: what they share, and the plainest, pictures with their captions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.views.params import SceneParams
from imgtool_tabletop.views.view import Example, Kind, Layer, View, quantised
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.render import render
from imgtool_tabletop.world.sample import BROAD

if TYPE_CHECKING:
    from imgtool_tabletop.world.scene import Scene

P = TypeVar("P", bound=SceneParams)

CAPTION: Final = Layer("caption", Kind.TEXT, "true of the picture; of the first, where several")


class SceneView(View[P], Generic[P]):
    """A view of the scenes that `training.bank.scene_at` numbers, in all their variety."""

    def scene(self, index: int) -> Scene:
        """Scene `index`."""
        return scene_at(self.params.seed, index, BROAD, held_out=self.params.held_out)

    def caption(self, scene: Scene, index: int) -> str:
        """One true caption; the wording depends on seed and index."""
        return caption(scene_facts(scene), f"{self.params.seed}:{index}")


def recipe(scene: Scene) -> dict[str, Any]:
    """All that the renderer needs to know, as JSON; metres and degrees."""
    return asdict(scene)


class Pairs(SceneView[SceneParams]):
    """Pictures and captions."""

    name = "pairs"
    layers: ClassVar = (Layer("image", Kind.PICTURE, "[3, H, W]"), CAPTION)

    def example(self, index: int) -> Example:
        """A picture with one caption."""
        scene = self.scene(index)
        picture = quantised(render([scene], self.params.size)[0])
        values = {"image": picture, "caption": self.caption(scene, index)}
        return Example(index, values, {"scene": recipe(scene)})
