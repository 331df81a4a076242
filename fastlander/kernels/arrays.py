"""Arrays from outside as kernels take them: one kind of array, whatever a caller has."""

import numpy as np
import numpy.typing as npt


def kernel_array(array: npt.ArrayLike, dtype: npt.DTypeLike) -> np.ndarray:
    """`array` as an aligned, writable, C-contiguous array of `dtype`: itself if it is one, else a copy.

    Numba compiles a kernel anew for every other kind of array, which takes a minute for the larger ones.
    """
    array = np.asarray(array, dtype)
    return array if array.flags.carray else array.copy()
