"""The game: Gymnasium 1.4's `LunarLander` (`gymnasium/envs/box2d/lunar_lander.py`) around the physics.

Gymnasium computes with Python's float64 and Box2D with float32. Here numbers are converted at exactly the places where
Gymnasium hands them to Box2D or gets them from it.
"""

import math

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.lander.costs import MAIN_FUEL, SIDE_FUEL
from fastlander.lander.pcg64 import integers, uniform
from fastlander.physics.bodies import (
    JOINT0,
    JOINT1,
    LANDER,
    LANDER_CENTER_Y,
    LANDER_INV_INERTIA,
    LANDER_INV_MASS,
    LANDER_SHAPE,
    LEG0,
    LEG1,
    LEG_SHAPE,
)
from fastlander.physics.broad_phase import compute_aabb
from fastlander.physics.constants import AABB_EXTENSION, ZERO
from fastlander.physics.contact import set_awake
from fastlander.physics.state import (
    AWAKE,
    CRASHED,
    ELAPSED,
    FAT_AABB,
    FORCE,
    GROUND,
    GROUND_CONTACT,
    HEIGHT,
    IMPULSE,
    LIMIT_STATE,
    MOVED,
    NUM_CONTACTS,
    ORIGIN,
    POSITION,
    ROTATION,
    SHAPING,
    SLEEP_TIME,
    TOP,
    TORQUE_INDEX,
    VELOCITY,
    WIND_INDEX,
)
from fastlander.physics.vector_math import Vec2, rotate, rotation

# Gymnasium's names and values. Its lengths are pixels, SCALE of them to the metre.
FPS = 50  # steps per second
SCALE = 30.0  # pixels per m
VIEWPORT_W, VIEWPORT_H = 600, 400  # pixels
MAIN_ENGINE_POWER, SIDE_ENGINE_POWER = 13.0, 0.6
INITIAL_RANDOM = 1000.0  # N
LEG_AWAY, LEG_DOWN = 20, 18  # pixels
SIDE_ENGINE_HEIGHT, SIDE_ENGINE_AWAY, MAIN_ENGINE_Y_LOCATION = 14, 12, 4  # pixels
W, H = VIEWPORT_W / SCALE, VIEWPORT_H / SCALE  # m
CHUNKS = 11  # points of the terrain
HELIPAD_Y = H / 4  # m


@part
def reset(state, i, variant):
    """`LunarLander.reset` up to its first step: terrain, bodies, initial push. It draws from the lander's stream."""
    f32, f64, i32, stream = state.f32, state.f64, state.i32, state.stream
    # Heights 0, 1, k - 1 and k. The five heights around the middle are the helipad's.
    first, second, before, here = 0.0, 0.0, 0.0, 0.0
    top = ZERO
    for k in range(CHUNKS + 1):
        after = uniform(stream, i, 0.0, H / 2)
        if CHUNKS // 2 - 2 <= k <= CHUNKS // 2 + 2:
            after = HELIPAD_Y
        if k == 0:
            first = after
        elif k > 1:
            f64[GROUND + k - 1, i] = 0.33 * (before + here + after)
        before, here = here, after
        if k == 1:
            second = after
    f64[GROUND, i] = 0.33 * (here + first + second)  # Gymnasium reads height[-1], the last one
    for k in range(CHUNKS):
        f32[HEIGHT + k, i] = np.float32(f64[GROUND + k, i])
        top = max(top, f32[HEIGHT + k, i])
    f32[TOP, i] = top

    f32[FORCE, i] = np.float32(uniform(stream, i, -INITIAL_RANDOM, 2 * INITIAL_RANDOM))
    f32[FORCE + 1, i] = np.float32(uniform(stream, i, -INITIAL_RANDOM, 2 * INITIAL_RANDOM))
    f32[FORCE + 2, i] = ZERO
    if variant.enable_wind:
        stream[WIND_INDEX, i] = np.uint64(integers(stream, i, -9999, 9999))
        stream[TORQUE_INDEX, i] = np.uint64(integers(stream, i, -9999, 9999))

    _place(state, i, LANDER, LANDER_SHAPE, W / 2, ZERO, Vec2(ZERO, LANDER_CENTER_Y))
    _place(state, i, LEG0, LEG_SHAPE, W / 2 + LEG_AWAY / SCALE, JOINT0.reference_angle, Vec2(ZERO, ZERO))
    _place(state, i, LEG1, LEG_SHAPE, W / 2 - LEG_AWAY / SCALE, JOINT1.reference_angle, Vec2(ZERO, ZERO))
    for k in range(8):
        f32[IMPULSE + k, i] = ZERO
    for k in range(2):
        i32[LIMIT_STATE + k, i] = 0
        i32[GROUND_CONTACT + k, i] = 0
    i32[CRASHED, i] = 0
    i32[NUM_CONTACTS, i] = 0
    i32[ELAPSED, i] = -1  # the step inside of reset does not count
    state.f64[SHAPING, i] = 0.0


@inlined
def _place(state, i, body, shape, x, angle, center):
    """b2World::CreateBody and b2Body::CreateFixture: a body at rest at (x, H), awake, with a proxy.

    shape, center: the body's Shape and localCenter.
    """
    f32 = state.f32
    q, p = rotation(angle), Vec2(np.float32(x), np.float32(H))
    turned = rotate(q, center)
    c = Vec2(turned.x + p.x, turned.y + p.y)
    for row, value in ((POSITION, c.x), (POSITION + 1, c.y), (POSITION + 2, angle)):
        f32[row + 3 * body, i] = value
    for k in range(3):
        f32[VELOCITY + 3 * body + k, i] = ZERO
    f32[ROTATION + 2 * body, i], f32[ROTATION + 2 * body + 1, i] = q.s, q.c
    f32[ORIGIN + 2 * body, i], f32[ORIGIN + 2 * body + 1, i] = p.x, p.y
    box = compute_aabb(shape, q, p)
    row = FAT_AABB + 4 * body
    f32[row, i], f32[row + 1, i] = box.lower.x - AABB_EXTENSION, box.lower.y - AABB_EXTENSION
    f32[row + 2, i], f32[row + 3, i] = box.upper.x + AABB_EXTENSION, box.upper.y + AABB_EXTENSION
    f32[SLEEP_TIME + body, i] = ZERO
    state.i32[AWAKE + body, i] = 1
    state.i32[MOVED + body, i] = 0


@inlined
def wind(index, power):
    """Gymnasium's wind at a time index, N or N m: tanh of a sum of two sines that never repeats."""
    k = np.float64(np.int64(index))
    return math.tanh(math.sin(0.02 * k) + (math.sin(math.pi * 0.01 * k))) * power


@inlined
def blow(state, i, variant):
    """Wind on a lander whose legs are in the air: a force and a torque."""
    stream = state.stream
    if variant.enable_wind and state.i32[GROUND_CONTACT, i] == 0 and state.i32[GROUND_CONTACT + 1, i] == 0:
        state.f32[FORCE, i] += np.float32(wind(stream[WIND_INDEX, i], variant.wind_power))
        stream[WIND_INDEX, i] = np.uint64(np.int64(stream[WIND_INDEX, i]) + 1)
        state.f32[FORCE + 1, i] += ZERO
        state.f32[FORCE + 2, i] += np.float32(wind(stream[TORQUE_INDEX, i], variant.turbulence_power))
        stream[TORQUE_INDEX, i] = np.uint64(np.int64(stream[TORQUE_INDEX, i]) + 1)
        set_awake(state, i, LANDER)


@inlined
def apply_linear_impulse(state, i, impulse_x, impulse_y, point_x, point_y):
    """b2Body::ApplyLinearImpulse on the lander. Impulse (N s) and point (m) are float64 and rounded to float32 here."""
    f32 = state.f32
    set_awake(state, i, LANDER)
    x, y = np.float32(impulse_x), np.float32(impulse_y)
    rx, ry = np.float32(point_x) - f32[POSITION, i], np.float32(point_y) - f32[POSITION + 1, i]
    f32[VELOCITY, i] += LANDER_INV_MASS * x
    f32[VELOCITY + 1, i] += LANDER_INV_MASS * y
    f32[VELOCITY + 2, i] += LANDER_INV_INERTIA * (rx * y - ry * x)


@inlined
def fire_engines(state, i, main_power, side_power, direction):
    """The impulses of the engines. Both dispersions are drawn even if no engine fires, as in Gymnasium."""
    dispersion0 = uniform(state.stream, i, -1.0, 2.0) / SCALE
    dispersion1 = uniform(state.stream, i, -1.0, 2.0) / SCALE
    if main_power == 0.0 and side_power == 0.0:
        return
    angle = np.float64(state.f32[POSITION + 2, i])
    x, y = np.float64(state.f32[ORIGIN, i]), np.float64(state.f32[ORIGIN + 1, i])
    tip0, tip1 = math.sin(angle), math.cos(angle)
    side0, side1 = -tip1, tip0
    if main_power > 0.0:
        ox = tip0 * (MAIN_ENGINE_Y_LOCATION / SCALE + 2 * dispersion0) + side0 * dispersion1
        oy = -tip1 * (MAIN_ENGINE_Y_LOCATION / SCALE + 2 * dispersion0) - side1 * dispersion1
        apply_linear_impulse(
            state, i, -ox * MAIN_ENGINE_POWER * main_power, -oy * MAIN_ENGINE_POWER * main_power, x + ox, y + oy
        )
    if side_power > 0.0:
        ox = tip0 * dispersion0 + side0 * (3 * dispersion1 + direction * SIDE_ENGINE_AWAY / SCALE)
        oy = -tip1 * dispersion0 - side1 * (3 * dispersion1 + direction * SIDE_ENGINE_AWAY / SCALE)
        apply_linear_impulse(
            state,
            i,
            -ox * SIDE_ENGINE_POWER * side_power,
            -oy * SIDE_ENGINE_POWER * side_power,
            x + ox - tip0 * 17 / SCALE,  # Gymnasium's own 17, which has no name there
            y + oy + tip1 * SIDE_ENGINE_HEIGHT / SCALE,
        )


@inlined
def engine_powers(variant, actions, i):
    """What lander i's action asks for: (main power, side power, direction of the side engine), float64."""
    if variant.continuous:
        main, side = np.float64(actions[i, 0]), np.float64(actions[i, 1])
        main, side = min(max(main, -1.0), 1.0), min(max(side, -1.0), 1.0)
        main_power = (main + 1.0) * 0.5 if main > 0.0 else 0.0
        size = abs(side)
        return main_power, (max(size, 0.5) if size > 0.5 else 0.0), (1.0 if side > 0.0 else -1.0)
    action = actions[i, 0]
    return (
        (1.0 if action == 2.0 else 0.0),
        (1.0 if action == 1.0 or action == 3.0 else 0.0),
        (-1.0 if action == 1.0 else 1.0),
    )


@inlined
def observe(state, i, obs):
    """Write the observation of lander i into obs[i], float32. Returns (x, shaping) as float64, x not rounded."""
    f32, i32 = state.f32, state.i32
    x = (np.float64(f32[ORIGIN, i]) - W / 2) / (W / 2)
    y = (np.float64(f32[ORIGIN + 1, i]) - (HELIPAD_Y + LEG_DOWN / SCALE)) / (H / 2)
    vx = np.float64(f32[VELOCITY, i]) * (W / 2) / FPS
    vy = np.float64(f32[VELOCITY + 1, i]) * (H / 2) / FPS
    angle = np.float64(f32[POSITION + 2, i])
    spin = 20.0 * np.float64(f32[VELOCITY + 2, i]) / FPS
    leg0, leg1 = np.float64(i32[GROUND_CONTACT, i]), np.float64(i32[GROUND_CONTACT + 1, i])
    obs[i, 0], obs[i, 1], obs[i, 2], obs[i, 3] = x, y, vx, vy
    obs[i, 4], obs[i, 5], obs[i, 6], obs[i, 7] = angle, spin, leg0, leg1
    shaping = (
        -100 * math.sqrt(x * x + y * y) - 100 * math.sqrt(vx * vx + vy * vy) - 100 * abs(angle) + 10 * leg0 + 10 * leg1
    )
    return x, shaping


@inlined
def finish_step(state, i, variant, main_power, side_power, exchange):
    """The end of `LunarLander.step` and `TimeLimit.step`: observation, reward and flags into row i of the Exchange."""
    i32 = state.i32
    x, shaping = observe(state, i, exchange.obs)
    gain = shaping - state.f64[SHAPING, i]
    state.f64[SHAPING, i] = shaping
    gain -= main_power * MAIN_FUEL
    gain -= side_power * SIDE_FUEL
    over = False
    if i32[CRASHED, i] != 0 or abs(x) >= 1.0:
        over, gain = True, -100.0
    if i32[AWAKE, i] == 0:
        over, gain = True, 100.0
    for k in range(3):
        state.f32[FORCE + k, i] = ZERO  # b2World::ClearForces
    i32[ELAPSED, i] += 1
    exchange.reward[i], exchange.terminated[i] = gain, over
    exchange.truncated[i] = i32[ELAPSED, i] >= variant.max_episode_steps
