"""Cameras as matrices, in OpenCV's convention, and points carried from one view to another.

Camera axes: x right, y down, z forward; depth is z, in metres. Picture coordinates are pixels from
the upper left corner, so the middle of the first pixel is (0.5, 0.5). K is [3, 3], in pixels; T is
[4, 4] and takes world to camera coordinates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from imgtool_tabletop.world.scene import Camera


def intrinsics(camera: Camera, size: int) -> Tensor:
    """K of a square picture of `size` pixels; float32."""
    focal = size / (2.0 * camera.tan_half)
    return torch.tensor([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])


def extrinsics(camera: Camera) -> Tensor:
    """T of a camera; float32."""
    right, up, forward = (torch.tensor(axis, dtype=torch.float64) for axis in camera.axes)
    turn = torch.stack((right, -up, forward))
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = turn
    matrix[:3, 3] = -turn @ torch.tensor(camera.position, dtype=torch.float64)
    return matrix.float()


def pixel_centres(size: int) -> Tensor:
    """[size * size, 2] picture coordinates x, y, row by row."""
    line = torch.arange(size) + 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2)


def unproject(depth: Tensor, k: Tensor, t: Tensor) -> Tensor:
    """[H * W, 3] world points of a square depth map [H, W], metres."""
    at = pixel_centres(depth.shape[-1])
    planar = torch.cat((at, torch.ones_like(at[:, :1])), dim=-1) @ torch.linalg.inv(k).T
    camera = planar * depth.reshape(-1, 1)
    return (camera - t[:3, 3]) @ t[:3, :3]


def project(points: Tensor, k: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Picture coordinates [N, 2] and depth [N] of world points [N, 3]."""
    camera = points @ t[:3, :3].T + t[:3, 3]
    flat = camera @ k.T
    return flat[:, :2] / flat[:, 2:], camera[:, 2]
