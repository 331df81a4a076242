"""One step of many landers: what is done one by one, what sixteen or thirty-two at a time, and in which groups."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part, shared, uncounted_kernel
from fastlander.kernels.simd_memory import index16, index32
from fastlander.kernels.threads import falls_asleep, note_done, takes
from fastlander.lander.game import Settings, blow, engine_powers, finish_step, fire_engines, observe, reset
from fastlander.physics.bodies import JOINT0, JOINT1, LANDER, NUM_BODIES
from fastlander.physics.broad_phase import update_pairs
from fastlander.physics.constants import INACTIVE, NO, ZERO
from fastlander.physics.island_general import friction_of, solve_general
from fastlander.physics.island_lanes import solve_lanes
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

FREE, LIMITED, LEGS, GENERAL, NUM_KINDS = 0, 1, 2, 3, 4
"""Which solver a lander's step takes: no limit and no contact; limits; leg contacts; anything."""


class Workspace(NamedTuple):
    """What one thread needs to step a range of landers."""

    members: np.ndarray  # int32[NUM_KINDS, landers + 64]: who takes which solver
    engine: np.ndarray  # float64[landers, 2]: main and side power
    scratch: Scratch


def workspace_size(landers: int) -> int:
    """Bytes of a Workspace for a range of so many landers."""
    return 16 * landers + 4 * NUM_KINDS * (landers + 64) + SCRATCH_SIZE


@shared
def unpack_workspace(memory: np.ndarray, landers: int) -> Workspace:
    """The fields of a workspace as views of uint8[workspace_size(landers)]."""
    end = 16 * landers
    members_end = end + 4 * NUM_KINDS * (landers + 64)
    return Workspace(
        members=memory[end:members_end].view(np.int32).reshape(NUM_KINDS, landers + 64),
        engine=memory[:end].view(np.float64).reshape(landers, 2),
        scratch=unpack_scratch(memory[members_end:]),
    )


@inlined
def classify(state, i):
    """The solver that lander i's step takes; fills LEG_CONTACT for LEGS."""
    whole, real = state.whole, state.real
    for body in range(NUM_BODIES):
        if whole[AWAKE + body, i] == 0:
            return GENERAL
    if whole[NUM_CONTACTS, i]:
        kind = take_leg_contacts(state, i)
        if kind != LIMITED:
            return kind
    angle0, angle1, angle2 = real[POSITION + 2, i], real[POSITION + 5, i], real[POSITION + 8, i]
    if limit_state(JOINT0, angle0, angle1) == INACTIVE and limit_state(JOINT1, angle0, angle2) == INACTIVE:
        return FREE
    return LIMITED


@part
def take_leg_contacts(state, i):
    """LIMITED if nothing touches, LEGS if each leg touches at most one edge with one corner, else GENERAL."""
    whole, real = state.whole, state.real
    whole[LEG_TOUCHES, i], whole[LEG_TOUCHES + 1, i] = NO, NO
    kind = LIMITED
    for slot in range(whole[NUM_CONTACTS, i]):
        contact, values = state.contact_whole[i, slot], state.contact_real[i, slot]
        if contact[TOUCHING] == 0 or contact[ENABLED] == 0:
            continue
        body = contact[BODY]
        if body == LANDER or contact[POINT_COUNT] != 1 or contact[FACE_B] != 0 or whole[LEG_TOUCHES + body - 1, i] != 0:
            return GENERAL
        kind = LEGS
        row = LEG_CONTACT + 9 * (body - 1)
        real[row, i], real[row + 1, i] = values[LOCAL_NORMAL], values[LOCAL_NORMAL + 1]
        real[row + 2, i], real[row + 3, i] = values[LOCAL_POINT], values[LOCAL_POINT + 1]
        for k in range(4):
            real[row + 4 + k, i] = values[POINT + k]
        real[row + 8, i] = friction_of(body, contact[EDGE])
        whole[LEG_TOUCHES + body - 1, i] = slot + 1
    return kind


@inlined
def return_leg_impulses(state, i):
    """b2ContactSolver::StoreImpulses after the lanes: from LEG_CONTACT back into the contacts."""
    for leg in range(2):
        slot = state.whole[LEG_TOUCHES + leg, i] - 1
        if slot >= 0:
            row = LEG_CONTACT + 9 * leg
            state.contact_real[i, slot, POINT + 2] = state.real[row + 6, i]
            state.contact_real[i, slot, POINT + 3] = state.real[row + 7, i]


@inlined
def pad(members, count):
    """Fill up the last vector with copies of the last lander: it is stepped more than once, to the same end."""
    for k in range(count, count + 31 if count else 0):
        members[k] = members[count - 1]


@uncounted_kernel
def load_actions(actions, buffer):
    """Discrete actions, int64[N], into column 0 of float64[N, 2]: the index of the first that is no action, or -1."""
    for i in range(len(actions)):
        if actions[i] < 0 or actions[i] > 3:
            return i
        buffer[i, 0] = actions[i]
    return -1


@part
def step_once(
    memory, num_envs, numbers, first, last, actions, todo, fresh, workspace, obs, reward, terminated, truncated
):
    """Step the landers i in [first, last) for which todo[i]; where fresh[i], reset them, with the step that takes.

    A fresh lander's reward and flags are left as they are. memory: uint8[memory_size(N)]. numbers: float64[6], the
    fields of Settings. actions: float64[N, 2], the discrete action in column 0. todo, fresh: bool[N]. workspace:
    uint8[workspace_size(last - first)]. obs: float32[N, 8]. reward: float64[N]. terminated, truncated: bool[N].
    """
    state, gravity = unpack(memory, num_envs), np.float32(numbers[1])
    members, engine, scratch = unpack_workspace(workspace, last - first)
    settings = Settings(numbers[0] != 0, gravity, numbers[2] != 0, numbers[3], numbers[4], np.int64(numbers[5]))
    free, limited, legs, general = 0, 0, 0, 0
    for i in range(first, last):
        if not todo[i]:
            continue
        if fresh[i]:
            reset(state, i, settings)
        blow(state, i, settings)
        main_power, side_power, direction = engine_powers(settings, actions, i)
        if fresh[i]:
            main_power, side_power = 0.0, 0.0
        engine[i - first, 0], engine[i - first, 1] = main_power, side_power
        fire_engines(state, i, main_power, side_power, direction)
        if state.whole[NUM_CONTACTS, i]:
            collide(state, i, scratch)
        kind = classify(state, i)
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

    # Whole vectors of 32 first. What is left goes with the next kind, which can do all that this one can: a vector
    # takes as long for one lander as for sixteen.
    start = 0
    while free - start > 16:
        pad(members[FREE], free)
        solve_lanes(state, index32(members[FREE], start), gravity, None, None)
        start += 32
    for k in range(start, free):
        members[LIMITED, limited] = members[FREE, k]
        limited += 1
    start = 0
    if legs and limited + legs <= 16:
        for k in range(limited):
            members[LEGS, legs] = members[LIMITED, k]
            state.whole[LEG_TOUCHES, members[LIMITED, k]] = NO
            state.whole[LEG_TOUCHES + 1, members[LIMITED, k]] = NO
            legs += 1
        limited = 0
    pad(members[LIMITED], limited)
    while start < limited:
        if limited - start > 16:
            solve_lanes(state, index32(members[LIMITED], start), gravity, 1, None)
            start += 32
        else:
            solve_lanes(state, index16(members[LIMITED], start), gravity, 1, None)
            start += 16
    pad(members[LEGS], legs)
    for start in range(0, legs, 16):
        solve_lanes(state, index16(members[LEGS], start), gravity, 1, 1)
    for k in range(legs):
        return_leg_impulses(state, members[LEGS, k])
    for k in range(general):
        i = members[GENERAL, k]
        if state.whole[AWAKE, i] or state.whole[AWAKE + 1, i] or state.whole[AWAKE + 2, i]:
            solve_general(state, i, gravity, scratch)

    for i in range(first, last):
        if not todo[i]:
            continue
        update_pairs(state, i)
        if state.whole[NUM_CONTACTS, i]:
            solve_toi(state, i, scratch)
        if fresh[i]:
            _, state.wide[SHAPING, i] = observe(state, i, obs)
            state.whole[ELAPSED, i] = 0
            for k in range(3):
                state.real[FORCE + k, i] = ZERO
        else:
            finish_step(
                state, i, settings, engine[i - first, 0], engine[i - first, 1], obs, reward, terminated, truncated
            )


@uncounted_kernel
def serve_steps(
    signal,
    patience,
    memory,
    num_envs,
    numbers,
    first,
    last,
    actions,
    todo,
    fresh,
    workspace,
    obs,
    reward,
    terminated,
    truncated,
):
    """`step_once`, as a serving kernel of `KernelThreads`."""
    looks = 0
    while True:
        if takes(signal):
            step_once(
                memory,
                num_envs,
                numbers,
                first,
                last,
                actions,
                todo,
                fresh,
                workspace,
                obs,
                reward,
                terminated,
                truncated,
            )
            note_done(signal)
            looks = 0
        looks += 1
        if looks > patience:
            if falls_asleep(signal):
                return
            looks = 0
