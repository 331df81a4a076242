"""Greedy episodes on native landers as a kernel: choose and step, until one ends.

The loop in `evaluate_all` is the slow twin.
"""

from numba import types

from fastlander.kernels.addresses import array_address, array_caller
from fastlander.kernels.array_types import DOUBLES, FLAGS, FLOATS, ROWS, STREAM, WORDS, array_of
from fastlander.kernels.jit import uncounted_kernel
from fastlander.kernels.threads import ask_here, asks, await_one, is_unbegun
from fastlander.lander.exchange import unpack_exchange
from fastlander.lander.step import STEP_ARGUMENTS, serve_steps
from fastlander.learner.fused.choose import CHOOSE_ARGUMENTS, choose

# Words of a place, int64[6]: vector steps to take, and taken; how far the one at hand is; whether this thread steps all
# landers; the threads that have to be woken, a bit for each; the thread whose share may be taken.
WANTED, TAKEN, PHASE, ALONE, SLEEPING, SHARE = range(6)
_BEGIN, _ASKED, _STEPPED = range(3)  # phases

# What `fly` returns.
TAKEN_ALL, EPISODES_ENDED, ASLEEP, NOT_BEGUN = range(4)
"""All steps are taken. Episodes ended with the last one. Threads have to be woken, or the share of one, which
has not begun it, has to be done, and the kernel called again."""

FEW = 24
"""Landers that one thread steps sooner than two."""

_choose, _step = array_caller(types.none, CHOOSE_ARGUMENTS), array_caller(types.none, STEP_ARGUMENTS)


def flight_addresses() -> list[int]:
    """The addresses of the kernels that `fly` calls, in its order. They are compiled or loaded."""
    return [array_address(choose, CHOOSE_ARGUMENTS), array_address(serve_steps, STEP_ARGUMENTS)]


@uncounted_kernel
def fly(calls, place, act, threads, own, whole, playing, totals):
    """Take vector steps of the landers that play, until all that are wanted are taken or an episode ends. Returns why.

    calls: int64[2], `flight_addresses`. place: int64[6]. act: memory, plan and stream of a policy; room for
    observations, epsilons (all 0) and actions. threads: the signals of those that share a step with this one,
    int64[threads, 4], and a signal for this one. own, whole: what `step_once` takes for its share, and for all
    landers. playing: bool[N]. totals: return and playtime of each episode so far, float64[N] and int64[N].
    """
    memory, table, coins, obs, epsilon, action = act
    signals, here = threads
    returns, playtimes = totals
    n = len(playing)
    exchange = unpack_exchange(whole[1], n)
    while place[TAKEN] < place[WANTED]:
        if place[PHASE] == _BEGIN:
            count = 0
            for i in range(n):
                if playing[i]:
                    for k in range(obs.shape[1]):
                        obs[count, k] = exchange.obs[i, k]
                    count += 1
            _choose(calls[0], (memory, table, obs[:count], epsilon[:count], coins, action[:count]))
            place[ALONE] = len(signals) == 0 or count <= FEW
            count = 0
            for i in range(n):
                exchange.todo[i], exchange.fresh[i] = playing[i], False
                if playing[i]:
                    exchange.action[i, 0] = action[count]
                    count += 1
            place[PHASE], place[SLEEPING] = _ASKED, 0
            if not place[ALONE]:
                for k in range(len(signals)):
                    if asks(signals[k]):
                        place[SLEEPING] |= 1 << k
            if place[SLEEPING]:
                return ASLEEP
        if place[PHASE] == _ASKED:
            ask_here(here)
            _step(calls[1], (here, 0, whole if place[ALONE] else own))
            place[PHASE] = _STEPPED
        if not place[ALONE]:
            for k in range(len(signals)):
                signal = signals[k]
                if is_unbegun(signal):
                    place[SHARE] = k
                    return NOT_BEGUN
                await_one(signal)
        ended = False
        for i in range(n):
            if playing[i]:
                returns[i] += exchange.reward[i]
                playtimes[i] += 1
                ended = ended or exchange.terminated[i] or exchange.truncated[i]
        place[PHASE] = _BEGIN
        place[TAKEN] += 1
        if ended:
            return EPISODES_ENDED
    return TAKEN_ALL


FLIGHT_ARGUMENTS = (
    WORDS,
    WORDS,
    types.Tuple((FLOATS, array_of(types.int64, 2), STREAM, ROWS, DOUBLES, WORDS)),
    types.Tuple((array_of(types.int64, 2), WORDS)),
    STEP_ARGUMENTS[-1],
    STEP_ARGUMENTS[-1],
    FLAGS,
    types.Tuple((DOUBLES, WORDS)),
)
"""Numba's types of what `fly` is called with."""
