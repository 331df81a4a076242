"""Parts of kernels beside Numba's own compiler and Python."""

import numba
import numpy as np
import pytest
from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from fastlander.kernels import part_passes, part_typing
from fastlander.kernels.jit import inlined, part, shared, uncounted_kernel
from fastlander.kernels.part_typing import TypingMemory


def collatz(n, limit):
    """Loops, an early return and variables that are set on several ways."""
    steps = 0
    while n != 1:
        if steps == limit:
            return -1, n
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    last = steps if steps > 3 else limit
    return steps, last


def weighed(x, weight):
    """One function for a weight and for none."""
    total = np.float32(0)
    for k in range(3):
        total += x[k] if weight is None else x[k] * weight
    return total


def swapped(pair):
    first, second = pair
    if first > second:
        first, second = second, first
    return second, first, pair[0] if first == second else pair[1]


@pytest.mark.parametrize("as_part", [part, inlined])
@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (collatz, [(n, limit) for n in (1, 2, 7, 27) for limit in (0, 5, 200)]),
        (weighed, [((np.float32(0.1), np.float32(0.7), np.float32(1e8)), w) for w in (None, np.float32(0.3))]),
        (swapped, [((1.5, -2.0),), ((-2.0, 1.5),), ((3.0, 3.0),)]),
    ],
)
def test_a_part_gives_what_python_and_numbas_own_compiler_give(as_part, function, calls):
    compiled, plain = as_part(function), numba.njit(function)

    @uncounted_kernel
    def kernel(arguments):
        return compiled(*arguments)

    for arguments in calls:
        result = kernel(arguments)
        assert result == function(*arguments)
        assert result == plain(*arguments)


@part
def third(x):
    return x / 3


@part
def third_and_more(x):
    return third(x) + 1


@inlined
def both(x):
    return third_and_more(x) - third(x)


@shared
def from_python_too(x):
    return 2 * third(x)


@pytest.mark.parametrize("order", [0, 1])
def test_parts_that_call_each_other_are_all_in_a_kernel(order):
    """Whichever is named first, and also where Numba's own compiler links them."""

    @uncounted_kernel
    def kernel(x):
        if order:
            return third(x) + both(x) + from_python_too(x)
        return both(x) + from_python_too(x) + third(x)

    plain = numba.njit(lambda x: both(x) + from_python_too(x) + third(x))
    assert kernel(6.0) == plain(6.0) == 7.0


@numba.extending.intrinsic(prefer_literal=True)
def scaled(typing_context, x, factor):
    """x times a number that is written out."""
    number = factor.literal_value

    def code(context, builder, signature, arguments):
        return builder.fmul(arguments[0], context.get_constant(types.float64, number))

    return types.float64(x, factor), code


def test_what_is_compiled_for_a_number_that_is_written_out_is_not_taken_for_another_one():
    twice, thrice = part(lambda x: scaled(x, 2)), part(lambda x: scaled(x, 3))
    twice_again = part(lambda x: scaled(x, 2))

    @uncounted_kernel
    def kernel(x):
        return twice(x), thrice(x), twice_again(x)

    assert kernel(1.0) == (2.0, 3.0, 2.0)


def test_a_mistake_in_a_part_is_told_with_its_place_and_types():
    @part
    def mistaken(x):
        return x + "no number"

    @uncounted_kernel
    def kernel(x):
        return mistaken(x)

    with pytest.raises(TypingError) as told:
        kernel(1.0)
    message = str(told.value)
    for part_of_it in ("float64", "unicode_type", "test_part_compiler.py"):
        assert part_of_it in message


class Asked:
    """A typing context that counts."""

    def __init__(self, answers):
        self.answers, self.questions, self.other = answers, [], "the context's own"

    def _answer(self, *question):
        self.questions.append(question)
        return self.answers.get(question[-1])

    resolve_function_type = resolve_getattr = resolve_static_getitem = resolve_setitem = _answer


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.setattr(part_typing, "_known", {})
    return TypingMemory(Asked({"x": types.float32, 1: "one", types.int32: "set"}))


def test_each_question_is_asked_once_and_again_while_there_is_no_answer(memory):
    for _ in range(3):
        assert memory.resolve_getattr(types.int32, "x") is types.float32
        assert memory.resolve_setitem(types.int32, types.int64, types.int32) == "set"
    assert len(memory._context.questions) == 2
    for _ in range(3):
        assert memory.resolve_getattr(types.int32, "y") is None
    assert len(memory._context.questions) == 5
    assert memory.other == "the context's own"


def test_equal_indices_of_different_types_are_different_questions(memory):
    for index in (1, True, 1, True, np.int64(1)):
        memory.resolve_static_getitem(types.int32, index)
    assert [type(index) for _, index in memory._context.questions] == [int, bool, np.int64]


def test_an_index_that_has_no_hash_is_asked_about_each_time(memory):
    memory._context.resolve_static_getitem = lambda value, index: (value, index)
    cut = slice(0, 2)
    unhashable = [cut, [1]]
    for index in unhashable:
        assert memory.resolve_static_getitem(types.int32, index) == (types.int32, index)


def test_the_size_of_a_type_is_asked_once_unless_the_type_has_a_name(monkeypatch):
    monkeypatch.setattr(part_passes, "_sizes", {})
    asked = []

    class Context:
        def get_abi_sizeof(self, kind):
            asked.append(str(kind))
            return 8 * len(asked)

    size_of = part_passes._size_of(Context())
    words = ir.ArrayType(ir.IntType(64), 12345)
    named = ir.Context().get_identified_type("anything")
    assert size_of(words) == size_of(ir.ArrayType(ir.IntType(64), 12345)) == 8
    for kind in (named, ir.ArrayType(named, 2)):
        assert size_of(kind) != size_of(kind)
    assert len(asked) == 5
