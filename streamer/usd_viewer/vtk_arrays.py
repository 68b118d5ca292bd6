"""NumPy arrays as VTK's and back, with types."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util import numpy_support
from vtkmodules.vtkCommonCore import vtkDataArray, vtkIdTypeArray

from streamer.usd_viewer.scene import Bytes

Number = TypeVar("Number", bound=np.generic)


def data_array(array: NDArray[Number]) -> vtkDataArray:
    """A copy of (n,) or (n, components)."""
    made: vtkDataArray = numpy_support.numpy_to_vtk(np.ascontiguousarray(array), deep=True)  # type: ignore[no-untyped-call]
    return made


def id_array(array: NDArray[np.int64]) -> vtkIdTypeArray:
    """A copy of (n,)."""
    made: vtkIdTypeArray = numpy_support.numpy_to_vtkIdTypeArray(array, deep=True)  # type: ignore[no-untyped-call]
    return made


def bytes_of(array: vtkDataArray) -> Bytes:
    """A view of (n, components)."""
    view: Bytes = numpy_support.vtk_to_numpy(array)  # type: ignore[no-untyped-call]
    return view
