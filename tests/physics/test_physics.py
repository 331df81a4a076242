"""The kernels against Box2D itself: constants, every body after every step, and steps on past the end of an episode."""

import gymnasium as gym
import numpy as np
import pytest

from fastlander.lander.interface import checked_variant
from fastlander.lander.parity import ground_pilot, heuristic_pilot, mixed_pilot, random_pilot
from fastlander.lander.pcg64 import start_stream
from fastlander.lander.stepper import Stepper
from fastlander.physics import bodies, constants
from fastlander.physics.state import POSITION, VELOCITY


@pytest.fixture(scope="module")
def box2d():
    env = gym.make("LunarLander-v3").unwrapped
    env.reset(seed=0)
    return env


def test_the_shapes_are_box2d_s(box2d):
    hull = (bodies.LANDER_VERTICES_X, bodies.LANDER_VERTICES_Y, bodies.LANDER_NORMALS_X, bodies.LANDER_NORMALS_Y)
    leg = (bodies.LEG_VERTICES_X, bodies.LEG_VERTICES_Y, bodies.LEG_NORMALS_X, bodies.LEG_NORMALS_Y)
    for body, (xs, ys, nxs, nys) in ((box2d.lander, hull), (box2d.legs[0], leg), (box2d.legs[1], leg)):
        shape = body.fixtures[0].shape
        assert [tuple(map(float, v)) for v in zip(xs, ys, strict=True)] == shape.vertices
        assert [tuple(map(float, v)) for v in zip(nxs, nys, strict=True)] == shape.normals
        assert shape.radius == constants.POLYGON_RADIUS
    assert tuple(box2d.lander.fixtures[0].shape.centroid) == (bodies.LANDER_CENTROID_X, bodies.LANDER_CENTROID_Y)
    assert tuple(box2d.lander.localCenter) == (0, bodies.LANDER_CENTER_Y)
    assert tuple(box2d.legs[0].localCenter) == (0, 0)


def test_the_masses_are_box2d_s(box2d):
    for body, mass, inertia in (
        (box2d.lander, bodies.LANDER_INV_MASS, bodies.LANDER_INV_INERTIA),
        (box2d.legs[0], bodies.LEG_INV_MASS, bodies.LEG_INV_INERTIA),
    ):
        body.linearVelocity, body.angularVelocity = (0, 0), 0
        body.ApplyLinearImpulse((1, 0), body.worldCenter, True)
        assert body.linearVelocity[0] == mass
        body.ApplyAngularImpulse(1, True)
        assert body.angularVelocity == inertia
    box2d.reset(seed=0)


def test_the_joints_and_frictions_are_gymnasium_s(box2d):
    for leg, joint in zip(box2d.legs, (bodies.JOINT0, bodies.JOINT1), strict=True):
        assert leg.joint.lowerLimit == joint.lower_angle
        assert leg.joint.upperLimit == joint.upper_angle
        assert leg.joint.motorSpeed == joint.motor_speed
    frictions = [fixture.friction for fixture in box2d.moon.fixtures]
    assert sorted({round(f, 3) for f in frictions}) == [0.1, 0.2]
    assert pytest.approx(0.2**0.5 * 0.1**0.5) == bodies.LANDER_FRICTION[0]
    assert pytest.approx(0.1) == bodies.LANDER_FRICTION[1]
    assert pytest.approx(0.2) == bodies.LEG_FRICTION[0]


@pytest.mark.parametrize("constant", ["linearSlop", "polygonRadius", "velocityThreshold", "maxSubSteps"])
def test_the_wheel_was_built_with_the_constants_assumed_here(constant):
    ours = {
        "linearSlop": constants.LINEAR_SLOP,
        "polygonRadius": constants.POLYGON_RADIUS,
        "velocityThreshold": 1,
        "maxSubSteps": constants.MAX_SUB_STEPS,
    }
    box2d_module = pytest.importorskip("Box2D")
    assert getattr(box2d_module, "b2_" + constant) == pytest.approx(ours[constant])


class Landers:
    """Native landers without the environment around them: they can be stepped past the end of an episode."""

    def __init__(self, num_envs=1):
        variant = checked_variant(False, -10.0, False, 15.0, 1.5, None)
        self.stepper = Stepper(num_envs, 1, variant)
        self.num_envs, self.state = num_envs, self.stepper.state

    def reset(self, seed):
        for i in range(self.num_envs):
            start_stream(self.state.stream[:, i], seed + i)
        return self.step(0, fresh=True)[0]

    def step(self, action, fresh=False):
        self.stepper.exchange.action[:, 0] = action
        self.stepper.step(True, fresh)
        return self.stepper.results()

    def bodies(self, i=0):
        f32 = self.state.f32
        return np.array(
            [
                [*f32[POSITION + 3 * b : POSITION + 3 * b + 3, i], *f32[VELOCITY + 3 * b : VELOCITY + 3 * b + 3, i]]
                for b in range(3)
            ]
        )


def bodies_of(box2d):
    bodies = (box2d.lander, *box2d.legs)
    return np.array([[*b.worldCenter, b.angle, *b.linearVelocity, b.angularVelocity] for b in bodies], np.float32)


@pytest.mark.parametrize("pilot", [random_pilot, heuristic_pilot, mixed_pilot, ground_pilot])
def test_every_body_moves_as_in_box2d_also_after_a_crash(pilot, box2d):
    native, past_the_end = Landers(), 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        obs, _ = box2d.reset(seed=seed)
        assert obs.tobytes() == native.reset(seed).tobytes()
        for _ in range(400):
            action = pilot(box2d, obs, seed, rng)
            obs, reward, terminated, _, _ = box2d.step(action)
            native_obs, native_reward, native_terminated, _ = native.step(action)
            assert obs.tobytes() == native_obs.tobytes()
            assert (np.float64(reward), terminated) == (native_reward[0], native_terminated[0])
            assert bodies_of(box2d).tobytes() == native.bodies().tobytes()
            past_the_end += terminated
    assert past_the_end > 100
