"""A dome light's picture as an environment: what it lights, mirrors and shows. Pure NumPy."""

import numpy as np

from streamer.usd_viewer.scene import Bytes, Doubles, Environment, Floats

_HARMONICS_SIDE = 64
_BRIGHTEST = 30.0
"""In a mirror image nothing is brighter than so many times the mean; as light it counts in full."""


def environment_of(radiance: Floats, world: Doubles, *, visible: bool) -> Environment:
    """From (height, width, 3) of linear light, latitude by longitude, up on top, on a dome that stands at `world`."""
    peak = min(float(radiance.max()), float(radiance.mean()) * _BRIGHTEST) or 1.0
    colors = (np.sqrt(np.clip(radiance / peak, 0.0, 1.0)) * 255).round().astype(np.uint8)
    pixels: Bytes = np.concatenate([colors, np.full((*colors.shape[:2], 1), 255, np.uint8)], axis=2)
    x, y, z = (_direction(axis) for axis in world[:3, :3])
    return Environment(pixels, peak, (x, y, z), irradiance(radiance), visible)


def irradiance(radiance: Floats) -> Doubles:
    """(9, 3) irradiance / pi of an environment, as the first spherical harmonics (Ramamoorthi and Hanrahan, 2001)."""
    small = _reduced(radiance.astype(np.float64))
    directions, weights = _directions(*small.shape[:2])
    basis = harmonics(directions.reshape(-1, 3))
    projected = basis.T @ (small.reshape(-1, 3) * weights.reshape(-1, 1))
    spread = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5])
    lit: Doubles = projected * spread[:, None]
    return lit


def harmonics(directions: Doubles) -> Doubles:
    """(n, 9) of (n, 3) unit vectors."""
    x, y, z = directions.T
    one = np.full_like(x, 0.282095)
    first = [0.488603 * y, 0.488603 * z, 0.488603 * x]
    second = [1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z]
    return np.stack([one, *first, *second, 0.546274 * (x * x - y * y)], axis=1)


def _directions(height: int, width: int) -> tuple[Doubles, Doubles]:
    """Where each pixel lies, as unit vectors in the dome's space, and what part of the sphere it covers."""
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    # As OpenEXR lays them out: the middle of the image lies along z, its left half towards x.
    turn = (0.5 - (np.arange(width) + 0.5) / width) * 2 * np.pi
    level = np.cos(elevation)[:, None]
    rise = np.broadcast_to(np.sin(elevation)[:, None], (height, width))
    directions = np.stack([level * np.sin(turn), rise, level * np.cos(turn)], axis=2)
    weights = np.broadcast_to(level * (np.pi / height) * (2 * np.pi / width), (height, width))
    return directions, weights


def _reduced(values: Doubles) -> Doubles:
    """Averaged to a size at which light from it is summed quickly."""
    for axis in (0, 1):
        step = max(values.shape[axis] // _HARMONICS_SIDE, 1)
        starts = np.arange(0, values.shape[axis] - step + 1, step)
        values = np.add.reduceat(np.take(values, np.arange(starts[-1] + step), axis), starts, axis) / step
    return values


def _direction(axis: Doubles) -> tuple[float, float, float]:
    length = float(np.linalg.norm(axis)) or 1.0
    x, y, z = (axis / length).tolist()
    return (x, y, z)
