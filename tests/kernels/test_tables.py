import numba
import numpy as np
import pytest

from fastlander.kernels.tables import viewer

ROWS, CUBES, FLAGS = viewer(np.float32, None), viewer(np.int32, 3, 5), viewer(np.bool_)
NUMBERS = viewer(np.uint64, 2)


def views(memory, rows, columns, cubes):
    end = 8 + 4 * rows * columns
    return ROWS(memory, 8, rows, columns), CUBES(memory, end, cubes), FLAGS(memory, end + 60 * cubes, 8)


jitted_views = numba.extending.register_jitable(views)


@numba.njit
def shuffle_about(memory, rows, columns, cubes):
    floats, integers, flags = jitted_views(memory, rows, columns, cubes)
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            floats[i, j] = floats[i, j] * 2 + j
            total += floats[i, j]
    for k in range(cubes):
        cube = integers[k]
        for i in range(3):
            row = cube[i]
            row[0], cube[i, 4] = row[4] + 1, integers[k, i, 0]
            integers[k, i, 1] += np.int64(7)
        flags[k] = not flags[k] or cube[2, 1] > 50
    return total


@pytest.mark.parametrize(("rows", "columns", "cubes"), [(1, 1, 1), (3, 16, 2), (7, 5, 8)])
def test_a_table_is_the_array_that_python_sees(rows, columns, cubes):
    rng = np.random.default_rng(rows)
    floats = rng.normal(size=rows * columns).astype(np.float32).tobytes()
    integers = rng.integers(-100, 100, 15 * cubes).astype(np.int32).tobytes()
    memory = np.frombuffer(bytes(8) + floats + integers + bytes(rng.integers(0, 2, 8, np.uint8)), np.uint8).copy()
    twin = memory.copy()
    total = shuffle_about.py_func(memory, rows, columns, cubes)
    assert shuffle_about(twin, rows, columns, cubes) == pytest.approx(total)
    assert memory.tobytes() == twin.tobytes()
    assert [view.shape for view in views(memory, rows, columns, cubes)] == [(rows, columns), (cubes, 3, 5), (8,)]


def test_views_share_the_memory():
    memory = np.zeros(64, np.uint8)
    NUMBERS(memory, 16, 3)[:] = [[1, 2], [3, 4], [5, 2**64 - 1]]
    assert memory[16:].view(np.uint64).tolist() == [1, 2, 3, 4, 5, 2**64 - 1]
    assert not memory[:16].any()


@numba.njit
def index_by(memory, index):
    return NUMBERS(memory, 0, 4)[index]


@pytest.mark.parametrize("index", [1.0, (0, 1, 0), (0, 1.5)])
def test_an_index_that_no_table_has_does_not_compile(index):
    with pytest.raises(numba.TypingError):
        index_by(np.zeros(64, np.uint8), index)


@pytest.mark.parametrize("lengths", [(3, None), (None, None), (None, 2)])
def test_only_the_last_of_two_lengths_can_be_open(lengths):
    with pytest.raises(ValueError, match="open"):
        viewer(np.float32, *lengths)
