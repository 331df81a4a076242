"""The kernel behind `NStep`: one step of every environment into the open windows."""

import math

from fastlander.kernels.jit import kernel


@kernel
def fold_step(powers, windows, step, out):
    """Take a step into the windows and write the transitions that are complete now to `out`: how many, or -1.

    powers: float64[n + 1], gamma**k. windows, step, out: the arrays of `NStep` and `NStep.fold`. -1: a reward or an
    observation is no finite number, and nothing was changed.
    """
    window_obs, window_action, window_reward, waiting = windows
    obs, action, reward, next_obs, terminated, truncated = step
    n, rows = window_reward.shape[1], 0
    for env in range(len(reward)):
        finite = math.isfinite(reward[env])
        for value in next_obs[env]:
            finite = finite and math.isfinite(value)
        if not finite:
            return -1
    for env in range(len(reward)):
        last = waiting[env]
        window_obs[env, last], window_action[env, last] = obs[env], action[env]
        window_reward[env, last] = reward[env]
        count = last + 1
        ended = terminated[env] or truncated[env]
        leaving = count if ended else count // n  # all of them, or the oldest of a full window
        for first in range(leaving):
            steps = count - first
            total = 0.0
            for j in range(steps):
                total += powers[j] * window_reward[env, first + j]
            out[0][rows], out[1][rows] = window_obs[env, first], window_action[env, first]
            out[2][rows], out[3][rows] = total, next_obs[env]
            out[4][rows] = 0.0 if terminated[env] else powers[steps]
            rows += 1
        for place in range(leaving, count):
            window_obs[env, place - leaving] = window_obs[env, place]
            window_action[env, place - leaving] = window_action[env, place]
            window_reward[env, place - leaving] = window_reward[env, place]
        waiting[env] = count - leaving
    return rows
