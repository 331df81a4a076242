"""Every kernel of this package with the types that it is called with, so that it can be compiled without being run.

A kernel that is called with other types is compiled for them then, as any function of Numba. A test holds that what
this package does needs no others.
"""

from collections.abc import Callable, Iterable
from typing import Any

from numba import types

Signatures = list[tuple[Any, tuple[types.Type, ...]]]
"""Kernels (Numba's dispatchers), each with the types of its arguments."""


def _array(dtype: types.Type, dimensions: int = 1) -> types.Array:
    return types.Array(dtype, dimensions, "C")


_BYTES, _FLAGS, _WORDS, _STREAM = (_array(t) for t in (types.uint8, types.boolean, types.int64, types.uint64))
_FLOATS, _DOUBLES, _OBS = _array(types.float32), _array(types.float64), _array(types.float32, 2)
_PLAN = _array(types.int64, 2)
_TRANSITIONS = (_OBS, _WORDS, _FLOATS, _OBS, _FLOATS)


def _served(*arguments: types.Type) -> tuple[types.Type, ...]:
    """The types of a serving kernel's arguments: signal, patience, what its work takes."""
    return _WORDS, types.int64, types.Tuple(arguments)


def lander() -> Signatures:
    """What steps landers."""
    from fastlander.kernels.threads import ask, await_all, note_done_here
    from fastlander.lander.step import STEP_ARGUMENTS, load_actions, serve_steps

    return [
        (serve_steps, STEP_ARGUMENTS),
        (load_actions, (_WORDS, _array(types.float64, 2))),
        (ask, (_WORDS,)),
        (await_all, (_array(types.int64, 2),)),
        (note_done_here, (_WORDS,)),
    ]


def lanes() -> Signatures:
    """What steps them fast."""
    from fastlander.lander.lane_solvers import LANE_SOLVER_ARGUMENTS, LANE_SOLVERS

    return [(solver, LANE_SOLVER_ARGUMENTS) for solver in LANE_SOLVERS.values()]


def single_lander() -> Signatures:
    """What steps the lander of `gym.make`."""
    from fastlander.lander.step_one import step_one

    return [(step_one, (_BYTES, types.float64, types.float64))]


def learner() -> Signatures:
    """What `DQN` acts and learns with, and what stores experience."""
    from fastlander.experience.fold import fold_step
    from fastlander.learner.fused.choose import choose, pack
    from fastlander.learner.fused.update import help_updates, serve_updates

    windows = _array(types.float32, 3), _array(types.int64, 2), _array(types.float64, 2), _WORDS
    step = _OBS, _WORDS, _DOUBLES, _OBS, _FLAGS, _FLAGS
    chunks = _WORDS, _array(types.int64, 3), _OBS, _DOUBLES, _WORDS
    parts = types.Tuple(_TRANSITIONS), types.Tuple((_WORDS, _FLOATS, _FLOATS)), types.Tuple(chunks)
    shared = types.Tuple((_FLOATS, _DOUBLES, *parts))
    job = _DOUBLES, _PLAN, *[_FLOATS] * 5, _STREAM, shared
    return [
        (pack, (_FLOATS, _PLAN, _FLOATS, _FLOATS)),
        (choose, (_FLOATS, _PLAN, _OBS, _DOUBLES, _STREAM, _WORDS)),
        (fold_step, (_DOUBLES, *map(types.Tuple, (windows, step, _TRANSITIONS)))),
        (serve_updates, _served(*job)),
        (help_updates, (shared,)),
    ]


def lecture() -> Signatures:
    """What `Agent` acts and learns with, and what samples a `ReplayBuffer` for its caller."""
    from fastlander.experience.sampling import sample_rows
    from fastlander.learner.adam import flat_adam_step
    from fastlander.learner.fused.lecture_update import batch_gradient, greedy_one, lecture_update

    rows = _array(types.uint8, 2)
    fields = [types.UniTuple(rows, count) for count in (1, 5)]
    ring, batch = (_OBS, _WORDS, _DOUBLES, _OBS, _FLAGS), (_OBS, _WORDS, _FLOATS, _OBS, _FLAGS)
    numbers, place = [types.float32] * 5, (_STREAM, types.int64, types.int64, types.float32)
    memory = _FLOATS, _PLAN, _DOUBLES
    return [
        (greedy_one, (_FLOATS, _WORDS, _FLOATS, _FLOATS)),
        (lecture_update, (*memory, *[_FLOATS] * 4, *numbers, *place, *ring, *batch, _FLOATS)),
        (batch_gradient, (*memory, _FLOATS, _FLOATS, *_TRANSITIONS)),
        (flat_adam_step, (*[_FLOATS] * 4, *numbers)),
        *[(sample_rows, (_STREAM, types.int64, types.int64, field, field)) for field in fields],
    ]


GROUPS: dict[str, Callable[[], Signatures]] = {
    "lander": lander,
    "learner": learner,
    "lanes": lanes,
    "single lander": single_lander,
    "lecture": lecture,
}
"""The kernels by what they are needed for, in the order in which a first training run needs them."""


def compile_group(name: str, may_compile: Callable[[Any], bool] = lambda kernel: True) -> None:
    """Compile the kernels of a group, or load those that were compiled before.

    may_compile: of a kernel; those that it refuses are left out.
    """
    import fastlander.kernels.compile_notice  # noqa: F401 - kernels that compile say so

    for kernel, arguments in GROUPS[name]():
        if may_compile(kernel):
            kernel.compile(arguments)


def every_kernel() -> Iterable[tuple[Any, tuple[types.Type, ...]]]:
    """All kernels of all groups."""
    for group in GROUPS.values():
        yield from group()
