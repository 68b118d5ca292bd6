"""The prims of a stage by name and kind, as plain arrays: what `getChildrenRequest` is answered from."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from streamer.usd_viewer.scene import Bytes, Integers

_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
ROOT = -1
"""The index of the stage's pseudo-root, whose path is `/`."""


class BadTreeFile(Exception):
    """Not a file of prims; the reading process broke."""


class PrimKind(IntFlag):
    """What a prim is, as far as filters of `getChildrenRequest` ask."""

    MESH = 1
    XFORM = 2
    SCOPE = 4
    GEOMETRY = 8
    """It is geometry, or holds some."""


@dataclass(frozen=True, slots=True)
class Prim:
    """A prim as a list of children shows it."""

    name: str
    kind: PrimKind
    has_children: bool


@dataclass(frozen=True, slots=True, eq=False)
class PrimTree:
    """All prims, each after its parent.

    Args:
        parents: (n,) index of each prim's parent, ROOT for the outermost.
        kinds: (n,) PrimKind.
        names: UTF-8, one after another.
        ends: (n,) where each name ends.
    """

    parents: Integers
    kinds: Bytes
    names: Bytes
    ends: NDArray[np.int64]
    _order: NDArray[np.int64] = field(init=False)
    _sorted_parents: Integers = field(init=False)
    _starts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        # Siblings keep the order in which the stage holds them.
        order = np.argsort(self.parents, kind="stable")
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_sorted_parents", self.parents[order])
        object.__setattr__(self, "_starts", np.concatenate([np.zeros(1, np.int64), self.ends])[: len(self.ends)])

    def __len__(self) -> int:
        return len(self.parents)

    @classmethod
    def of(cls, prims: Sequence[tuple[int, str, PrimKind]]) -> "PrimTree":
        """The tree of (parent, name, own kind), each after its parent; GEOMETRY is handed up to what holds it."""
        kinds = [int(kind) for _, _, kind in prims]
        for index in range(len(prims) - 1, -1, -1):
            if kinds[index] & PrimKind.GEOMETRY and prims[index][0] != ROOT:
                kinds[prims[index][0]] |= PrimKind.GEOMETRY
        encoded = [name.encode() for _, name, _ in prims]
        return cls(
            np.array([parent for parent, _, _ in prims], np.int32),
            np.array(kinds, np.uint8),
            np.frombuffer(b"".join(encoded), np.uint8),
            np.cumsum([len(name) for name in encoded], dtype=np.int64),
        )

    def find(self, path: str) -> int | None:
        """The index of the prim with this absolute path, ROOT for `/`; None where there is none."""
        if not path.startswith("/"):
            return None
        index = ROOT
        for name in path[1:].split("/") if path != "/" else ():
            found = self._child_called(index, name)
            if found is None:
                return None
            index = found
        return index

    def children(self, index: int, among: PrimKind | None = None) -> list[int]:
        """The children of a prim, or of the ROOT, that are of one of these kinds; of any kind for None."""
        found = self._children(index)
        chosen: list[int] = (found if among is None else found[self.kinds[found] & among > 0]).tolist()
        return chosen

    def prim(self, index: int) -> Prim:
        """What is known of a prim."""
        return Prim(self._name(index), PrimKind(int(self.kinds[index])), len(self._children(index)) > 0)

    def _children(self, index: int) -> NDArray[np.int64]:
        low, high = (np.searchsorted(self._sorted_parents, index, side) for side in _SIDES)
        return self._order[low:high]

    def _child_called(self, index: int, name: str) -> int | None:
        wanted = np.frombuffer(name.encode(errors="replace"), np.uint8)
        children = self._children(index)
        fitting = children[self.ends[children] - self._starts[children] == len(wanted)]
        if not len(fitting) or not len(wanted):
            return None
        same = (self.names[self._starts[fitting][:, None] + np.arange(len(wanted))] == wanted).all(axis=1)
        return int(fitting[same.argmax()]) if same.any() else None

    def _name(self, index: int) -> str:
        return self.names[self._starts[index] : self.ends[index]].tobytes().decode(errors="replace")


def write_tree(tree: PrimTree, file: IO[bytes]) -> None:
    """Write a tree to a binary file."""
    np.savez(file, allow_pickle=False, parents=tree.parents, kinds=tree.kinds, names=tree.names, ends=tree.ends)


def read_tree(file: IO[bytes], *, limit_bytes: int) -> PrimTree:
    """Read a tree, every index checked; BadTreeFile for anything else, or for more than `limit_bytes`."""
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > limit_bytes:
                raise BadTreeFile("more bytes than allowed")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return _checked(arrays["parents"], arrays["kinds"], arrays["names"], arrays["ends"])
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadTreeFile(str(error)) from error


def _checked(parents: Integers, kinds: Bytes, names: Bytes, ends: NDArray[np.int64]) -> PrimTree:
    arrays = ((parents, np.int32), (kinds, np.uint8), (names, np.uint8), (ends, np.int64))
    if any(array.ndim != 1 or array.dtype != kind for array, kind in arrays):
        raise ValueError("arrays of other types or shapes")
    if not len(parents) == len(kinds) == len(ends):
        raise ValueError("arrays of different lengths")
    if (parents < ROOT).any() or (parents >= np.arange(len(parents))).any():
        raise ValueError("a prim before its parent")
    if (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] != len(names)):
        raise ValueError("names that end nowhere")
    return PrimTree(parents, kinds, names, ends)
