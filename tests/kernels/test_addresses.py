import numba
import numpy as np
import pytest
from numba import types

from fastlander.kernels.addresses import address_of, caller

ARGUMENTS = (types.CPointer(types.int32), types.int64, types.float32)
call = caller(*ARGUMENTS)


@numba.njit
def add(numbers, count, value):
    for k in range(count):
        numbers[k] += np.int32(value)


@numba.njit
def call_at(address, numbers, count, value):
    call(address, (numbers, count, value))


@numba.njit
def call_with_less(address, numbers):
    call(address, (numbers,))


def test_a_kernel_is_called_by_its_address():
    numbers = np.arange(6, dtype=np.int32)
    address = address_of(add, ARGUMENTS)
    call_at(address, numbers, 4, 2.75)
    assert numbers.tolist() == [2, 3, 4, 5, 4, 5]
    assert address_of(add, ARGUMENTS) == address


def test_arguments_of_other_kinds_do_not_compile():
    numbers = np.zeros(6, np.int32)
    for wrong in [(numbers.astype(np.int64), 4, 2.5), (7, 4, 2.5), (numbers, "4", 2.5), (numbers, 4, numbers)]:
        with pytest.raises(numba.TypingError):
            call_at(1, *wrong)
    with pytest.raises(numba.TypingError):
        call_with_less(1, numbers)
