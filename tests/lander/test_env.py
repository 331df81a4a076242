"""LunarLanderEnv beside Gymnasium's own LunarLander: the same bytes, and the same manners."""

import copy
import os
import pickle
import re
import subprocess
import sys
import threading
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics

from fastlander import Agent, LunarLanderEnv, LunarLanderVectorEnv, make_vec_env
from fastlander.lander.interface import alone
from fastlander.lander.step_one import step_one
from tests.conftest import plain_metadata

ID, THEIRS = "fastlander/LunarLander-v3", "LunarLander-v3"
SETTINGS = [
    {},
    {"continuous": True},
    {"enable_wind": True},
    {"enable_wind": True, "wind_power": 3.0, "turbulence_power": 0.5, "continuous": True},
    {"gravity": -3.0},
    {"gravity": -11.9, "max_episode_steps": 30},
]


def pair(**settings):
    return gym.make(ID, **settings), gym.make(THEIRS, **settings)


def heuristic(env, obs):
    """Gymnasium's own heuristic, which lands."""
    from gymnasium.envs.box2d import lunar_lander

    return lunar_lander.heuristic(env, obs)


def random_action(env, rng):
    return rng.uniform(-1.3, 1.3, 2).astype(np.float32) if env.unwrapped.continuous else int(rng.integers(4))


def same_step(ours, theirs):
    (obs, reward, *flags), (its_obs, its_reward, *its_flags) = ours, theirs
    assert (obs.dtype, obs.shape) == (its_obs.dtype, its_obs.shape)
    assert obs.tobytes() == its_obs.tobytes()
    assert np.float64(reward).tobytes() == np.float64(its_reward).tobytes()
    assert flags == its_flags
    assert [type(flag) for flag in flags] == [bool, bool, dict]


def stream(generator):
    """The state of a generator, without the half of a draw that NumPy keeps after it was used."""
    state = generator.bit_generator.state
    return state if state["has_uint32"] else {**state, "uinteger": 0}


def same_stream(ours, theirs):
    assert stream(ours.np_random) == stream(theirs.np_random)
    assert ours.np_random_seed == theirs.np_random_seed


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_step_is_gymnasium_s(settings):
    """Random episodes and landings, one after the other, some from a seed and some from where the stream is."""
    ours, theirs = pair(**settings)
    rng = np.random.default_rng(0)
    for episode in range(8):
        seed = episode * 1000 if episode % 3 == 0 else None
        obs, _ = ours.reset(seed=seed)
        assert obs.tobytes() == theirs.reset(seed=seed)[0].tobytes()
        over = False
        while not over:
            lands = episode % 2 and rng.random() < 0.9
            action = heuristic(theirs.unwrapped, obs) if lands else random_action(ours, rng)
            step = ours.step(action)
            same_step(step, theirs.step(action))
            obs, over = step[0], step[2] or step[3]
        if episode in (2, 5):
            same_stream(ours, theirs)


@pytest.mark.parametrize("engine", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_steps_after_the_end_are_gymnasium_s(engine, seed):
    """Gymnasium's lander goes on after a crash, a landing or a flight away."""
    ours, theirs = LunarLanderEnv(), gym.make(THEIRS).unwrapped
    obs = ours.reset(seed=seed)[0]
    theirs.reset(seed=seed)
    after = 0
    while after < 150:
        action = heuristic(theirs, obs) if engine == 0 and not after else engine
        step = ours.step(action)
        same_step(step, theirs.step(action))
        obs, after = step[0], after + (after > 0 or step[2])


@pytest.mark.parametrize("settings", [{}, {"continuous": True}], ids=str)
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_s_checker_finds_nothing(settings, render_mode, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # the checker of Gymnasium 1.2 opens a window too
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_env(gym.make(ID, render_mode=render_mode, **settings).unwrapped, skip_render_check=render_mode is None)


def test_what_gym_make_gives():
    ours, theirs = pair()
    assert isinstance(ours.unwrapped, LunarLanderEnv)
    assert str(ours).replace(f"LunarLanderEnv<{ID}>", f"LunarLander<{THEIRS}>") == str(theirs)
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps == 1000
    assert ours.spec.reward_threshold == theirs.spec.reward_threshold
    assert plain_metadata(ours.metadata) == plain_metadata(theirs.metadata)
    smooth, its = gym.make("fastlander/LunarLanderContinuous-v3"), gym.make("LunarLanderContinuous-v3")
    for a, b in ((ours, theirs), (smooth, its)):
        assert a.observation_space == b.observation_space
        assert a.action_space == b.action_space
        for name in ("continuous", "gravity", "enable_wind", "wind_power", "turbulence_power"):
            assert getattr(a.unwrapped, name) == getattr(b.unwrapped, name)
    several = gym.make_vec(ID, num_envs=2, vectorization_mode="sync")
    assert isinstance(several.envs[0].unwrapped, LunarLanderEnv)


def test_the_sync_backend_stays_gymnasium_s_lander():
    env = make_vec_env("fastlander/LunarLander-v3", 2, backend="sync")
    assert not isinstance(env.envs[0].unwrapped, LunarLanderEnv)
    env.close()


def test_no_import_is_needed_and_the_vector_kernels_are_left_alone():
    code = (
        "import sys, gymnasium as gym; env = gym.make('fastlander:fastlander/LunarLander-v3'); env.reset(seed=0)\n"
        "from fastlander.lander.step import serve_steps\n"
        "print(len(serve_steps.overloads), 'fastlander.lander.vector_env' in sys.modules, 'Box2D' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == [
        "0",
        "False",
        "False",
    ]


def test_its_kernel_is_compiled_once_and_only_for_it():
    code = (
        "import sys, fastlander; fastlander.LunarLanderVectorEnv(1).reset(seed=0)\n"
        "print('fastlander.lander.step_one' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
    env = LunarLanderEnv()
    env.reset(seed=0)
    for action in (1, np.int64(1), np.int32(1), np.uint8(1), np.array(1), True):
        env.step(action)
    smooth = LunarLanderEnv(continuous=True)
    smooth.reset(seed=0)
    for action in ([0, 1], (0.5, -1.0), np.zeros(2, np.float32), np.zeros(2), np.array([0, 1])):
        smooth.step(action)
    assert len(step_one.signatures) == 1


def test_the_random_stream_is_gymnasium_s():
    ours, theirs = pair(enable_wind=True)
    for seed in (3, None, 2**70):
        ours.reset(seed=seed), theirs.reset(seed=seed)
        same_stream(ours, theirs)
    held, its_held = ours.np_random, theirs.np_random
    assert ours.np_random is held
    for _ in range(5):
        same_step(ours.step(2), theirs.step(2))
        # What a user draws, the lander does not draw. A draw of 32 bits leaves half of one for later.
        assert held.integers(10, dtype=np.int32) == its_held.integers(10, dtype=np.int32)
        assert held.random() == its_held.random()
        same_step(ours.step(2), theirs.step(2))
        same_stream(ours, theirs)
    assert ours.reset()[0].tobytes() == theirs.reset()[0].tobytes()
    same_stream(ours, theirs)
    ours.reset(seed=8), theirs.reset(seed=8)
    assert stream(held) == stream(its_held)  # it is no longer the lander's
    ours.np_random, theirs.np_random = np.random.default_rng(5), np.random.default_rng(5)
    assert ours.reset()[0].tobytes() == theirs.reset()[0].tobytes()
    assert ours.np_random_seed == theirs.np_random_seed == -1
    same_step(ours.step(0), theirs.step(0))
    same_stream(ours, theirs)
    with pytest.raises(ValueError, match="np_random must be a numpy.random.Generator of PCG64"):
        ours.np_random = np.random.Generator(np.random.MT19937(0))


def test_a_lander_that_was_never_seeded_has_a_seed_of_its_own():
    ours = LunarLanderEnv()
    assert ours._np_random is None
    seed = ours.np_random_seed
    obs = ours.reset()[0]
    assert ours.np_random_seed == seed
    assert obs.tobytes() == LunarLanderEnv().reset(seed=seed)[0].tobytes()
    assert obs.tobytes() != LunarLanderEnv().reset()[0].tobytes()


@pytest.mark.parametrize("action", [-1, 4, 10**400, 2.0, "1", None, np.float32(1), np.array([1]), np.int64(7)])
def test_wrong_actions_are_refused_as_gymnasium_does(action):
    ours, theirs = LunarLanderEnv(), gym.make(THEIRS).unwrapped
    ours.reset(seed=0), theirs.reset(seed=0)
    before = ours.get_state()
    if isinstance(action, int) and action > 2**63 and tuple(map(int, gym.__version__.split(".")[:2])) < (1, 4):
        pytest.skip("Gymnasium before 1.4 raises OverflowError at it")
    messages = []
    for env in (theirs, ours):
        with pytest.raises(AssertionError) as raised:
            env.step(action)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    assert all(np.array_equal(value, ours.get_state()[name]) for name, value in before.items())


@pytest.mark.parametrize("action", [(np.nan, 1.0), (1.0, np.nan), (np.inf, -np.inf), (9, -9), (0.0, 0.5), (1e-9, 0.6)])
def test_unusual_continuous_actions_do_what_they_do_to_gymnasium(action):
    ours, theirs = pair(continuous=True, disable_env_checker=True)
    ours.reset(seed=0), theirs.reset(seed=0)
    for _ in range(5):
        same_step(ours.step(np.array(action, np.float32)), theirs.step(np.array(action, np.float32)))


def test_exceptions_are_gymnasium_s():
    ours, theirs = pair()
    for env in (ours, theirs):
        with pytest.raises(ResetNeeded):
            env.step(0)
        with pytest.raises(AssertionError):
            env.unwrapped.step(0)
        for seed in (-1, 1.5, "a", np.int64(3)):
            with pytest.raises(Error, match="Seed must be"):
                env.reset(seed=seed)
        for gravity in (0.0, -12.0, float("nan")):
            with pytest.raises(AssertionError, match=re.escape(f"gravity (current value: {gravity}) must be between")):
                gym.make(env.spec.id, gravity=gravity)
        for name in ("wind_power", "turbulence_power"):
            with pytest.warns(UserWarning, match=f"{name} value is recommended"):
                gym.make(env.spec.id, **{name: 30.0})
    with pytest.raises(ValueError, match="render_mode must be None, 'human' or 'rgb_array', got 'ansi'"):
        LunarLanderEnv(render_mode="ansi")
    with pytest.raises(ValueError, match="wind_power must be a finite number, got inf"):
        LunarLanderEnv(wind_power=float("inf"))
    with pytest.raises(ValueError, match="seed must be a natural number of at most 1000 digits"):
        ours.reset(seed=10**1000)


def test_what_is_returned_is_the_caller_s():
    env = LunarLanderEnv()
    first = env.reset(seed=0)[0]
    kept = first.copy()
    second = env.step(2)[0]
    second[:] = 7
    assert np.array_equal(first, kept)
    assert not (env.step(2)[0] == 7).any()


def copies(env, tmp_path):
    twin = gym.make(env.spec)
    np.savez(tmp_path / "state.npz", **env.unwrapped.get_state())
    twin.reset()
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        twin.unwrapped.set_state(state)
    return twin, pickle.loads(pickle.dumps(env)), copy.deepcopy(env), copy.copy(env.unwrapped)


@pytest.mark.parametrize("kind", ["seeded", "held", "set"])
@pytest.mark.parametrize("settings", SETTINGS[:4], ids=str)
def test_a_copy_goes_on_to_the_bit(settings, kind, tmp_path):
    env = gym.make(ID, **settings)
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    if kind == "set":
        env.np_random = np.random.default_rng(9)
    for _ in range(60):
        env.step(random_action(env, rng))
    if kind == "held":
        env.np_random.integers(10, dtype=np.int32)
    twins = copies(env, tmp_path)
    for twin in twins:
        assert twin.np_random_seed == env.np_random_seed
        assert stream(twin.np_random) == stream(env.np_random)
        assert twin.np_random is not env.np_random
    for _ in range(60):
        action = random_action(env, rng)
        step = env.step(action)
        for twin in twins:
            same_step(twin.step(action), step)
    obs = env.reset()[0]
    for twin in twins:
        assert twin.reset()[0].tobytes() == obs.tobytes()


def test_a_copy_before_the_first_reset():
    env = pickle.loads(pickle.dumps(LunarLanderEnv(gravity=-5.0)))
    assert env.gravity == -5.0
    with pytest.raises(AssertionError, match="You forgot to call reset"):
        env.step(0)
    assert env.reset(seed=2)[0].tobytes() == LunarLanderEnv(gravity=-5.0).reset(seed=2)[0].tobytes()


def test_a_state_is_that_of_a_vector_environment_of_one():
    env = LunarLanderEnv()
    several = LunarLanderVectorEnv(1, autoreset_mode="Disabled", max_episode_steps=-1)
    env.reset(seed=4)
    for _ in range(20):
        env.step(3)
    several.set_state(env.get_state())
    for _ in range(20):
        obs, reward, terminated, _, _ = several.step([2])
        same_step(env.step(2), (obs[0], reward[0], bool(terminated[0]), False, {}))
    env.step(0)
    env.set_state(several.get_state())
    same_step(env.step(1), (*(value[0] for value in several.step([1])[:2]), False, False, {}))


def test_wrong_states_are_refused_and_nothing_changes():
    env = LunarLanderEnv()
    env.reset(seed=0)
    state = env.get_state()
    other = LunarLanderEnv(gravity=-5.0)
    other.reset(seed=0)
    set_stream = {**state, "seeds": np.array(["-1"]), "memory": state["memory"].copy()}
    words = set_stream["memory"].view(np.uint64)
    words[16 * 3] -= np.uint64(1)  # INCREMENT_LOW of the first column; an even increment is no stream
    for wrong, line in (
        (other.get_state(), "must be of gravity -10, got one of -5"),
        ({**state, "seeds": np.array(["5"])}, "the random stream of the seed 5"),
        ({**state, "seeds": np.array(["-2"])}, "natural numbers"),
        (set_stream, "an odd increment of the random stream"),
        ({**state, "obs": state["obs"] + 1}, "the observation of the landers as obs"),
        (None, "must be a dict"),
    ):
        with pytest.raises(ValueError, match=line):
            env.set_state(wrong)
        assert all(np.array_equal(value, env.get_state()[name]) for name, value in state.items())
    several = LunarLanderVectorEnv(1, autoreset_mode="Disabled", max_episode_steps=-1)
    with pytest.raises(ValueError, match="natural numbers"):
        several.set_state({**state, "seeds": np.array(["-1"])})


def test_one_thread_at_a_time():
    env = LunarLanderEnv()
    env.reset(seed=0)
    state = env.get_state()
    for call in (lambda: env.step(0), env.reset, env.get_state, lambda: env.set_state(state)):
        with alone(env._free), pytest.raises(RuntimeError, match="used by one thread at a time"):
            call()
    errors = []

    def fly():
        for _ in range(2000):
            try:
                env.step(0)
            except RuntimeError as error:
                errors.append(error)

    threads = [threading.Thread(target=fly) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("used by one thread at a time" in str(error) for error in errors)
    assert np.isfinite(env.step(0)[0]).all()


def test_pictures_are_gymnasium_s_without_particles():
    ours, theirs = pair(render_mode="rgb_array")
    ours.reset(seed=3), theirs.reset(seed=3)
    for k in range(90):
        action = 2 if k < 30 else 0
        same_step(ours.step(action), theirs.step(action))
        if k % 15 == 14:
            theirs.unwrapped._clean_particles(True)
            frame = ours.render()
            assert (frame.shape, frame.dtype) == ((400, 600, 3), np.uint8)
            assert np.array_equal(frame, theirs.render())


def test_lists_of_pictures_by_gymnasium_s_wrapper():
    env = gym.make(ID, render_mode="rgb_array_list")
    env.reset(seed=0)
    for _ in range(4):
        env.step(0)
    frames = env.render()
    assert len(frames) == 5
    assert all(frame.shape == (400, 600, 3) for frame in frames)
    assert not np.array_equal(frames[0], frames[4])


def test_a_window_shows_every_step():
    code = """if True:
        import gymnasium as gym, pygame
        shown = []
        flip = pygame.display.flip
        def count():
            shown.append(pygame.display.get_surface().get_size())
            flip()
        pygame.display.flip = count
        env = gym.make("fastlander:fastlander/LunarLander-v3", render_mode="human")
        env.reset(seed=0)
        for _ in range(3):
            env.step(2)
        assert env.render() is None
        env.close()
        env.close()
        print(shown == [(600, 400)] * 5, pygame.display.get_init())
    """
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert out.stdout.split()[-2:] == ["True", "False"]


def test_rendering_at_the_wrong_time():
    env = LunarLanderEnv()
    with pytest.warns(UserWarning, match="without specifying any render mode"):
        assert env.render() is None
    with pytest.raises(ValueError, match="reset must be called before render"):
        LunarLanderEnv(render_mode="rgb_array").render()


def test_gymnasium_s_wrappers_and_the_lecture_s_agent_work_on_it():
    env = RecordEpisodeStatistics(gym.make(ID))
    obs, _ = env.reset(seed=0)
    over = False
    while not over:
        obs, _, terminated, truncated, info = env.step(0)
        over = terminated or truncated
    assert info["episode"]["l"] > 10
    agent = Agent(gym.make(ID))
    agent.current_state = obs
    agent.act()
    assert agent.action in range(4)


def test_a_state_with_settings_of_its_own_is_refused():
    vector = gym.make_vec("fastlander/LunarLander-v3", 1, autoreset_mode="Disabled", max_episode_steps=-1)
    vector.reset(seed=1)
    vector.set_attr("gravity", [-5.0])
    vector.reset(seed=2)
    env = gym.make("fastlander/LunarLander-v3").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="without set_attr"):
        env.set_state(vector.get_state())
    twin = gym.make("fastlander/LunarLander-v3").unwrapped
    twin.reset(seed=0)
    assert np.array_equal(env.step(2)[0], twin.step(2)[0])  # nothing has changed
