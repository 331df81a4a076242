"""One step of one lander: the kernel of `LunarLanderEnv`, in scalars only.

It gives the bytes that `step.step_once` gives for one lander, and needs a third of the time: there are no lists of
landers, no fifteen idle lanes, and its arguments are one array and two numbers.
"""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, shared, uncounted_kernel
from fastlander.kernels.tables import viewer
from fastlander.lander.exchange import Exchange, exchange_size, unpack_exchange
from fastlander.lander.step import LEGS, begin_step, end_step
from fastlander.lander.variant import Variant, unpack_variant
from fastlander.physics.island_general import solve_general
from fastlander.physics.island_lanes import LIMITS, NO_LEG_CONTACTS, solve_lanes
from fastlander.physics.state import AWAKE, SCRATCH_SIZE, Scratch, State, memory_size, unpack, unpack_scratch

MEMORY_SIZE = memory_size(1)
"""Bytes of the State at the start of a block."""
_EXCHANGE_END = MEMORY_SIZE + (exchange_size(1) + 7) // 8 * 8
_VARIANT_SIZE = len(Variant._fields)
_VARIANT_END = _EXCHANGE_END + 8 * _VARIANT_SIZE
_ENGINE_END = _VARIANT_END + 8 * 2
BLOCK_SIZE = _ENGINE_END + SCRATCH_SIZE
"""Bytes of a block, the memory of one lander."""

_I = 0  # the number of the only lander


_numbers = viewer(np.float64)


class OneLander(NamedTuple):
    """The fields of a block."""

    state: State  # of one lander
    exchange: Exchange  # of one lander; `todo` is not used
    variant: np.ndarray  # float64[6], of `pack_variant`
    engine: np.ndarray  # float64[2]: main and side power
    scratch: Scratch


@shared
def unpack_one(block: np.ndarray) -> OneLander:
    """The fields of a block as views of uint8[BLOCK_SIZE]."""
    return OneLander(
        state=unpack(block, 1),
        exchange=unpack_exchange(block, 1, MEMORY_SIZE),
        variant=_numbers(block, _EXCHANGE_END, _VARIANT_SIZE),
        engine=_numbers(block, _VARIANT_END, 2),
        scratch=unpack_scratch(block, _ENGINE_END),
    )


@inlined
def solve_one(state, kind, gravity, scratch):
    """Run the solver for a step of the kind that `classify` gave.

    Two solvers are enough, and two more would compile longer. Joints at no limit are right in the solver for limits,
    and contacts of legs in the general one.
    """
    if kind < LEGS:
        solve_lanes(state, _I, gravity, LIMITS, NO_LEG_CONTACTS)
    elif state.i32[AWAKE, _I] or state.i32[AWAKE + 1, _I] or state.i32[AWAKE + 2, _I]:
        solve_general(state, _I, gravity, scratch)


@uncounted_kernel
def step_one(block, first, second):
    """Step the lander of a block, or reset it if its `fresh` is set: (reward, terminated). A reset takes a step too.

    block: uint8[BLOCK_SIZE]. first, second: float64, the action as `Exchange.action` has it. A nan fires no engine, as
    in Gymnasium. The observation is then in the block's Exchange.
    """
    state, exchange, packed_variant, engine, scratch = unpack_one(block)
    variant = unpack_variant(packed_variant)
    exchange.action[_I, 0] = first if first == first else 0.0
    exchange.action[_I, 1] = second if second == second else 0.0
    kind = begin_step(state, _I, variant, exchange, engine, scratch)
    solve_one(state, kind, variant.gravity, scratch)
    end_step(state, _I, variant, exchange, engine, scratch)
    return exchange.reward[_I], exchange.terminated[_I]
