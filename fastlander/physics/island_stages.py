"""The island solver for many landers whose joints are at limits and whose legs touch nothing, in stages.

After a few velocity iterations most of these landers have reached a cycle (`solve_limited_joints`), and the others
hardly ever do: in a vector of sixteen there is nearly always one that needs all iterations. So after each stage the
landers that have reached their cycle leave, and the others are put together to fewer vectors. What a lander computes
is the same in any vector.
"""

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import lane_bits, where
from fastlander.physics.bodies import JOINT0, JOINT1, JOINT_NUMBER0, JOINT_NUMBER1, LANDER, LEG0, LEG1
from fastlander.physics.constants import VELOCITY_ITERATIONS
from fastlander.physics.island import begin_joints, load_impulse, store_impulse, store_motion
from fastlander.physics.island_lanes import (
    accelerated,
    add_changes,
    finish_island,
    load_motions,
    load_rotations,
    repeats,
    solve_joints,
)
from fastlander.physics.revolute_joint import Impulse, limit_state, make_joint
from fastlander.physics.state import POSITION, VELOCITY

STAGES = 8, 38, VELOCITY_ITERATIONS
"""Velocity iterations after which a stage ends, even numbers. Of landers with random actions 58% are in a cycle after 8
iterations, 68% after 38 and 75% after 158."""


@inlined
def make_joints(q0, q1, q2, start0, start1, start2):
    """Both Joints, by the rotations and positions at the start of the step."""
    joint0 = make_joint(JOINT0, q0, q1, limit_state(JOINT0, start0.a, start1.a))
    return joint0, make_joint(JOINT1, q0, q2, limit_state(JOINT1, start0.a, start2.a))


@inlined
def iterate(state, index, joint0, joint1, v0, v1, v2, impulse0, impulse1, iteration, until):
    """Velocity iterations from `iteration` to `until`: bits of the lanes that have not reached a cycle.

    The velocities and impulses of these are left in the state as they are then, those of the others as they are in the
    end.
    """
    for _ in range(until - iteration - 2):
        v0, v1, v2, impulse0, impulse1, _, _ = solve_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
    u0, u1, u2, motor0, motor1 = v0, v1, v2, impulse0.motor, impulse1.motor
    v0, v1, v2, impulse0, impulse1, a0, a1 = solve_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
    v0, v1, v2, impulse0, impulse1, b0, b1 = solve_joints(joint0, joint1, v0, v1, v2, impulse0, impulse1)
    store_motion(state, VELOCITY, LANDER, index, v0)
    store_motion(state, VELOCITY, LEG0, index, v1)
    store_motion(state, VELOCITY, LEG1, index, v2)
    waits = lane_bits(index < 0)  # none
    if until < VELOCITY_ITERATIONS:
        cyclic = repeats(u0, u1, u2, motor0, motor1, v0, v1, v2, impulse0, impulse1)
        lets_go = a0.released | a1.released | b0.released | b1.released
        end0, lets_go0 = add_changes(joint0, impulse0, a0, b0, VELOCITY_ITERATIONS - until)
        end1, lets_go1 = add_changes(joint1, impulse1, a1, b1, VELOCITY_ITERATIONS - until)
        lets_go = lets_go | lets_go0 | lets_go1
        impulse0, impulse1 = choose(cyclic, lets_go, impulse0, end0), choose(cyclic, lets_go, impulse1, end1)
        waits = lane_bits(where(cyclic, lets_go, index == index))
    store_impulse(state, JOINT_NUMBER0, index, impulse0)
    store_impulse(state, JOINT_NUMBER1, index, impulse1)
    return waits


@inlined
def choose(cyclic, lets_go, now, end):
    """The Impulse at the end where a lane is in a cycle that goes on, else that of now."""
    return Impulse(
        where(cyclic, where(lets_go, now.x, end.x), now.x),
        where(cyclic, where(lets_go, now.y, end.y), now.y),
        where(cyclic, where(lets_go, now.z, end.z), now.z),
        now.motor,
    )


@part
def begin_stages(state, index, gravity, until):
    """b2Island::Solve up to `until` velocity iterations: bits of the lanes that need more of them."""
    start0, start1, start2 = load_motions(state, POSITION, index)
    q0, q1, q2 = load_rotations(state, index)
    v0, v1, v2 = accelerated(state, index, gravity)
    joint0, joint1, impulse0, impulse1, v0, v1, v2 = begin_joints(
        state, index, q0, q1, q2, start0, start1, start2, v0, v1, v2, True
    )
    return iterate(state, index, joint0, joint1, v0, v1, v2, impulse0, impulse1, 0, until)


@part
def go_on(state, index, iteration, until):
    """The velocity iterations from `iteration` to `until`: bits of the lanes that need more of them."""
    start0, start1, start2 = load_motions(state, POSITION, index)
    q0, q1, q2 = load_rotations(state, index)
    joint0, joint1 = make_joints(q0, q1, q2, start0, start1, start2)
    v0, v1, v2 = load_motions(state, VELOCITY, index)
    impulse0, impulse1 = load_impulse(state, JOINT_NUMBER0, index), load_impulse(state, JOINT_NUMBER1, index)
    return iterate(state, index, joint0, joint1, v0, v1, v2, impulse0, impulse1, iteration, until)


@part
def end_stages(state, index):
    """What comes after the velocity iterations."""
    start0, start1, start2 = load_motions(state, POSITION, index)
    q0, q1, q2 = load_rotations(state, index)
    joint0, joint1 = make_joints(q0, q1, q2, start0, start1, start2)
    v0, v1, v2 = load_motions(state, VELOCITY, index)
    finish_island(state, index, joint0, joint1, q0, q1, q2, start0, start1, start2, v0, v1, v2, None)


@inlined
def collect(waits, source, first, end, waiting, count):
    """Append the landers source[first:end] whose bit is set to `waiting`, which has `count`: how many it has then."""
    for lane in range(end - first):
        if waits >> lane & 1:
            waiting[count] = source[first + lane]
            count += 1
    return count


@inlined
def pad(members, count):
    """Fill up the last vector with copies of the last lander. Its lanes all compute and write the same numbers."""
    for k in range(count, count + 31 if count else 0):
        members[k] = members[count - 1]


@inlined
def solve_in_stages(state, members, waiting, start, end, gravity, lanes, width):
    """Solve the landers members[start:end], padded to whole vectors.

    waiting: int32[...], room for as many. lanes: `index16` or `index32`; width: how many these are.
    """
    # The landers of a single vector would not become fewer vectors.
    iteration, count = STAGES[0] if end - start > width else STAGES[2], 0
    for first in range(start, end, width):
        waits = begin_stages(state, lanes(members, first), gravity, iteration)
        count = collect(waits, members, first, min(first + width, end), waiting, count)
    while count:
        until = STAGES[1] if iteration < STAGES[1] and count > width else STAGES[2]
        pad(waiting, count)
        before, count = count, 0
        for first in range(0, before, width):
            waits = go_on(state, lanes(waiting, first), iteration, until)
            count = collect(waits, waiting, first, min(first + width, before), waiting, count)
        iteration = until
    for first in range(start, end, width):
        end_stages(state, lanes(members, first))
