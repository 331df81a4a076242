"""LunarLanderVectorEnv beside Gymnasium's SyncVectorEnv: the same bytes, and the same manners."""

import itertools
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers import vector as vector_wrappers

import fastlander
from fastlander import LunarLanderVectorEnv
from fastlander.kernels.threads import ask, await_all
from fastlander.lander.step import serve_steps
from fastlander.lander.step_all import load_actions, step_all

MODES = list(AutoresetMode)


def sync(num_envs, mode=AutoresetMode.NEXT_STEP, **settings):
    return gym.make_vec(
        "LunarLander-v3", num_envs, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **settings
    )


def policy(continuous, num_envs, seed=0):
    rng = np.random.default_rng(seed)
    while True:
        yield rng.uniform(-1.3, 1.3, (num_envs, 2)).astype(np.float32) if continuous else rng.integers(4, size=num_envs)


def assert_same_step(ours, theirs):
    for a, b in zip(ours[:-1], theirs[:-1], strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    assert data_equivalence(ours[-1], theirs[-1])


def episodes_in_step(env, twin, steps, seed=0):
    """Step both environments side by side: how many episodes ended."""
    mode, ended = env.metadata["autoreset_mode"], 0
    assert_same_step(env.reset(seed=seed), twin.reset(seed=seed))
    actions = policy(env.continuous, env.num_envs)
    for _ in range(steps):
        action = next(actions)
        ours = env.step(action)
        assert_same_step(ours, twin.step(action))
        over = ours[2] | ours[3]
        ended += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            options = {"reset_mask": over}
            assert_same_step(env.reset(options=options), twin.reset(options=dict(options)))
    env.close()
    twin.close()
    return ended


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [1, 3, 16, 17, 40])
def test_every_step_is_sync_vector_env_s(mode, num_envs):
    steps = max(150, 600 // num_envs)
    ended = episodes_in_step(LunarLanderVectorEnv(num_envs, autoreset_mode=mode), sync(num_envs, mode), steps)
    assert ended >= num_envs


SETTINGS = [
    {"continuous": True},
    {"enable_wind": True},
    {"enable_wind": True, "wind_power": 3.0, "turbulence_power": 0.5, "continuous": True},
    {"gravity": -3.0},
    {"gravity": -11.9},
    {"max_episode_steps": 7},
    {"max_episode_steps": 30, "enable_wind": True},
]


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("settings", [{}, {"continuous": True, "enable_wind": True}], ids=["discrete", "windy"])
def test_landers_that_stand_still_miss_nothing(settings, num_threads):
    """Each lander steps when a coin says so; its twin is an environment of its own, stepped as often."""
    env = LunarLanderVectorEnv(40, autoreset_mode="Disabled", num_threads=num_threads, **settings)
    twins = [gym.make("LunarLander-v3", **settings) for _ in range(40)]
    obs, _ = env.reset(seed=3)
    seen = [twin.reset(seed=3 + i)[0] for i, twin in enumerate(twins)]
    rng, actions, over = np.random.default_rng(1), policy(env.continuous, 40), np.zeros(40, bool)
    for k in range(300):
        mask = (rng.random(40) < rng.choice([0.05, 0.5, 1.0])) & ~over
        if not mask.any():
            continue
        action = next(actions)
        obs, reward, terminated, truncated, _ = env.step_some(action, mask)
        for i in range(40):
            expected = (0.0, False, False)
            if mask[i]:
                seen[i], *expected, _ = twins[i].step(action[i])
            assert obs[i].tobytes() == seen[i].tobytes()
            assert (reward[i], terminated[i], truncated[i]) == tuple(expected)
        over |= terminated | truncated
        if k == 200:
            env.reset(options={"reset_mask": over})
            for i in np.flatnonzero(over):
                seen[i], _ = twins[i].reset()
            over[:] = False
    assert over.any()
    with pytest.raises(AssertionError, match="episodes ended and were not reset"):
        env.step_some(next(actions), np.ones(40, bool))
    env.close()


def test_stepping_some_at_the_wrong_time_is_refused():
    env = LunarLanderVectorEnv(3, autoreset_mode="Disabled")
    mask = np.array([True, False, True])
    with pytest.raises(ValueError, match="step_some must be called after reset, with autoreset_mode DISABLED"):
        env.step_some([0, 0, 0], mask)
    env.reset(seed=0)
    for wrong, line in (
        (np.zeros(3, bool), "`mask` must contain a boolean array with at least one True"),
        (np.ones(2, bool), r"`mask` must have shape `\(3,\)`, got \(2,\)"),
        ([True, False, True], r"`mask` must be a numpy array, got <class 'list'>"),
    ):
        with pytest.raises(ValueError, match=line):
            env.step_some([0, 0, 0], wrong)
    other = LunarLanderVectorEnv(3)
    other.reset(seed=0)
    with pytest.raises(ValueError, match="with autoreset_mode DISABLED"):
        other.step_some([0, 0, 0], mask)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_settings_mean_what_they_mean_to_gymnasium(settings, mode):
    env = LunarLanderVectorEnv(5, autoreset_mode=mode, **settings)
    assert episodes_in_step(env, sync(5, mode, **settings), 200) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_many_landers_on_several_threads(num_threads):
    episodes_in_step(LunarLanderVectorEnv(256, num_threads=num_threads), sync(256), 300)


def trajectory(env, seeds, steps=150):
    obs = [env.reset(seed=seeds)[0]]
    rngs = [np.random.default_rng(seed) for seed in seeds]
    for _ in range(steps):
        obs.append(env.step(np.array([rng.integers(4) for rng in rngs]))[0])
    return np.array(obs)


@pytest.mark.parametrize(("num_envs", "num_threads"), [(1, 1), (3, 3), (17, 2), (70, 1), (70, 2)])
def test_a_lander_depends_neither_on_its_neighbours_nor_on_its_lane_nor_on_threads(num_envs, num_threads):
    alone = trajectory(LunarLanderVectorEnv(1), [42])[:, 0]
    for place in {0, num_envs // 2, num_envs - 1}:
        seeds = [1000 + i for i in range(num_envs)]
        seeds[place] = 42
        env = LunarLanderVectorEnv(num_envs, num_threads=num_threads)
        assert trajectory(env, seeds)[:, place].tobytes() == alone.tobytes()
        env.close()


def test_threads_wake_again_after_a_pause():
    env, twin = LunarLanderVectorEnv(64, num_threads=4), LunarLanderVectorEnv(64)
    assert env.reset(seed=1)[0].tobytes() == twin.reset(seed=1)[0].tobytes()
    actions = policy(False, 64)
    for k in range(120):
        action = next(actions)
        assert_same_step(env.step(action), twin.step(action))
        time.sleep(0.002 * (k % 3 == 0))
    env.close()


def test_two_environments_in_two_threads_give_what_they_give_alone():
    expected = [trajectory(LunarLanderVectorEnv(16), [seed] * 16) for seed in (1, 2)]
    got = [None, None]

    def run(k):
        got[k] = trajectory(LunarLanderVectorEnv(16), [k + 1] * 16)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [g.tobytes() for g in got] == [e.tobytes() for e in expected]


@pytest.mark.parametrize("env_id", ["fastlander/LunarLander-v3", "fastlander:fastlander/LunarLander-v3"])
def test_gymnasium_makes_it(env_id):
    env = gym.make_vec(env_id, num_envs=3, autoreset_mode=AutoresetMode.SAME_STEP, gravity=-9.0, num_threads=2)
    assert isinstance(env, LunarLanderVectorEnv)
    assert isinstance(env, VectorEnv)
    assert env.spec.id == "fastlander/LunarLander-v3"
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    env.close()
    assert gym.make_vec("fastlander/LunarLanderContinuous-v3", num_envs=2).continuous


def test_no_import_is_needed():
    code = (
        "import gymnasium as gym; print(gym.make_vec('fastlander:fastlander/LunarLander-v3', num_envs=2).reset(seed=0))"
    )
    assert "array" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("continuous", [False, True])
def test_spaces_and_metadata_are_gymnasium_s(continuous):
    ours, theirs = LunarLanderVectorEnv(4, continuous=continuous), sync(4, continuous=continuous)
    for name in ("observation_space", "single_observation_space", "action_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    assert ours.metadata["render_fps"] == theirs.metadata["render_fps"]
    assert ours.observation_space.contains(ours.reset(seed=0)[0])
    assert ours.num_envs == 4


def test_seeds():
    ours, theirs = LunarLanderVectorEnv(3), sync(3)
    assert_same_step(ours.reset(seed=[5, 5, 2**40]), theirs.reset(seed=[5, 5, 2**40]))
    assert_same_step(ours.reset(seed=[None, 9, None]), theirs.reset(seed=[None, 9, None]))
    assert_same_step(ours.reset(), theirs.reset())
    assert ours.np_random_seed == theirs.np_random_seed
    for a, b in zip(ours.np_random, theirs.np_random, strict=True):
        assert a.bit_generator.state["state"] == b.bit_generator.state["state"]
    assert LunarLanderVectorEnv(2).reset()[0].tobytes() != LunarLanderVectorEnv(2).reset()[0].tobytes()


def test_what_is_returned_is_the_caller_s():
    env = LunarLanderVectorEnv(2)
    first = env.reset(seed=0)[0]
    kept = first.copy()
    second = env.step([2, 2])[0]
    second[:] = 7
    assert np.array_equal(first, kept)
    assert not (env.step([2, 2])[0] == 7).any()


@pytest.mark.parametrize("mode", MODES)
def test_observations_of_landers_that_are_not_reset_stay(mode):
    ours, theirs = LunarLanderVectorEnv(3, autoreset_mode=mode), sync(3, mode)
    ours.reset(seed=0), theirs.reset(seed=0)
    assert_same_step(ours.step([2, 0, 1]), theirs.step(np.array([2, 0, 1])))
    mask = np.array([False, True, False])
    assert_same_step(ours.reset(options={"reset_mask": mask}), theirs.reset(options={"reset_mask": mask}))
    assert_same_step(
        ours.reset(seed=[None, None, 4], options={"reset_mask": ~mask}),
        theirs.reset(seed=[None, None, 4], options={"reset_mask": ~mask}),
    )


@pytest.mark.parametrize("settings", [{}, {"enable_wind": True}, {"autoreset_mode": AutoresetMode.SAME_STEP}])
def test_a_snapshot_goes_on_to_the_bit(settings, tmp_path):
    env, twin = LunarLanderVectorEnv(20, **settings), LunarLanderVectorEnv(20, **settings)
    env.reset(seed=1)
    actions = policy(False, 20)
    for _ in range(90):
        env.step(next(actions))
    np.savez(tmp_path / "state.npz", **env.get_state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        twin.set_state(state)
    pickled = pickle.loads(pickle.dumps(env))
    assert pickled.np_random_seed == twin.np_random_seed == env.np_random_seed
    for _ in range(120):
        action = next(actions)
        step = env.step(action)
        assert_same_step(twin.step(action), step)
        assert_same_step(pickled.step(action), step)


def test_frames_are_gymnasium_s_without_particles():
    ours, theirs = LunarLanderVectorEnv(2, render_mode="rgb_array"), sync(2, render_mode="rgb_array")
    ours.reset(seed=3), theirs.reset(seed=3)
    for k in range(60):
        action = np.array([0, 2 if k < 30 else 0])
        ours.step(action), theirs.step(action)
        if k % 20 == 19:
            for env in theirs.envs:
                env.unwrapped._clean_particles(True)
            for a, b in zip(ours.render(), theirs.render(), strict=True):
                assert a.shape == (400, 600, 3)
                assert a.dtype == np.uint8
                assert np.array_equal(a, b)
    ours.close()


@pytest.mark.parametrize(
    ("actions", "line"),
    [
        ([0, 1], r"actions must be int\[3\], got int64\[2\]"),
        ([[0, 1, 2]], r"actions must be int\[3\], got int64\[1, 3\]"),
        (0, r"actions must be int\[3\], got int64\[\]"),
        ([0.0, 1.0, 2.0], r"actions must be int\[3\], got float64\[3\]"),
        ([True, False, True], r"actions must be int\[3\], got bool\[3\]"),
        ([0, 1, 4], "actions must be 0, 1, 2 or 3, got 4 for lander 2"),
        ([0, -1, 4], "actions must be 0, 1, 2 or 3, got -1 for lander 1"),
    ],
)
def test_wrong_actions_are_refused_and_nothing_moves(actions, line):
    env = LunarLanderVectorEnv(3)
    env.reset(seed=0)
    before = env.get_state()
    with pytest.raises(ValueError, match=line):
        env.step(actions)
    assert all(np.array_equal(value, env.get_state()[name]) for name, value in before.items())


def array_kinds(plain):
    """The same numbers in every kind of array that a caller may have."""
    n, rest = len(plain), plain.shape[1:]
    wide = np.zeros((n, *rest, 3), plain.dtype)
    wide[..., 1] = plain
    read_only = plain.copy()
    read_only.flags.writeable = False
    packed = np.zeros(n, np.dtype([("odd", np.uint8), ("it", plain.dtype, rest)]))
    packed["it"] = plain
    memory = np.zeros(plain.nbytes + 1, np.uint8)[1:].view(plain.dtype).reshape(plain.shape)
    memory[:] = plain
    yield from (
        plain,
        wide[..., 1],
        plain[::-1].copy()[::-1],
        read_only,
        packed["it"],
        memory,
        np.asfortranarray(plain),
    )
    if plain.dtype != bool:
        yield plain.astype(plain.dtype.newbyteorder())
        yield from (plain.astype(t) for t in (np.int8, np.uint8, np.int16, np.uint32, np.int32, np.uint64))
        yield plain.tolist()


@pytest.mark.parametrize("num_threads", [1, 2])
def test_no_kind_of_array_compiles_a_kernel_anew(num_threads):
    """Numba would compile a kernel for every other kind of array, the lander's for minutes."""
    env = LunarLanderVectorEnv(20, autoreset_mode="Disabled", num_threads=num_threads)
    smooth = LunarLanderVectorEnv(20, autoreset_mode="Disabled", num_threads=num_threads, continuous=True)
    env.reset(seed=0), smooth.reset(seed=0)
    rng = np.random.default_rng(0)
    start, smooth_start = env.get_state(), smooth.get_state()
    mask, actions, floats = rng.random(20) < 0.5, rng.integers(4, size=20), rng.integers(-1, 2, (20, 2))
    expected = []
    for kind, the_mask in itertools.chain(
        itertools.product(array_kinds(actions), [mask]), itertools.product([actions], array_kinds(mask))
    ):
        env.set_state(start)
        got = [env.step_some(kind, the_mask)[:4], env.step(kind)[:4]]
        got += [env.reset(seed=[None] * 20, options={"reset_mask": the_mask})[:1]]
        got = [array.tobytes() for arrays in got for array in arrays]
        expected = expected or got
        assert got == expected
    expected = []
    for kind in (*array_kinds(floats), *array_kinds(floats.astype(np.float32)), floats.astype(np.float16)):
        if np.asarray(kind).dtype.kind == "u":
            continue  # there is no -1
        smooth.set_state(smooth_start)
        got = [array.tobytes() for array in smooth.step(kind)[:4]]
        expected = expected or got
        assert got == expected
    env.close(), smooth.close()
    for compiled in (serve_steps, load_actions, step_all, ask, await_all):
        assert len(compiled.signatures) <= 1, compiled


def test_wrong_continuous_actions_are_refused():
    env = LunarLanderVectorEnv(2, continuous=True)
    env.reset(seed=0)
    for actions, line in (
        ([[0, np.nan], [0, 0]], "actions must be numbers, got nan"),
        ([0.0, 0.0], r"actions must be float\[2, 2\], got float64\[2\]"),
        ([["a", "b"], ["c", "d"]], r"actions must be float\[2, 2\], got"),
    ):
        with pytest.raises(ValueError, match=line):
            env.step(actions)
    env.step(np.array([[np.inf, -np.inf], [0.3, 2.0]]))


def test_stepping_at_the_wrong_time_is_refused():
    env = LunarLanderVectorEnv(2, autoreset_mode=AutoresetMode.DISABLED, max_episode_steps=1)
    with pytest.raises(ValueError, match="reset must be called before step"):
        env.step([0, 0])
    with pytest.raises(ValueError, match="reset must be called for all landers before"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    env.step([0, 0])
    with pytest.raises(AssertionError, match=r"ended and were not reset: \[0, 1\]"):
        env.step([0, 0])
    env.close()
    for call in (lambda: env.step([0, 0]), env.reset, env.render, env.get_state):
        with pytest.raises(ValueError, match="this environment is closed"):
            call()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"num_envs": 0}, "num_envs must be an integer of at least 1, got 0"),
        ({"num_threads": 0}, "num_threads must be an integer of at least 1, got 0"),
        ({"gravity": 0.0}, "gravity must be between -12 and 0, got 0.0"),
        ({"gravity": float("nan")}, "gravity must be between -12 and 0, got nan"),
        ({"wind_power": float("inf")}, "wind_power must be a finite number, got inf"),
        ({"autoreset_mode": "never"}, "autoreset_mode must be one of NextStep, SameStep, Disabled, got 'never'"),
        ({"render_mode": "ansi"}, "render_mode must be None or one of human, rgb_array, rgb_array_list, got 'ansi'"),
        ({"max_episode_steps": 0}, "max_episode_steps must be an integer of at least 1 and at most .*, got 0"),
    ],
)
def test_wrong_settings_are_refused(settings, line):
    with pytest.raises(ValueError, match=line):
        LunarLanderVectorEnv(**settings)


def test_wrong_resets_are_refused():
    env = LunarLanderVectorEnv(2)
    for seed, line in (
        (-1, "seed must be a natural number, got -1"),
        (1.5, "seed must be a natural number, got 1.5"),
        ([1, 2, 3], "seed must be one number or 2 of them, got 3"),
        ([1, "a"], "seed must be a natural number, got 'a'"),
    ):
        with pytest.raises(ValueError, match=line):
            env.reset(seed=seed)
    env.reset(seed=0)
    for mask, line in (
        ([True, False], "must be a numpy array, got <class 'list'>"),
        (np.array([1, 0]), "must have `dtype=np.bool_`, got int64"),
        (np.zeros(2, bool), "must contain a boolean array with at least one True value"),
    ):
        with pytest.raises(ValueError, match=line):
            env.reset(options={"reset_mask": mask})


def test_unusual_wind_is_warned_of_as_gymnasium_does():
    with pytest.warns(UserWarning, match="wind_power value is recommended"):
        LunarLanderVectorEnv(1, wind_power=30.0)


def test_no_time_limit():
    env = LunarLanderVectorEnv(1, max_episode_steps=-1, gravity=-0.01)
    env.reset(seed=0)
    assert not any(env.step([0])[3][0] for _ in range(60))


WRAPPERS = [
    vector_wrappers.RecordEpisodeStatistics,
    vector_wrappers.NormalizeObservation,
    vector_wrappers.NormalizeReward,
    lambda env: vector_wrappers.ClipReward(env, -1, 1),
    lambda env: vector_wrappers.RescaleObservation(env, -1.0, 1.0),
    lambda env: vector_wrappers.DtypeObservation(env, np.float64),
    lambda env: vector_wrappers.TransformObservation(env, lambda obs: obs * 2),
    vector_wrappers.DictInfoToList,
]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_gymnasium_s_wrappers_behave_as_around_sync_vector_env(wrapper):
    ours, theirs = wrapper(LunarLanderVectorEnv(4)), wrapper(sync(4))
    assert data_equivalence(ours.reset(seed=0), theirs.reset(seed=0))
    actions = policy(False, 4)
    for _ in range(150):
        action = next(actions)
        a, b = ours.step(action), theirs.step(action)
        for infos in (a[-1], b[-1]):
            if isinstance(infos, dict) and "episode" in infos:
                infos["episode"].pop("t")  # seconds
        assert data_equivalence(a, b)


def run_python(code, **environment):
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert process.returncode == 0, process.stderr
    return process


@pytest.mark.slow
def test_a_first_compile_is_announced_and_an_unwritable_cache_only_costs_time(tmp_path):
    code = (
        "from fastlander import LunarLanderVectorEnv as E; print(E(2).reset(seed=0)[0].tobytes().hex()); "
        "from fastlander.lander.compiled import MISSING; MISSING.load(wait=True)"
    )
    expected = LunarLanderVectorEnv(2).reset(seed=0)[0].tobytes().hex()
    fresh = run_python(code, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    notice = r"compiling serve_step_once \(\d of the \d kernels of lander\) once for this machine: 15 to 40 s"
    assert re.search(notice, fresh.stderr)
    assert "compiled serve_step_once in" in fresh.stderr
    again = run_python(code, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert again.stderr == ""
    assert fresh.stdout.strip() == again.stdout.strip() == expected
    package = tmp_path / "read-only"
    package.mkdir()
    source = os.path.dirname(fastlander.__file__)
    shutil.copytree(source, package / "fastlander", ignore=shutil.ignore_patterns("__pycache__"))
    # No place to write: a file stands where each cache would go, and there is no home directory.
    for folder in {path.parent for path in (package / "fastlander").rglob("*.py")}:
        (folder / "__pycache__").write_text("")
    nowhere = {"PYTHONPATH": str(package), "HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"}
    assert run_python(code, PYTHONDONTWRITEBYTECODE="1", **nowhere).stdout.strip() == expected


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs x86-64")
@pytest.mark.parametrize("features", ["", "+avx2,+fma"])
def test_other_processors_code_gives_the_same_bytes(features, tmp_path):
    code = """if True:
        import sys, numpy as np
        from fastlander.lander.step import serve_steps
        from fastlander.lander.parity import GROUPS, compare
        parity = compare(GROUPS["mixed"], range(20), 16)
        assert parity.mismatches == 0 and parity.steps > 4000, parity
        assembly = "".join(serve_steps.inspect_asm().values())
        print("zmm" in assembly, "ymm" in assembly)
    """
    name = "x86-64-v3" if features else "x86-64"
    cache = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    assert run_python(code, **cache).stdout.split() == ["False", str(bool(features))]
