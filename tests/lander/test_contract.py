"""Gymnasium's contract of a vector environment: the native landers beside `SyncVectorEnv`."""

import gc
import json
import os
import pickle
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from fastlander import LunarLanderVectorEnv
from fastlander.lander.attributes import READABLE
from tests.conftest import plain_metadata

MODES = list(AutoresetMode)
N = 4


def sync(mode=AutoresetMode.NEXT_STEP, num_envs=N, **settings):
    return gym.make_vec(
        "LunarLander-v3", num_envs, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **settings
    )


def assert_same(ours, theirs):
    for a, b in zip(ours[:-1], theirs[:-1], strict=True):
        assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes())
    assert data_equivalence(ours[-1], theirs[-1])


def go(env, twin, steps, rng):
    """Step both by the same random actions; episodes that ended are reset in mode DISABLED."""
    ended = 0
    for _ in range(steps):
        action = rng.integers(4, size=N)
        ours = env.step(action)
        assert_same(ours, twin.step(action))
        over = ours[2] | ours[3]
        ended += over.sum()
        if env.autoreset_mode is AutoresetMode.DISABLED and over.any():
            assert_same(env.reset(options={"reset_mask": over}), twin.reset(options={"reset_mask": over}))
    return ended


CHANGES = [
    ("gravity", [-3.7, -9.81, -1.62, -11.9]),
    ("_max_episode_steps", (40, 70, 1000, 20)),
    ("wind_power", [3.0, 15.0, 20.0, 0.0]),
    ("turbulence_power", 0.5),
    ("enable_wind", [True, False, True, False]),
    ("enable_wind", [True, True, False, True]),
    ("gravity", -5),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_settings_of_single_landers_act_as_in_sync_vector_env(mode, num_threads):
    env, twin = (
        LunarLanderVectorEnv(N, autoreset_mode=mode, num_threads=num_threads, enable_wind=True),
        sync(mode, enable_wind=True),
    )
    assert_same(env.reset(seed=3), twin.reset(seed=3))
    rng, ended = np.random.default_rng(0), 0
    for name, values in CHANGES:
        env.set_attr(name, values), twin.set_attr(name, values)
        assert env.get_attr(name) == twin.get_attr(name)
        ended += go(env, twin, 60, rng)
    assert ended > 3 * N
    env.close(), twin.close()


def test_landers_of_many_groups_on_two_threads():
    env, twin = LunarLanderVectorEnv(40, num_threads=2), sync(num_envs=40)
    gravity = [-2.0 - 0.2 * (i % 7) for i in range(40)]
    env.set_attr("gravity", gravity), twin.set_attr("gravity", gravity)
    assert_same(env.reset(seed=1), twin.reset(seed=1))
    rng = np.random.default_rng(0)
    for _ in range(60):
        action = rng.integers(4, size=40)
        assert_same(env.step(action), twin.step(action))
    env.close(), twin.close()


def test_wind_that_a_lander_never_had_begins_with_its_next_reset():
    env, twin, calm = LunarLanderVectorEnv(N), sync(), LunarLanderVectorEnv(N)
    for each in (env, twin, calm):
        each.reset(seed=0)
    env.set_attr("enable_wind", True)
    assert env.get_attr("enable_wind") == (True,) * N
    action = np.full(N, 2)
    assert_same(env.step(action), calm.step(action))
    twin.step(action), twin.set_attr("enable_wind", True)
    assert_same(env.reset(), twin.reset())
    go(env, twin, 100, np.random.default_rng(1))


def test_settings_of_single_landers_are_part_of_states_and_copies():
    env = LunarLanderVectorEnv(N, autoreset_mode="Disabled", max_episode_steps=30)
    env.reset(seed=0)
    plain = env.get_state()
    assert "settings" not in plain
    env.set_attr("gravity", CHANGES[0][1])
    env.set_attr("_max_episode_steps", [5, 10, 15, 20])
    env.set_attr("enable_wind", [True, True, False, False])
    env.reset(options={"reset_mask": np.array([True, False, False, True])})
    for _ in range(5):
        env.step([0] * N)
    env.set_attr("_max_episode_steps", 900)
    twin = LunarLanderVectorEnv(N, autoreset_mode="Disabled", max_episode_steps=30)
    twin.set_state(env.get_state())
    copied = pickle.loads(pickle.dumps(env))
    for each in (twin, copied):
        assert all(
            each.get_attr(name) == env.get_attr(name) for name in ("gravity", "enable_wind", "_max_episode_steps")
        )
    mask = ~env._ended
    for _ in range(20):
        step = env.step_some([2] * N, mask)
        assert_same(twin.step_some([2] * N, mask), step)
        assert_same(copied.step_some([2] * N, mask), step)
    state = env.get_state()
    for column, wrong in ((0, 3.0), (1, 0.5), (5, -1.62), (6, 2.0), (4, 0.0)):
        state["settings"] = env.get_state()["settings"]
        state["settings"][1, column] = wrong
        with pytest.raises(ValueError, match="settings that landers can have|gravity must|max_episode_steps must"):
            twin.set_state(state)
    env.set_state(plain)
    assert env.get_attr("gravity") == (-10.0,) * N
    assert "settings" not in env.get_state()


def test_attributes_are_those_of_gymnasium_s_landers():
    env, twin = LunarLanderVectorEnv(N, gravity=-9, enable_wind=True), sync(gravity=-9, enable_wind=True)
    env.reset(seed=5), twin.reset(seed=5)
    for _ in range(90):
        env.step([0] * N), twin.step(np.zeros(N, int))
    for name in READABLE:
        ours, theirs = env.get_attr(name), twin.get_attr(name)
        assert isinstance(ours, tuple)
        assert len(ours) == N
        if name == "np_random":
            assert [a.bit_generator.state["state"] for a in ours] == [b.bit_generator.state["state"] for b in theirs]
        elif name == "spec":
            made = gym.make(ours[0])
            assert (made.unwrapped.gravity, made.spec.max_episode_steps) == (-9, 1000)
        elif name == "metadata":
            assert [plain_metadata(a) for a in ours] == [plain_metadata(b) for b in theirs]
        else:
            assert ours == theirs, name
        assert env.call("has_wrapper_attr", name) == twin.call("has_wrapper_attr", name) == (True,) * N
    assert env.call("get_wrapper_attr", "gravity") == env.call("gravity") == twin.call("gravity")
    assert env.call("set_wrapper_attr", "gravity", -4.0) == (True,) * N
    assert env.get_attr("gravity") == (-4.0,) * N
    with pytest.warns(UserWarning, match="render"):
        assert env.call("render") == (None,) * N


@pytest.mark.parametrize("refused", [{"num_envs": 0}, {"gravity": 1.0}, {"render_mode": "text"}, {"gravty": 1.0}])
def test_what_was_refused_is_not_closed(refused, monkeypatch):
    """Gymnasium closes vector environments that are collected, even those that were never made."""
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with pytest.raises((ValueError, TypeError)):
        LunarLanderVectorEnv(**refused)
    gc.collect()
    assert ignored == []


@pytest.mark.parametrize("name", ["lander", "world", "gravty", "step"])
def test_what_landers_do_not_have_is_refused_by_name(name):
    env = LunarLanderVectorEnv(2)
    for refused in (lambda: env.get_attr(name), lambda: env.call(name), lambda: env.set_attr(name, 1)):
        with pytest.raises(AttributeError, match=f"got '{name}'"):
            refused()
    with pytest.raises(AttributeError, match="set_attr must be given one of gravity, .*, got 'continuous'"):
        env.set_attr("continuous", True)


@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        ("gravity", [-1.0, 0.0], "gravity must be between -12 and 0, got 0.0"),
        ("gravity", ["-1", "-1"], "gravity must be a number, got '-1'"),
        ("gravity", -1e-60, "gravity must be between -12 and 0 as float32"),
        ("wind_power", float("nan"), "wind_power must be a finite number"),
        ("enable_wind", "False", "enable_wind must be True or False, got 'False'"),
        ("_max_episode_steps", 0, "max_episode_steps must be an integer of at least 1"),
        ("gravity", [-1.0], "Got `1` values for 2 environments"),
    ],
)
def test_a_wrong_setting_changes_nothing(name, values, line):
    env = LunarLanderVectorEnv(2)
    with pytest.raises(ValueError, match=line):
        env.set_attr(name, values)
    assert env.get_attr("gravity") == (-10.0, -10.0)


OLDER = tuple(map(int, gym.__version__.split(".")[:2])) < (1, 4)
MISTAKES = {
    "a scalar action": lambda env: env.step(0),
    "a 0-d action": lambda env: env.step(np.array(1)),
    "no action": lambda env: env.step(None),
    "too few actions": lambda env: env.step(np.zeros(N - 1, int)),
    "too many actions": lambda env: env.step(np.zeros(N + 1, int)),
    "an action out of range": lambda env: env.step(np.full(N, 4)),
    "float actions": lambda env: env.step(np.zeros(N)),
    "a negative seed": lambda env: env.reset(seed=-1),
    "too few seeds": lambda env: env.reset(seed=[1, 2]),
    "a float as seed": lambda env: env.reset(seed=1.5),
    "a list as mask": lambda env: env.reset(options={"reset_mask": [True] * N}),
    "a mask of another shape": lambda env: env.reset(options={"reset_mask": np.ones(N + 1, bool)}),
    "a mask of another type": lambda env: env.reset(options={"reset_mask": np.ones(N, int)}),
    "an empty mask": lambda env: env.reset(options={"reset_mask": np.zeros(N, bool)}),
    "an unknown attribute": lambda env: env.get_attr("nothing"),
    "an unknown method": lambda env: env.call("nothing", 1),
    "too few values": lambda env: env.set_attr("gravity", [-1.0]),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.skipif(OLDER, reason="SyncVectorEnv of Gymnasium before 1.4 has other errors, or none")
def test_errors_are_of_sync_vector_env_s_kinds(mistake):
    env, twin = LunarLanderVectorEnv(N), sync()
    env.reset(seed=0), twin.reset(seed=0)
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - its kind is what is compared
        mistake(twin)
    with pytest.raises(type(theirs.value)) as ours:
        mistake(env)
    assert isinstance(ours.value, ValueError)
    if "mask" in str(theirs.value) or "Values must be" in str(theirs.value):
        assert str(ours.value) == str(theirs.value)


def test_stepping_before_reset_and_a_wrong_gravity_are_errors_of_gymnasium_s_kinds():
    for call in (lambda env: env.step([0] * N), lambda env: env.render()):
        with pytest.raises(gym.error.ResetNeeded):
            call(LunarLanderVectorEnv(N, render_mode="rgb_array"))
        with pytest.raises(gym.error.ResetNeeded):
            call(sync(render_mode="rgb_array"))
    for make in (sync, lambda **settings: LunarLanderVectorEnv(N, **settings)):
        with pytest.raises(AssertionError, match="gravity"):
            make(gravity=1.0)
    closed = LunarLanderVectorEnv(N)
    closed.close()
    with pytest.raises(gym.error.ClosedEnvironmentError, match="closed"):
        closed.reset()


@pytest.mark.parametrize("mode", MODES)
def test_lists_of_pictures_are_as_long_as_sync_vector_env_s(mode):
    settings = {"render_mode": "rgb_array_list", "max_episode_steps": 3}
    env, twin = LunarLanderVectorEnv(2, autoreset_mode=mode, **settings), sync(mode, 2, **settings)
    env.reset(seed=0), twin.reset(seed=0)
    for k in range(9):
        ours = env.step([0, 0])
        twin.step(np.zeros(2, int))
        over = ours[2] | ours[3]
        if mode is AutoresetMode.DISABLED and over.any():
            for each in (env, twin):
                each.reset(options={"reset_mask": over.copy()})
        if k in (1, 4, 8):
            pictures = env.render()
            assert [len(frames) for frames in pictures] == [len(frames) for frames in twin.render()]
            assert all(frame.shape == (400, 600, 3) for frames in pictures for frame in frames)
            assert env.call("render") == ([], [])
    env.close(), twin.close()


def test_a_window_shows_all_landers():
    code = (
        "import gymnasium as gym, pygame\n"
        "env = gym.make_vec('fastlander:fastlander/LunarLander-v3', num_envs=5, render_mode='human')\n"
        "env.reset(seed=0)\n"
        "env.step([0] * 5)\n"
        "assert env.render() == (None,) * 5\n"
        "screen = pygame.surfarray.array3d(pygame.display.get_surface())\n"
        "assert screen.shape == (1200, 532, 3), screen.shape\n"
        "tiles = [screen[x:x + 400, y:y + 266] for y in (0, 266) for x in (0, 400, 800)]\n"
        "assert all(tile.any() for tile in tiles[:5]) and not tiles[5].any()\n"
        "assert (tiles[0] != tiles[1]).any()\n"
        "env.close()\n"
        "assert not pygame.display.get_init()\n"
    )
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_render_mode_is_refused():
    with pytest.raises(ValueError, match="render_mode must be None or one of human, .*, got 'ansi'"):
        LunarLanderVectorEnv(render_mode="ansi")


@pytest.mark.parametrize("mode", [*MODES, *(mode.value for mode in MODES)])
def test_a_spec_goes_to_json_and_back(mode):
    env = gym.make_vec(
        "fastlander/LunarLander-v3", num_envs=3, autoreset_mode=mode, gravity=np.float32(-5), num_threads=np.int64(2)
    )
    text = env.spec.to_json()
    again = gym.make_vec(EnvSpec.from_json(text))
    assert json.loads(again.spec.to_json()) == json.loads(text)
    assert (again.num_envs, again.autoreset_mode, again.get_attr("gravity")) == (3, AutoresetMode(mode), (-5.0,) * 3)
    assert pickle.loads(pickle.dumps(env)).spec.to_json() == text


def test_arguments_that_gymnasium_takes_for_its_own_vector_environments_are_arguments_here():
    """`make_vec` itself refuses vector_kwargs and wrappers together with a vector entry point."""
    for refused in ({"vector_kwargs": {"copy": False}}, {"wrappers": [lambda env: env]}):
        with pytest.raises(gym.error.Error, match="vector_kwargs|wrappers"):
            gym.make_vec("fastlander/LunarLander-v3", num_envs=2, **refused)
    env, twin = LunarLanderVectorEnv(2, copy=False), LunarLanderVectorEnv(2)
    first, _ = env.reset(seed=0)
    twin.reset(seed=0)
    obs, *_ = env.step([2, 2])
    assert np.shares_memory(first, obs)
    assert np.array_equal(obs, twin.step([2, 2])[0])
    single, spaces = twin.single_observation_space, twin.observation_space
    wide = gym.spaces.Box(-9, 9, (2, 8)), gym.spaces.Box(-9, 9, (8,))
    assert LunarLanderVectorEnv(2, observation_mode="different").observation_space == spaces
    assert LunarLanderVectorEnv(2, observation_mode=wide).single_observation_space == wide[1]
    for wrong, line in (("other", "Invalid `observation_mode`"), ((spaces, spaces), "shape"), ((1, 2), "two spaces")):
        with pytest.raises(ValueError, match=line):
            LunarLanderVectorEnv(2, observation_mode=wrong)
    assert twin.single_observation_space == single
    assert twin.metadata == sync(num_envs=2).metadata
