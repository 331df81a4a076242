"""Every kernel of this package with the types that it is called with, so that it can be compiled without being run.

A kernel that is called with other types is compiled for them then, as any function of Numba. A test holds that what
this package does needs no others.
"""

from collections.abc import Callable, Iterable
from typing import Any

from numba import types

from fastlander.kernels.array_types import (
    BYTES,
    DOUBLES,
    FLAGS,
    FLOATS,
    ROWS,
    STREAM,
    TRANSITIONS,
    WORDS,
    array_of,
)

Signatures = list[tuple[Any, tuple[types.Type, ...]]]
"""Kernels (Numba's dispatchers), each with the types of its arguments."""


def lander() -> Signatures:
    """What steps landers."""
    from fastlander.kernels.threads import ask, await_all
    from fastlander.lander.step import STEP_ARGUMENTS, serve_steps
    from fastlander.lander.step_all import STEP_ALL_ARGUMENTS, load_actions, step_all

    return [
        (serve_steps, STEP_ARGUMENTS),
        (load_actions, (WORDS, array_of(types.float64, 2))),
        (step_all, STEP_ALL_ARGUMENTS),
        (ask, (WORDS,)),
        (await_all, (array_of(types.int64, 2),)),
    ]


def lanes() -> Signatures:
    """What steps them fast."""
    from fastlander.lander.lane_solvers import LANE_SOLVER_ARGUMENTS, LANE_SOLVERS

    return [(solver, LANE_SOLVER_ARGUMENTS) for solver in LANE_SOLVERS.values()]


def single_lander() -> Signatures:
    """What steps the lander of `gym.make`."""
    from fastlander.lander.step_one import step_one

    return [(step_one, (BYTES, types.float64, types.float64))]


def learner() -> Signatures:
    """What `DQN` acts and learns with, and what stores experience."""
    from fastlander.experience.fold import FOLD_ARGUMENTS, fold_step
    from fastlander.learner.fused.choose import CHOOSE_ARGUMENTS, choose, pack
    from fastlander.learner.fused.update import UPDATE_ARGUMENTS, serve_updates

    return [
        (pack, (FLOATS, array_of(types.int64, 2), FLOATS, FLOATS)),
        (choose, CHOOSE_ARGUMENTS),
        (fold_step, FOLD_ARGUMENTS),
        (serve_updates, UPDATE_ARGUMENTS),
    ]


def loops() -> Signatures:
    """What takes several vector steps at once, of a run or of greedy episodes."""
    from fastlander.evaluation.flight_loop import FLIGHT_ARGUMENTS, fly
    from fastlander.training.fused_loop import LOOP_ARGUMENTS, take_steps

    return [(take_steps, LOOP_ARGUMENTS), (fly, FLIGHT_ARGUMENTS)]


def lecture() -> Signatures:
    """What `Agent` acts and learns with, and what samples a `ReplayBuffer` for its caller."""
    from fastlander.experience.sampling import sample_rows
    from fastlander.learner.adam import flat_adam_step
    from fastlander.learner.fused.lecture_update import batch_gradient, greedy_one, lecture_update

    rows = array_of(types.uint8, 2)
    fields = [types.UniTuple(rows, count) for count in (1, 5)]
    ring, batch = (ROWS, WORDS, DOUBLES, ROWS, FLAGS), (ROWS, WORDS, FLOATS, ROWS, FLAGS)
    numbers, place = [types.float32] * 5, (STREAM, types.int64, types.int64, types.float32)
    memory = FLOATS, array_of(types.int64, 2), DOUBLES
    return [
        (greedy_one, (FLOATS, WORDS, FLOATS, FLOATS)),
        (lecture_update, (*memory, *[FLOATS] * 4, *numbers, *place, *ring, *batch, FLOATS)),
        (batch_gradient, (*memory, FLOATS, FLOATS, *TRANSITIONS)),
        (flat_adam_step, (*[FLOATS] * 4, *numbers)),
        *[(sample_rows, (STREAM, types.int64, types.int64, field, field)) for field in fields],
    ]


GROUPS: dict[str, Callable[[], Signatures]] = {
    "lander": lander,
    "learner": learner,
    "lanes": lanes,
    "loops": loops,
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
