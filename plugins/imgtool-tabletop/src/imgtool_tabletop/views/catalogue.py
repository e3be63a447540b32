"""Every view by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imgtool_tabletop.views.cameras import Cameras
from imgtool_tabletop.views.defocus import Defocus
from imgtool_tabletop.views.edits import Edits
from imgtool_tabletop.views.instances import Instances
from imgtool_tabletop.views.leaves import Leaves
from imgtool_tabletop.views.scales import Scales
from imgtool_tabletop.views.scenes import Pairs
from imgtool_tabletop.views.textures import Textures

if TYPE_CHECKING:
    from imgtool_tabletop.views.view import View

VIEWS: Final[dict[str, type[View[Any]]]] = {
    view.name: view
    for view in (Pairs, Defocus, Cameras, Instances, Edits, Scales, Leaves, Textures)
}
