"""Everything that a stage refers to, found before anything of it is composed, and checked against the policy."""

import os
import re
from contextlib import suppress
from pathlib import Path

from pxr import Ar, Sdf, Usd, UsdUtils

from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused, is_remote, shorten

_TILES = "<UDIM>"


def check_dependencies(stage: Path, policy: StagePolicy) -> tuple[str, ...]:
    """Follow every sublayer, reference, payload, clip and asset of a stage, opening each only once it was admitted.

    (`UsdUtils.ComputeAllDependencies` is no help: it opens what its callback turns down.)

    Returns:
        What is missing, relative to the root.

    Raises:
        StageRefused: for the first thing that lies outside the root.
    """
    waiting, seen, missing = [str(stage)], {str(stage)}, set[str]()
    while waiting:
        layer = Sdf.Layer.FindOrOpen(waiting.pop())
        if layer is None:
            continue
        for asset in sorted(set().union(*UsdUtils.ExtractExternalReferences(layer.identifier))):
            path = _admitted(layer, asset, policy)
            resolved = Ar.GetResolver().Resolve(path).GetPathString() if path else ""
            if path and not resolved:
                missing.add(policy.relative(path))
            elif resolved and resolved not in seen and Sdf.FileFormat.FindByExtension(resolved):
                seen.add(resolved)
                waiting.append(resolved)
    return tuple(sorted(missing))


def check_used_layers(stage: Usd.Stage, policy: StagePolicy) -> None:
    """Check the layers that composition brought in after all, by expressions that only it evaluates, or by clips."""
    for layer in stage.GetUsedLayers():
        if not layer.anonymous:
            _check_file(layer.realPath or layer.identifier, policy, policy.relative(layer.identifier))


def _admitted(layer: Sdf.Layer, asset: str, policy: StagePolicy) -> str:
    """The path of an asset from its layer, empty for none, where the policy lets it be opened."""
    path = Sdf.Layer.SplitIdentifier(asset)[0]
    if not path:
        return ""
    shown = f"{shorten(path)}' in '{policy.relative(layer.identifier)}"
    if is_remote(path):
        raise StageRefused(
            f"'{shown}' is a URI, and a stage may refer to files in the folder of stages only:"
            " put it there and refer to it by a relative path"
        )
    anchored = str(Sdf.ComputeAssetPathRelativeToLayer(layer, path))
    _check_file(anchored, policy, shown)
    resolved = Ar.GetResolver().Resolve(anchored).GetPathString()
    if resolved:
        _check_file(resolved, policy, shown)
    if _TILES in path and not Ar.IsPackageRelativePath(anchored):
        return _admitted_tiles(Path(anchored), policy, shown)
    return anchored


def _admitted_tiles(pattern: Path, policy: StagePolicy, shown: str) -> str:
    """Check each tile that a UDIM pattern stands for; the pattern itself names no file, so it cannot be missing."""
    before, _, after = pattern.name.partition(_TILES)
    named = re.compile(f"{re.escape(before)}[0-9]{{4}}{re.escape(after)}")
    tiles: list[str] = []
    with suppress(OSError), os.scandir(pattern.parent) as entries:
        tiles += (entry.name for entry in entries if named.fullmatch(entry.name))
    for tile in tiles:
        policy.inside(pattern.parent / tile, shown)
    return "" if tiles else str(pattern)


def _check_file(path: str, policy: StagePolicy, shown: str) -> None:
    file = Ar.SplitPackageRelativePathOuter(path)[0] if Ar.IsPackageRelativePath(path) else path
    policy.inside(policy.root / file, shown)
