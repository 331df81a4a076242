"""Whatever a caller has, kernels get one kind of array."""

import numba
import numpy as np
import pytest

from fastlander.kernels.arrays import kernel_array


def kinds():
    plain = np.arange(12, dtype=np.float32).reshape(4, 3)
    wide = np.zeros((4, 6), np.float32)
    wide[:, ::2] = plain
    read_only = plain.copy()
    read_only.flags.writeable = False
    packed = np.zeros(4, np.dtype([("odd", np.uint8), ("it", np.float32, (3,))]))
    packed["it"] = plain
    return {
        "plain": plain,
        "transposed": np.asfortranarray(plain),
        "every second": wide[:, ::2],
        "backwards": plain[::-1].copy()[::-1],
        "read only": read_only,
        "unaligned": packed["it"],
        "other byte order": plain.astype(">f4"),
        "double": plain.astype(np.float64),
        "list": plain.tolist(),
        "broadcast": np.broadcast_to(plain[:1], (4, 3)),
    }


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_becomes_the_one_that_kernels_are_compiled_for(kind):
    given = kinds()[kind]
    got = kernel_array(given, np.float32)
    assert numba.typeof(got) == numba.typeof(np.zeros((4, 3), np.float32))
    assert np.array_equal(got, given)
    assert (got is given) == (kind == "plain")
