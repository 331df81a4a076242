"""The kernel behind `NStep`: one step of every environment into the open windows."""

import math

from numba import types

from fastlander.kernels.array_types import DOUBLES, FLAGS, ROWS, TRANSITIONS, WORDS, array_of
from fastlander.kernels.jit import kernel


@kernel
def fold_step(powers, windows, step, out):
    """Take a step into the windows and write the transitions that are complete now to `out`: how many, or -1.

    powers: float64[n + 1], gamma**k. windows, step, out: the arrays of `NStep` and `NStep.fold`. -1: a reward or an
    observation is no finite number, and nothing was changed. Numbers are copied one by one: for a row at once Numba
    compiles four times as long.
    """
    window_obs, window_action, window_reward, waiting = windows
    obs, action, reward, next_obs, terminated, truncated = step
    n, rows, obs_size = window_reward.shape[1], 0, obs.shape[1]
    for env in range(len(reward)):
        finite = math.isfinite(reward[env])
        for k in range(obs_size):
            finite = finite and math.isfinite(next_obs[env, k])
        if not finite:
            return -1
    for env in range(len(reward)):
        last = waiting[env]
        for k in range(obs_size):
            window_obs[env, last, k] = obs[env, k]
        window_action[env, last], window_reward[env, last] = action[env], reward[env]
        count = last + 1
        ended = terminated[env] or truncated[env]
        leaving = count if ended else count // n  # all of them, or the oldest of a full window
        for first in range(leaving):
            steps = count - first
            total = 0.0
            for j in range(steps):
                total += powers[j] * window_reward[env, first + j]
            for k in range(obs_size):
                out[0][rows, k], out[3][rows, k] = window_obs[env, first, k], next_obs[env, k]
            out[1][rows], out[2][rows] = window_action[env, first], total
            out[4][rows] = 0.0 if terminated[env] else powers[steps]
            rows += 1
        for place in range(leaving, count):
            for k in range(obs_size):
                window_obs[env, place - leaving, k] = window_obs[env, place, k]
            window_action[env, place - leaving] = window_action[env, place]
            window_reward[env, place - leaving] = window_reward[env, place]
        waiting[env] = count - leaving
    return rows


_WINDOWS = array_of(types.float32, 3), array_of(types.int64, 2), array_of(types.float64, 2), WORDS
_STEP = ROWS, WORDS, DOUBLES, ROWS, FLAGS, FLAGS
FOLD_ARGUMENTS = DOUBLES, types.Tuple(_WINDOWS), types.Tuple(_STEP), types.Tuple(TRANSITIONS)
"""Numba's types of what `fold_step` is called with."""
