"""The loop of a run on native landers as a kernel: act, learn, step, fold, store, for several vector steps.

`trainer.steps` is the slow twin. What the parts do stands in their own kernels, which are called by address, so that
none of them is compiled a second time.
"""

from numba import types

from fastlander.experience.fold import FOLD_ARGUMENTS, fold_step
from fastlander.kernels.addresses import array_address, array_caller
from fastlander.kernels.array_types import DOUBLES, FLOATS, STREAM, WORDS, array_of
from fastlander.kernels.jit import inlined, uncounted_kernel
from fastlander.kernels.threads import ask_here, asks, await_one, note_done, takes
from fastlander.lander.costs import weighed_reward
from fastlander.lander.exchange import unpack_exchange
from fastlander.lander.step import STEP_ARGUMENTS, serve_steps
from fastlander.learner.fused.choose import CHOOSE_ARGUMENTS, choose
from fastlander.learner.fused.update import (
    LOSS,
    MADE,
    STORED,
    TO_MAKE,
    UPDATE_ARGUMENTS,
    serve_updates,
)

# Words of a place, int64[8]: vector steps to take, and taken; timesteps, updates and stored transitions of the whole
# run; the updates that the vector step at hand has earned; whether its actions are chosen and these asked for; how many
# transitions must be stored before the first update.
WANTED, TAKEN, TIMESTEPS, UPDATES, ADDED, DUE, CHOSEN, LEARNING_STARTS = range(8)

# What `take_steps` returns.
TAKEN_ALL, EPISODES_ENDED, ASLEEP, NOT_FINITE = range(4)
"""All steps are taken. Episodes ended with the last one. The learner's thread has to be woken, and the kernel called
again. A reward or an observation is no finite number."""

_KERNELS = (
    (choose, types.none, CHOOSE_ARGUMENTS),
    (serve_updates, types.none, UPDATE_ARGUMENTS),
    (serve_steps, types.none, STEP_ARGUMENTS),
    (fold_step, types.int64, FOLD_ARGUMENTS),
)
_CHOOSE, _LEARN, _STEP, _FOLD = range(4)
_choose, _learn, _step, _fold = (array_caller(returns, arguments) for _, returns, arguments in _KERNELS)


def loop_addresses() -> list[int]:
    """The addresses of the kernels that `take_steps` calls, in its order. They are compiled or loaded."""
    return [array_address(kernel, arguments) for kernel, _, arguments in _KERNELS]


@inlined
def make_updates_here(calls, here, arguments):
    """Make the updates that were asked for, in this thread. here: int64[4], a signal for it."""
    ask_here(here)
    _learn(calls[_LEARN], (here, 0, arguments))


@inlined
def finish_updates(calls, signal, here, arguments):
    """Return when the updates that the learner's thread was asked for are made."""
    if takes(signal):
        make_updates_here(calls, here, arguments)
        note_done(signal)
    await_one(signal)


@inlined
def step_landers(calls, here, arguments):
    """Step the landers that the exchange says."""
    ask_here(here)
    _step(calls[_STEP], (here, 0, arguments))


@inlined
def store(ring, added, out, rows):
    """Append the first `rows` transitions of `out` to the arrays of a ring to which `added` were appended before."""
    for row in range(rows):
        slot = (added + row) % len(ring[1])
        for k in range(ring[0].shape[1]):
            ring[0][slot, k], ring[3][slot, k] = out[0][row, k], out[3][row, k]
        ring[1][slot], ring[2][slot], ring[4][slot] = out[1][row], out[2][row], out[4][row]


@uncounted_kernel
def take_steps(calls, place, schedule, act, learn, lander, fold, episodes):
    """Take vector steps until all that are wanted are taken or an episode ends. Returns why it ended: TAKEN_ALL, ...

    calls: int64[4], `loop_addresses`. place: int64[8]. schedule: for K vector steps the learning rate, float64[K], and
    the epsilons, float64[K, N]; steps from one update to the next. act: memory, plan and stream of the learner. learn:
    whether its thread makes the updates, its signal, a signal for this thread, and what `make_updates` takes. lander:
    what `step_once` takes, for all N. fold: what `fold_step` takes. episodes: score and playtime of the open ones,
    float64[N] and int64[N], and the CostWeights.
    """
    rates, epsilons, train_freq = schedule
    scores, playtimes, weights = episodes
    memory, table, coins = act
    threaded, signal, here, arguments = learn
    powers, windows, given, out = fold
    obs, action, reward, final_obs, terminated, truncated = given
    job, (_, hyper, ring, _, _) = arguments[0], arguments[8]
    n, room = len(action), len(ring[1])
    exchange = unpack_exchange(lander[1], n)
    while place[TAKEN] < place[WANTED]:
        if place[CHOSEN] == 0:
            _choose(calls[_CHOOSE], (memory, table, obs, epsilons[place[TAKEN]], coins, action))
            place[CHOSEN], place[DUE] = 1, 0
            if min(place[ADDED], room) >= place[LEARNING_STARTS]:
                place[DUE] = place[TIMESTEPS] // train_freq - (place[TIMESTEPS] - n) // train_freq
            if place[DUE]:
                hyper[0] = rates[place[TAKEN]]
                job[MADE], job[TO_MAKE], job[STORED], job[LOSS] = place[UPDATES], place[DUE], min(place[ADDED], room), 0
                if not threaded:
                    make_updates_here(calls, here, arguments)
                elif asks(signal):
                    return ASLEEP
        for i in range(n):
            exchange.action[i, 0] = action[i]
            exchange.todo[i], exchange.fresh[i] = True, False
        step_landers(calls, here, lander)
        ended = False
        for i in range(n):
            terminated[i], truncated[i] = exchange.terminated[i], exchange.truncated[i]
            for k in range(obs.shape[1]):
                final_obs[i, k] = exchange.obs[i, k]
            reward[i] = exchange.reward[i]
            if weights != (1.0, 1.0):
                reward[i] = weighed_reward(reward[i], action[i], obs[i, 0], final_obs[i, 0], weights)
            scores[i] += exchange.reward[i]
            playtimes[i] += 1
            ended = ended or terminated[i] or truncated[i]
        rows = _fold(calls[_FOLD], (powers, windows, given, out))
        if ended:
            for i in range(n):
                exchange.todo[i] = exchange.fresh[i] = terminated[i] or truncated[i]
            step_landers(calls, here, lander)
        for i in range(n):
            for k in range(obs.shape[1]):
                obs[i, k] = exchange.obs[i, k]
        if place[DUE] and threaded:
            finish_updates(calls, signal, here, arguments)
        place[UPDATES] += place[DUE]
        place[CHOSEN] = 0
        if rows < 0:
            return NOT_FINITE
        store(ring, place[ADDED], out, rows)
        place[ADDED] += rows
        place[TIMESTEPS] += n
        place[TAKEN] += 1
        if ended:
            return EPISODES_ENDED
    return TAKEN_ALL


LOOP_ARGUMENTS = (
    WORDS,
    WORDS,
    types.Tuple((DOUBLES, array_of(types.float64, 2), types.int64)),
    types.Tuple((FLOATS, array_of(types.int64, 2), STREAM)),
    types.Tuple((types.boolean, WORDS, WORDS, UPDATE_ARGUMENTS[-1])),
    STEP_ARGUMENTS[-1],
    types.Tuple(FOLD_ARGUMENTS),
    types.Tuple((DOUBLES, WORDS, types.UniTuple(types.float64, 2))),
)
"""Numba's types of what `take_steps` is called with."""
