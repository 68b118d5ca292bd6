"""Everything that a stage refers to, found before anything of it is composed, and checked against the policy."""

from pathlib import Path

from pxr import Ar, Sdf, Usd, UsdUtils

from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused, is_remote, shorten


def check_dependencies(stage: Path, policy: StagePolicy) -> tuple[str, ...]:
    """Follow every sublayer, reference, payload, clip and asset of a stage, each only once it was found admissible.

    Returns:
        What is missing, as authored.

    Raises:
        StageRefused: for the first thing that lies outside the root.
    """
    refused: list[StageRefused] = []

    def check(layer: Sdf.Layer, found: UsdUtils.DependencyInfo) -> UsdUtils.DependencyInfo:
        try:
            for asset in (found.assetPath, *found.dependencies):
                _check_asset(layer, asset, policy)
        except StageRefused as error:
            refused.append(error)
        return UsdUtils.DependencyInfo() if refused else found

    _, _, unresolved = UsdUtils.ComputeAllDependencies(str(stage), check)
    if refused:
        raise refused[0]
    return tuple(sorted({policy.relative(path) for path in unresolved}))


def check_used_layers(stage: Usd.Stage, policy: StagePolicy) -> None:
    """Check the layers that composition brought in after all, by expressions that only it evaluates."""
    for layer in stage.GetUsedLayers():
        if not layer.anonymous:
            _check_file(layer.realPath or layer.identifier, policy, policy.relative(layer.identifier))


def _check_asset(layer: Sdf.Layer, asset: str, policy: StagePolicy) -> None:
    path = Sdf.Layer.SplitIdentifier(asset)[0]
    if not path:
        return
    shown = f"{shorten(path)}, which {policy.relative(layer.identifier)} refers to,"
    if is_remote(path):
        raise StageRefused(f"{shown} is a URI; a stage may refer to files in the folder of stages only")
    anchored = Sdf.ComputeAssetPathRelativeToLayer(layer, path)
    _check_file(anchored, policy, shown)
    resolved = Ar.GetResolver().Resolve(anchored).GetPathString()
    if resolved:
        _check_file(resolved, policy, shown)


def _check_file(path: str, policy: StagePolicy, shown: str) -> None:
    file = Ar.SplitPackageRelativePathOuter(path)[0] if Ar.IsPackageRelativePath(path) else path
    policy.inside(policy.root / file, shown)
