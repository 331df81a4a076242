"""One step of all landers as its caller asks for it: discrete actions in, and which episodes have ended.

`Stepper.load` and `Stepper.step` do the same in more calls, for any landers. Around a step of sixteen landers each call
from Python counts.
"""

from numba import types

from fastlander.kernels.addresses import array_caller
from fastlander.kernels.array_types import FLAGS, WORDS
from fastlander.kernels.jit import inlined, uncounted_kernel
from fastlander.kernels.threads import ask_here
from fastlander.lander.exchange import unpack_exchange
from fastlander.lander.step import STEP_ARGUMENTS

_step = array_caller(types.none, STEP_ARGUMENTS)


@inlined
def copy_actions(actions, buffer):
    """Copy discrete actions, int64[N], to column 0 of float64[N, 2].

    Returns the index of the first number that is no action, or -1. Nothing after it is copied.
    """
    for i in range(len(actions)):
        if actions[i] < 0 or actions[i] > 3:
            return i
        buffer[i, 0] = actions[i]
    return -1


@uncounted_kernel
def load_actions(actions, buffer):
    """`copy_actions`, for a caller outside of kernels."""
    return copy_actions(actions, buffer)


@uncounted_kernel
def step_all(
    step, here, actions, ended, resets, memory, block, packed_variant, workspace, solvers, num_envs, first, last
):
    """Load the actions and step all landers, or reset first those whose episode has ended.

    step: the address of `serve_steps`. here: int64[4], a signal for this thread. actions: int64[N]. ended: bool[N],
    whose episode the last step ended; then whose this one has ended. resets: whether these are reset. The others: what
    `step_once` takes for all landers. Returns how many episodes have ended, or -1 - i where number i is no action; then
    no lander was stepped.
    """
    exchange = unpack_exchange(block, num_envs)
    wrong = copy_actions(actions, exchange.action)
    if wrong >= 0:
        return -1 - wrong
    for i in range(num_envs):
        exchange.todo[i], exchange.fresh[i] = True, resets and ended[i]
    ask_here(here)
    _step(step, (here, 0, (memory, block, packed_variant, workspace, solvers, num_envs, first, last)))
    count = 0
    for i in range(num_envs):
        ended[i] = exchange.terminated[i] or exchange.truncated[i]
        count += ended[i]
    return count


STEP_ALL_ARGUMENTS = types.int64, WORDS, WORDS, FLAGS, types.boolean, *STEP_ARGUMENTS[-1]
"""Numba's types of what `step_all` is called with."""
