"""One step of many landers: which landers are solved together, and what each lander does by itself."""

from typing import NamedTuple

import numpy as np
from numba import types

from fastlander.kernels.array_types import BYTES, DOUBLES, WORDS, served
from fastlander.kernels.jit import inlined, part, shared
from fastlander.kernels.tables import viewer
from fastlander.kernels.threads import serving
from fastlander.lander.exchange import unpack_exchange
from fastlander.lander.game import blow, engine_powers, finish_step, fire_engines, observe, reset
from fastlander.lander.lane_solvers import FREE, FREE32, IN_PAIRS, LEGS, LIMITED, LIMITED32, call_lane_solver
from fastlander.lander.variant import unpack_variant
from fastlander.physics.bodies import JOINT0, JOINT1, LANDER, NUM_BODIES
from fastlander.physics.broad_phase import update_pairs
from fastlander.physics.constants import INACTIVE, NO, ZERO
from fastlander.physics.contact_constraint import friction_of
from fastlander.physics.island_general import solve_general
from fastlander.physics.island_stages import pad
from fastlander.physics.revolute_joint import limit_state
from fastlander.physics.state import (
    AWAKE,
    BODY,
    EDGE,
    ELAPSED,
    ENABLED,
    FACE_B,
    FORCE,
    LEG_CONTACT,
    LEG_TOUCHES,
    LOCAL_NORMAL,
    LOCAL_POINT,
    NUM_CONTACTS,
    POINT,
    POINT_COUNT,
    POSITION,
    SCRATCH_SIZE,
    SHAPING,
    TOUCHING,
    Scratch,
    unpack,
    unpack_scratch,
)
from fastlander.physics.world import collide, solve_toi

GENERAL, NUM_KINDS = 3, 4
"""Kinds of steps, by what the solver must handle: FREE, LIMITED and LEGS of `lane_solvers`, or any situation."""


class Workspace(NamedTuple):
    """Memory that one thread needs to step a range of landers."""

    members: np.ndarray  # int32[NUM_KINDS, landers + 64]: the landers of each kind
    engine: np.ndarray  # float64[landers, 2]: main and side power
    scratch: Scratch


def workspace_size(landers: int) -> int:
    """Bytes of a Workspace for a range of so many landers."""
    return 16 * landers + 4 * NUM_KINDS * (landers + 64) + SCRATCH_SIZE


_members, _engine = viewer(np.int32, None), viewer(np.float64, 2)


@shared
def unpack_workspace(memory: np.ndarray, landers: int) -> Workspace:
    """The fields of a workspace as views of uint8[workspace_size(landers)]."""
    end = 16 * landers
    members_end = end + 4 * NUM_KINDS * (landers + 64)
    return Workspace(
        members=_members(memory, end, NUM_KINDS, landers + 64),
        engine=_engine(memory, 0, landers),
        scratch=unpack_scratch(memory, members_end),
    )


@inlined
def classify(state, i):
    """The kind of lander i's step. For LEGS it also fills LEG_CONTACT and LEG_TOUCHES."""
    i32, f32 = state.i32, state.f32
    for body in range(NUM_BODIES):
        if i32[AWAKE + body, i] == 0:
            return GENERAL
    if i32[NUM_CONTACTS, i]:
        kind = take_leg_contacts(state, i)
        if kind != LIMITED:
            return kind
    angle0, angle1, angle2 = f32[POSITION + 2, i], f32[POSITION + 5, i], f32[POSITION + 8, i]
    if limit_state(JOINT0, angle0, angle1) == INACTIVE and limit_state(JOINT1, angle0, angle2) == INACTIVE:
        return FREE
    return LIMITED


@part
def take_leg_contacts(state, i):
    """LIMITED if nothing touches, LEGS if each leg touches at most one edge and that with one corner, else GENERAL."""
    i32, f32 = state.i32, state.f32
    i32[LEG_TOUCHES, i], i32[LEG_TOUCHES + 1, i] = NO, NO
    kind = LIMITED
    for slot in range(i32[NUM_CONTACTS, i]):
        contact, values = state.contact_i32[i, slot], state.contact_f32[i, slot]
        if contact[TOUCHING] == 0 or contact[ENABLED] == 0:
            continue
        body = contact[BODY]
        if body == LANDER or contact[POINT_COUNT] != 1 or contact[FACE_B] != 0 or i32[LEG_TOUCHES + body - 1, i] != 0:
            return GENERAL
        kind = LEGS
        row = LEG_CONTACT + 9 * (body - 1)
        f32[row, i], f32[row + 1, i] = values[LOCAL_NORMAL], values[LOCAL_NORMAL + 1]
        f32[row + 2, i], f32[row + 3, i] = values[LOCAL_POINT], values[LOCAL_POINT + 1]
        for k in range(4):
            f32[row + 4 + k, i] = values[POINT + k]
        f32[row + 8, i] = friction_of(body, contact[EDGE])
        i32[LEG_TOUCHES + body - 1, i] = slot + 1
    return kind


@inlined
def return_leg_impulses(state, i):
    """b2ContactSolver::StoreImpulses for a lander that was solved in lanes: from LEG_CONTACT to its contacts."""
    for leg in range(2):
        slot = state.i32[LEG_TOUCHES + leg, i] - 1
        if slot >= 0:
            row = LEG_CONTACT + 9 * leg
            state.contact_f32[i, slot, POINT + 2] = state.f32[row + 6, i]
            state.contact_f32[i, slot, POINT + 3] = state.f32[row + 7, i]


@inlined
def begin_step(state, i, variant, exchange, engine, scratch):
    """Everything before the solver: reset if the lander is fresh, wind, engines, collisions. Returns the step's kind.

    engine: float64[2], where the engines' powers are kept for the reward.
    """
    if exchange.fresh[i]:
        reset(state, i, variant)
    blow(state, i, variant)
    main_power, side_power, direction = engine_powers(variant, exchange.action, i)
    if exchange.fresh[i]:
        main_power, side_power = 0.0, 0.0
    engine[0], engine[1] = main_power, side_power
    fire_engines(state, i, main_power, side_power, direction)
    if state.i32[NUM_CONTACTS, i]:
        collide(state, i, scratch)
    return classify(state, i)


@inlined
def clear_results(i, exchange):
    """Reward 0 and flags False, for a lander that was reset or that stood still."""
    exchange.reward[i], exchange.terminated[i], exchange.truncated[i] = 0.0, False, False


@inlined
def end_step(state, i, variant, exchange, engine, scratch):
    """Everything after the solver: new contacts, times of impact, observation, reward and flags."""
    update_pairs(state, i)
    if state.i32[NUM_CONTACTS, i]:
        solve_toi(state, i, scratch)
    if not exchange.fresh[i]:
        finish_step(state, i, variant, engine[0], engine[1], exchange)
        return
    _, state.f64[SHAPING, i] = observe(state, i, exchange.obs)
    state.i32[ELAPSED, i] = 0
    for k in range(3):
        state.f32[FORCE + k, i] = ZERO
    clear_results(i, exchange)


@inlined
def solve_each(state, members, count, gravity, scratch):
    """Run the general solver for `count` landers, one after the other."""
    for k in range(count):
        i = members[k]
        if state.i32[AWAKE, i] or state.i32[AWAKE + 1, i] or state.i32[AWAKE + 2, i]:
            solve_general(state, i, gravity, scratch)


@inlined
def solve(state, memory, num_envs, members, free, limited, legs, general, gravity, scratch, solvers):
    """Run the solvers. free, limited, legs, general: how many landers of each kind there are. solvers: `ADDRESSES`.

    A vector takes as long for one lander as for sixteen. So free landers fill vectors, and a few that remain join the
    limited landers, whose solver works for them too. In the same way a few limited landers join those with leg contacts
    if all of them fit into one vector. Landers whose solver is not there are solved one after the other.
    """
    solver, width, room = solvers[FREE], 16, (16 - limited % 16) % 16
    if IN_PAIRS:
        solver, width, room = solvers[FREE32], 32, 16
    solved = 0
    if solver and free > room:
        solved = min(free, -(-(free - room) // width) * width)
        pad(members[FREE], free)
        call_lane_solver(solver, (memory, num_envs, members[FREE], members[FREE], 0, solved, gravity))
    for k in range(solved, free):
        members[LIMITED, limited] = members[FREE, k]
        limited += 1
    spare = members[FREE]
    if legs and limited + legs <= 16:
        for k in range(limited):
            members[LEGS, legs] = members[LIMITED, k]
            state.i32[LEG_TOUCHES, members[LIMITED, k]] = NO
            state.i32[LEG_TOUCHES + 1, members[LIMITED, k]] = NO
            legs += 1
        limited = 0
    if solvers[LIMITED]:
        pad(members[LIMITED], limited)
        solved = 0
        if solvers[LIMITED32]:
            solved = min(limited, (limited + 15) // 32 * 32)
            call_lane_solver(solvers[LIMITED32], (memory, num_envs, members[LIMITED], spare, 0, solved, gravity))
        call_lane_solver(solvers[LIMITED], (memory, num_envs, members[LIMITED], spare, solved, limited, gravity))
    else:
        solve_each(state, members[LIMITED], limited, gravity, scratch)
    if solvers[LEGS]:
        pad(members[LEGS], legs)
        call_lane_solver(solvers[LEGS], (memory, num_envs, members[LEGS], spare, 0, legs, gravity))
        for k in range(legs):
            return_leg_impulses(state, members[LEGS, k])
    else:
        solve_each(state, members[LEGS], legs, gravity, scratch)
    solve_each(state, members[GENERAL], general, gravity, scratch)


@part
def step_once(memory, block, packed_variant, workspace, solvers, num_envs, first, last):
    """Step the landers i in [first, last) with todo[i] in the exchange. A reset also takes a step, as in Gymnasium.

    memory: uint8[memory_size(N)], the State. block: uint8[exchange_size(N)], the Exchange. packed_variant: float64[6],
    of `pack_variant`. workspace: uint8[workspace_size(last - first)]. solvers: int64[NUM_LANE_SOLVERS], `ADDRESSES`.
    """
    state, exchange = unpack(memory, num_envs), unpack_exchange(block, num_envs)
    variant = unpack_variant(packed_variant)
    members, engine, scratch = unpack_workspace(workspace, last - first)
    free, limited, legs, general = 0, 0, 0, 0
    for i in range(first, last):
        if not exchange.todo[i]:
            continue
        kind = begin_step(state, i, variant, exchange, engine[i - first], scratch)
        if kind == FREE:
            members[FREE, free] = i
            free += 1
        elif kind == LIMITED:
            members[LIMITED, limited] = i
            limited += 1
        elif kind == LEGS:
            members[LEGS, legs] = i
            legs += 1
        else:
            members[GENERAL, general] = i
            general += 1
    solve(state, memory, num_envs, members, free, limited, legs, general, variant.gravity, scratch, solvers)
    for i in range(first, last):
        if exchange.todo[i]:
            end_step(state, i, variant, exchange, engine[i - first], scratch)
        else:
            clear_results(i, exchange)


serve_steps = serving(step_once)
"""`step_once` as the kernel of threads (`KernelThreads`)."""

_STEP = BYTES, BYTES, DOUBLES, BYTES, WORDS, types.int64, types.int64, types.int64  # of `step_once`
STEP_ARGUMENTS = served(*_STEP)
"""Numba's types of what `serve_steps` is called with."""
