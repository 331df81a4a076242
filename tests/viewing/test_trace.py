"""Traces: the data of a flight beside what the native lander does, its units, and what goes into a page."""

import base64
import json

import gymnasium as gym
import numpy as np
import pytest

from fastlander import LunarLanderVectorEnv
from fastlander.physics.state import ORIGIN, POSITION
from fastlander.viewing.flight import open_lander
from fastlander.viewing.trace import Trace, trace_flight


def idle(obs):
    return np.zeros(len(obs), np.int64)


def swinging(obs):
    """Every engine now and then, both legs on the ground at times."""
    return np.where(obs[:, 3] < -0.15, 2, np.where(obs[:, 4] > 0, 3, 1))


def landing(obs):
    """Gymnasium's own heuristic, which lands most of the time."""
    from gymnasium.envs.box2d.lunar_lander import heuristic

    return np.array([heuristic(gym.make("LunarLander-v3").unwrapped, one) for one in obs])


def climbing(obs):
    """The main engine all the time, which carries the lander over an edge of the scene."""
    return np.full(len(obs), 2)


def fly(policy, seed, **settings):
    return trace_flight(gym.make("LunarLander-v3", **settings), policy, seed)


@pytest.mark.parametrize("policy", [idle, swinging])
@pytest.mark.parametrize("seed", [0, 1, 2, 77])
def test_a_trace_is_what_the_native_lander_does(policy, seed):
    got = fly(policy, seed)
    env = LunarLanderVectorEnv(1, autoreset_mode="Disabled")
    obs, _ = env.reset(seed=seed)
    over, total = False, 0.0
    for k in range(len(got.events)):
        real = env._stepper.state.f32[:, 0]
        for body in range(3):
            angle = (real[POSITION + 3 * body + 2] + np.pi) % (2 * np.pi) - np.pi
            pose = [real[ORIGIN + 2 * body], real[ORIGIN + 2 * body + 1], angle]
            assert got.poses[k, body] == pytest.approx(1000 * np.array(pose), abs=0.51)
        assert got.scores[k] == total
        assert got.events[k] & 12 == 4 * obs[0, 6] + 8 * obs[0, 7]
        if not over:
            action = policy(obs)
            assert got.events[k] & 3 == action[0]
            obs, reward, terminated, truncated, _ = env.step(action)
            total, over = total + reward[0], bool(terminated[0] or truncated[0])
    assert over
    assert got.score == total
    assert {-100.0: got.outcome in ("crashed", "flew away"), 100.0: got.outcome == "landed"}.get(
        reward[0], truncated[0]
    )
    assert got.ground[4:7] == pytest.approx([0.99 * 400 / 30 / 4] * 3)  # Gymnasium smooths by 0.33 three times


@pytest.mark.parametrize("policy", [idle, swinging, landing, climbing])
def test_the_native_lander_and_gymnasium_s_leave_the_same_trace(policy):
    for seed in (0, 5):
        ours, theirs = trace_flight(open_lander(), policy, seed), trace_flight(open_lander("sync"), policy, seed)
        assert ours.to_json() == theirs.to_json()
        assert ours.ground == theirs.ground


@pytest.mark.parametrize(
    ("policy", "seed", "limit", "outcome", "last_reward"),
    [
        (idle, 0, 1_000, "crashed", -100),
        (landing, 0, 1_000, "landed", 100),
        (climbing, 0, 1_000, "flew away", -100),
        (idle, 0, 20, "ran out of time", None),
    ],
)
def test_how_a_flight_ended(policy, seed, limit, outcome, last_reward):
    got = fly(policy, seed, max_episode_steps=limit)
    assert got.outcome == outcome
    assert got.seed == seed
    if last_reward is None:
        assert len(got.events) == limit + 1
    else:
        assert got.scores[-1] - got.scores[-2] == pytest.approx(last_reward)


def test_shapes_and_units():
    got = fly(swinging, 3)
    frames = len(got.events)
    assert (got.poses.shape, got.poses.dtype) == ((frames, 3, 3), np.int16)
    assert (got.events.shape, got.events.dtype) == ((frames,), np.uint8)
    assert (got.scores.shape, got.scores.dtype) == ((frames,), np.float64)
    assert got.scores[0] == 0
    assert got.fps == 50
    assert got.events[-1] & 3 == 0  # no action is taken from the last frame
    assert len(got.ground) == 11
    # In mm of Gymnasium's scene, 20 m wide: the hull begins near the middle, at the top, the legs 2 m to its sides.
    hull, left, right = got.poses[0].astype(int)
    assert hull[0] == pytest.approx(10_000, abs=200)
    assert hull[1] == pytest.approx(13_333, abs=200)
    assert abs(left[0] - hull[0]) == pytest.approx(abs(right[0] - hull[0]), abs=300)
    assert (left[0] - hull[0]) * (right[0] - hull[0]) < 0


class Tumbling(gym.Wrapper):
    """The lander after many turns, far above the scene."""

    def step(self, action):
        step = self.env.step(action)
        body = self.unwrapped.lander
        body.angle = 40.0
        body.position = (10.0, 50.0)
        return step


def test_a_lander_out_of_range_keeps_to_the_numbers_of_a_pose():
    got = trace_flight(Tumbling(gym.make("LunarLander-v3", max_episode_steps=3)), idle, 0)
    x, y, angle = got.poses[1, 0]
    assert (x, y) == (10_000, 32_767)  # the largest int16
    assert angle == pytest.approx(1000 * ((40 + np.pi) % (2 * np.pi) - np.pi), abs=0.51)


def test_a_trace_goes_out_and_comes_back():
    got = fly(swinging, 3)
    record = json.loads(json.dumps(got.to_json()))
    poses = np.frombuffer(base64.b64decode(record["poses"]), "<i2").reshape(-1, 3, 3)
    assert np.array_equal(poses, got.poses)
    assert np.array_equal(np.frombuffer(base64.b64decode(record["events"]), np.uint8), got.events)
    assert np.frombuffer(base64.b64decode(record["scores"]), "<f4") == pytest.approx(got.scores, rel=1e-6)
    assert {name: record[name] for name in ("seed", "outcome", "score", "fps")} == {
        "seed": 3, "outcome": got.outcome, "score": got.score, "fps": 50
    }  # fmt: skip
    assert record["ground"] == pytest.approx(got.ground, abs=0.0005)
    assert len(json.dumps(record)) < 35 * len(got.events) + 1_000


def test_a_record_has_the_same_bytes_on_a_machine_of_the_other_byte_order():
    arrays = {"poses": np.arange(9).reshape(1, 3, 3), "scores": np.array([0.5, -2.0])}
    records = []
    for order in "<>":
        poses, scores = arrays["poses"].astype(f"{order}i2"), arrays["scores"].astype(f"{order}f8")
        records.append(Trace(1, 50, "landed", [1.0] * 11, poses, np.zeros(1, np.uint8), scores).to_json())
    assert records[0] == records[1]
