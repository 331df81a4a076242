"""The solvers for many landers at once, each a kernel of its own that the step calls by address.

The step has a solver for every lander (`solve_general`), and is ready when that is compiled. These are five times as
fast, give the same bytes, and are used as soon as they are there.
"""

from numba import types

from fastlander.kernels.addresses import caller
from fastlander.kernels.jit import uncounted_kernel
from fastlander.kernels.processor import has_avx512
from fastlander.kernels.simd_memory import index16, index32
from fastlander.physics.island_lanes import LEG_CONTACTS, LIMITS, NO_LEG_CONTACTS, NO_LIMITS, solve_lanes
from fastlander.physics.island_stages import solve_in_stages
from fastlander.physics.state import unpack

FREE, LIMITED, LEGS = 0, 1, 2
"""Kinds of steps, by what the solver must handle: neither limits nor contacts, joints at limits, limits and contacts of
legs. They are places in a table of addresses too, of the solvers for 16 landers."""
FREE32, LIMITED32, NUM_LANE_SOLVERS = 3, 4, 5
"""The places of solvers for 32 landers. Two vectors of sixteen hide each other's waiting if there are registers enough
for both, as AVX-512 has. Without it, 32 landers take a third longer than 16 and 16."""
IN_PAIRS = has_avx512()
"""Whether vectors are solved in pairs where there are many landers."""

# memory: the State of num_envs landers. members: numbers of landers, padded to whole vectors; those from `start` to
# before `end` are solved. waiting: room for as many numbers.
LANE_SOLVER_ARGUMENTS = (
    types.CPointer(types.uint8),  # memory
    types.int64,  # num_envs
    types.CPointer(types.int32),  # members
    types.CPointer(types.int32),  # waiting
    types.int64,  # start
    types.int64,  # end
    types.float32,  # gravity, m/s^2
)

call_lane_solver = caller(*LANE_SOLVER_ARGUMENTS)
"""(address, (memory, num_envs, members, waiting, start, end, gravity)): run the solver at an address."""


@uncounted_kernel
def solve_free(memory, num_envs, members, waiting, start, end, gravity):
    """Landers of which no joint is at a limit and no leg touches the ground, by sixteen."""
    state = unpack(memory, num_envs)
    for first in range(start, end, 16):
        solve_lanes(state, index16(members, first), gravity, NO_LIMITS, NO_LEG_CONTACTS)


@uncounted_kernel
def solve_limited(memory, num_envs, members, waiting, start, end, gravity):
    """Landers of which no leg touches the ground, by sixteen."""
    solve_in_stages(unpack(memory, num_envs), members, waiting, start, end, gravity, index16, 16)


@uncounted_kernel
def solve_legs(memory, num_envs, members, waiting, start, end, gravity):
    """Landers of which each leg may touch one edge with one corner, by sixteen."""
    state = unpack(memory, num_envs)
    for first in range(start, end, 16):
        solve_lanes(state, index16(members, first), gravity, LIMITS, LEG_CONTACTS)


@uncounted_kernel
def solve_free32(memory, num_envs, members, waiting, start, end, gravity):
    """`solve_free` by thirty-two."""
    state = unpack(memory, num_envs)
    for first in range(start, end, 32):
        solve_lanes(state, index32(members, first), gravity, NO_LIMITS, NO_LEG_CONTACTS)


@uncounted_kernel
def solve_limited32(memory, num_envs, members, waiting, start, end, gravity):
    """`solve_limited` by thirty-two."""
    solve_in_stages(unpack(memory, num_envs), members, waiting, start, end, gravity, index32, 32)


LANE_SOLVERS = {LIMITED: solve_limited, LEGS: solve_legs}
"""The solvers that this processor uses, by place, the most needed ones first."""
LANE_SOLVERS |= {FREE32: solve_free32, LIMITED32: solve_limited32} if IN_PAIRS else {FREE: solve_free}
