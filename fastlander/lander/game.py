"""The game: Gymnasium 1.4's `LunarLander` (`gymnasium/envs/box2d/lunar_lander.py`) around the physics.

Gymnasium computes in Python floats (float64) and Box2D stores float32, so values are widened and rounded exactly where
they cross that border there.
"""

import math
from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.lander.pcg64 import integers, uniform
from fastlander.physics.bodies import (
    JOINT0,
    JOINT1,
    LANDER,
    LANDER_CENTER_Y,
    LANDER_INV_INERTIA,
    LANDER_INV_MASS,
    LEG0,
    LEG1,
)
from fastlander.physics.broad_phase import compute_aabb
from fastlander.physics.constants import AABB_EXTENSION, ZERO
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

FPS = 50
SCALE = 30.0
VIEWPORT_W, VIEWPORT_H = 600, 400
MAIN_ENGINE_POWER, SIDE_ENGINE_POWER = 13.0, 0.6
INITIAL_RANDOM = 1000.0  # N
LEG_AWAY, LEG_DOWN = 20, 18
SIDE_ENGINE_HEIGHT, SIDE_ENGINE_AWAY, MAIN_ENGINE_Y_LOCATION = 14, 12, 4
W, H = VIEWPORT_W / SCALE, VIEWPORT_H / SCALE  # m
CHUNKS = 11
HELIPAD_Y = H / 4
OBSERVATION_SIZE = 8


class Settings(NamedTuple):
    """The arguments of `LunarLander`, as kernels take them."""

    continuous: bool
    gravity: np.float32  # m/s^2
    enable_wind: bool
    wind_power: float
    turbulence_power: float
    max_episode_steps: int


@part
def reset(state, i, settings):
    """`LunarLander.reset` up to its first step: terrain, bodies, the initial push; draws from the lander's stream."""
    real, wide, whole, stream = state.real, state.wide, state.whole, state.stream
    first, second, before, here = 0.0, 0.0, 0.0, 0.0  # heights 0, k - 1 and k, of which the helipad's five are level
    top = ZERO
    for k in range(CHUNKS + 1):
        after = uniform(stream, i, 0.0, H / 2)
        if CHUNKS // 2 - 2 <= k <= CHUNKS // 2 + 2:
            after = HELIPAD_Y
        if k == 0:
            first = after
        elif k > 1:
            wide[GROUND + k - 1, i] = 0.33 * (before + here + after)
        before, here = here, after
        if k == 1:
            second = after
    wide[GROUND, i] = 0.33 * (here + first + second)  # Python's height[-1] is the last
    for k in range(CHUNKS):
        real[HEIGHT + k, i] = np.float32(wide[GROUND + k, i])
        top = max(top, real[HEIGHT + k, i])
    real[TOP, i] = top

    real[FORCE, i] = np.float32(uniform(stream, i, -INITIAL_RANDOM, 2 * INITIAL_RANDOM))
    real[FORCE + 1, i] = np.float32(uniform(stream, i, -INITIAL_RANDOM, 2 * INITIAL_RANDOM))
    real[FORCE + 2, i] = ZERO
    if settings.enable_wind:
        stream[WIND_INDEX, i] = np.uint64(integers(stream, i, -9999, 9999))
        stream[TORQUE_INDEX, i] = np.uint64(integers(stream, i, -9999, 9999))

    _place(state, i, LANDER, 1, W / 2, ZERO, Vec2(ZERO, LANDER_CENTER_Y))
    _place(state, i, LEG0, None, W / 2 + LEG_AWAY / SCALE, JOINT0.reference_angle, Vec2(ZERO, ZERO))
    _place(state, i, LEG1, None, W / 2 - LEG_AWAY / SCALE, JOINT1.reference_angle, Vec2(ZERO, ZERO))
    for k in range(8):
        real[IMPULSE + k, i] = ZERO
    for k in range(2):
        whole[LIMIT_STATE + k, i] = 0
        whole[GROUND_CONTACT + k, i] = 0
    whole[CRASHED, i] = 0
    whole[NUM_CONTACTS, i] = 0
    whole[ELAPSED, i] = -1  # the step that reset takes is not counted
    state.wide[SHAPING, i] = 0.0


@inlined
def _place(state, i, body, is_lander, x, angle, center):
    """b2World::CreateBody and its fixture: at rest at (x, H), awake, its proxy in the broad phase."""
    real = state.real
    q, p = rotation(angle), Vec2(np.float32(x), np.float32(H))
    turned = rotate(q, center)
    c = Vec2(turned.x + p.x, turned.y + p.y)
    for row, value in ((POSITION, c.x), (POSITION + 1, c.y), (POSITION + 2, angle)):
        real[row + 3 * body, i] = value
    for k in range(3):
        real[VELOCITY + 3 * body + k, i] = ZERO
    real[ROTATION + 2 * body, i], real[ROTATION + 2 * body + 1, i] = q.s, q.c
    real[ORIGIN + 2 * body, i], real[ORIGIN + 2 * body + 1, i] = p.x, p.y
    box = compute_aabb(is_lander, q, p)
    row = FAT_AABB + 4 * body
    real[row, i], real[row + 1, i] = box.lower.x - AABB_EXTENSION, box.lower.y - AABB_EXTENSION
    real[row + 2, i], real[row + 3, i] = box.upper.x + AABB_EXTENSION, box.upper.y + AABB_EXTENSION
    real[SLEEP_TIME + body, i] = ZERO
    state.whole[AWAKE + body, i] = 1
    state.whole[MOVED + body, i] = 0


@inlined
def wind(index, power):
    """Gymnasium's wind: a sum of two sines that is never periodic, squeezed by tanh."""
    k = np.float64(np.int64(index))
    return math.tanh(math.sin(0.02 * k) + (math.sin(math.pi * 0.01 * k))) * power


@inlined
def wake_lander(state, i):
    """b2Body::SetAwake(true), as every force and impulse does it."""
    if state.whole[AWAKE, i] == 0:
        state.whole[AWAKE, i] = 1
        state.real[SLEEP_TIME, i] = ZERO


@inlined
def blow(state, i, settings):
    """The wind on a lander in the air: a force and a torque."""
    stream = state.stream
    if settings.enable_wind and state.whole[GROUND_CONTACT, i] == 0 and state.whole[GROUND_CONTACT + 1, i] == 0:
        state.real[FORCE, i] += np.float32(wind(stream[WIND_INDEX, i], settings.wind_power))
        stream[WIND_INDEX, i] = np.uint64(np.int64(stream[WIND_INDEX, i]) + 1)
        state.real[FORCE + 1, i] += ZERO
        state.real[FORCE + 2, i] += np.float32(wind(stream[TORQUE_INDEX, i], settings.turbulence_power))
        stream[TORQUE_INDEX, i] = np.uint64(np.int64(stream[TORQUE_INDEX, i]) + 1)
        wake_lander(state, i)


@inlined
def apply_linear_impulse(state, i, impulse_x, impulse_y, point_x, point_y):
    """b2Body::ApplyLinearImpulse on the lander; float64 in, rounded here."""
    real = state.real
    wake_lander(state, i)
    x, y = np.float32(impulse_x), np.float32(impulse_y)
    rx, ry = np.float32(point_x) - real[POSITION, i], np.float32(point_y) - real[POSITION + 1, i]
    real[VELOCITY, i] += LANDER_INV_MASS * x
    real[VELOCITY + 1, i] += LANDER_INV_MASS * y
    real[VELOCITY + 2, i] += LANDER_INV_INERTIA * (rx * y - ry * x)


@inlined
def fire_engines(state, i, main_power, side_power, direction):
    """The engines' impulses. Both dispersions are drawn whether or not an engine fires."""
    dispersion0 = uniform(state.stream, i, -1.0, 2.0) / SCALE
    dispersion1 = uniform(state.stream, i, -1.0, 2.0) / SCALE
    if main_power == 0.0 and side_power == 0.0:
        return
    angle = np.float64(state.real[POSITION + 2, i])
    x, y = np.float64(state.real[ORIGIN, i]), np.float64(state.real[ORIGIN + 1, i])
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
            x + ox - tip0 * 17 / SCALE,
            y + oy + tip1 * SIDE_ENGINE_HEIGHT / SCALE,
        )


@inlined
def engine_powers(settings, actions, k):
    """What action k asks of the engines: (main power, side power, direction of the side engine), float64."""
    if settings.continuous:
        main, side = np.float64(actions[k, 0]), np.float64(actions[k, 1])
        main, side = min(max(main, -1.0), 1.0), min(max(side, -1.0), 1.0)
        main_power = (main + 1.0) * 0.5 if main > 0.0 else 0.0
        size = abs(side)
        return main_power, (max(size, 0.5) if size > 0.5 else 0.0), (1.0 if side > 0.0 else -1.0)
    action = actions[k, 0]
    return (
        (1.0 if action == 2.0 else 0.0),
        (1.0 if action == 1.0 or action == 3.0 else 0.0),
        (-1.0 if action == 1.0 else 1.0),
    )


@inlined
def observe(state, i, obs):
    """The observation of lander i into obs[i]; the values before they are rounded to float32."""
    real, whole = state.real, state.whole
    x = (np.float64(real[ORIGIN, i]) - W / 2) / (W / 2)
    y = (np.float64(real[ORIGIN + 1, i]) - (HELIPAD_Y + LEG_DOWN / SCALE)) / (H / 2)
    vx = np.float64(real[VELOCITY, i]) * (W / 2) / FPS
    vy = np.float64(real[VELOCITY + 1, i]) * (H / 2) / FPS
    angle = np.float64(real[POSITION + 2, i])
    spin = 20.0 * np.float64(real[VELOCITY + 2, i]) / FPS
    leg0, leg1 = np.float64(whole[GROUND_CONTACT, i]), np.float64(whole[GROUND_CONTACT + 1, i])
    obs[i, 0], obs[i, 1], obs[i, 2], obs[i, 3] = x, y, vx, vy
    obs[i, 4], obs[i, 5], obs[i, 6], obs[i, 7] = angle, spin, leg0, leg1
    shaping = (
        -100 * math.sqrt(x * x + y * y) - 100 * math.sqrt(vx * vx + vy * vy) - 100 * abs(angle) + 10 * leg0 + 10 * leg1
    )
    return x, shaping


@inlined
def finish_step(state, i, settings, main_power, side_power, obs, reward, terminated, truncated):
    """The end of `LunarLander.step`, and of TimeLimit's: observation, reward, flags, into row i of the arrays."""
    whole = state.whole
    x, shaping = observe(state, i, obs)
    gain = shaping - state.wide[SHAPING, i]
    state.wide[SHAPING, i] = shaping
    gain -= main_power * 0.30
    gain -= side_power * 0.03
    over = False
    if whole[CRASHED, i] != 0 or abs(x) >= 1.0:
        over, gain = True, -100.0
    if whole[AWAKE, i] == 0:
        over, gain = True, 100.0
    for k in range(3):
        state.real[FORCE + k, i] = ZERO  # b2World::ClearForces
    whole[ELAPSED, i] += 1
    reward[i], terminated[i] = gain, over
    truncated[i] = whole[ELAPSED, i] >= settings.max_episode_steps
