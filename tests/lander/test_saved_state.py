"""`set_state` takes every state that play gives, and no other that could crash or hang the kernels."""

import copy
import pathlib
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

from fastlander import LunarLanderVectorEnv
from fastlander.lander.saved_state import CONTACT_F32, CONTACT_I32, F32, F64, I32
from fastlander.physics.state import (
    AWAKE,
    ELAPSED,
    HEIGHT,
    INCREMENT_LOW,
    NUM_CONTACT_F32,
    NUM_CONTACT_I32,
    NUM_CONTACTS,
    NUM_F32,
    NUM_F64,
    NUM_I32,
    POSITION,
    SHAPING,
    VELOCITY,
    unpack,
)
from fastlander.validation import InputError

SETTINGS = [
    {},
    {"enable_wind": True, "autoreset_mode": "SameStep"},
    {"enable_wind": True, "wind_power": 20.0, "turbulence_power": 2.0, "continuous": True},
    {"gravity": -2.0, "autoreset_mode": "Disabled"},
    {"max_episode_steps": 40},
    {"max_episode_steps": -1, "gravity": -0.01, "autoreset_mode": "Disabled"},
]


def heuristic(obs):
    """Gymnasium's `heuristic` for discrete actions, for all landers at once."""
    x, y, vx, vy, angle, spin, leg0, leg1 = obs.T.astype(np.float64)
    turn = (np.clip(0.5 * x + vx, -0.4, 0.4) - angle) * 0.5 - spin
    lift = (0.55 * np.abs(x) - y) * 0.5 - vy * 0.5
    down = (leg0 > 0) | (leg1 > 0)
    turn, lift = np.where(down, 0, turn), np.where(down, -vy * 0.5, lift)
    main = (lift > np.abs(turn)) & (lift > 0.05)
    return np.where(main, 2, np.where(turn < -0.05, 3, np.where(turn > 0.05, 1, 0)))


def actions_for(env, obs, rng):
    """Random, the heuristic, main engine only, and the heuristic that is random on the ground: by turns."""
    n = env.num_envs
    if env.continuous:
        return rng.uniform(-1.3, 1.3, (n, 2)).astype(np.float32)
    landing, random, kind = heuristic(obs), rng.integers(4, size=n), np.arange(n) % 4
    on_ground = (obs[:, 6] > 0) | (obs[:, 7] > 0)
    return np.select([kind == 0, kind == 1, kind == 2], [random, landing, 2], np.where(on_ground, random, landing))


def play(env, steps, seed, resets=True):
    """Step landers of every kind; gives after each step what it gave. In mode DISABLED only those that can."""
    rng = np.random.default_rng(seed)
    obs = env.get_state()["obs"]
    for _ in range(steps):
        if env.autoreset_mode.value != "Disabled":
            obs, *rest, _ = env.step(actions_for(env, obs, rng))
        else:
            ended = env.get_state()["ended"]
            if ended.all() or (resets and ended.any() and rng.random() < 0.1):
                obs, rest = env.reset(options={"reset_mask": ended})[0], []
            else:
                obs, *rest, _ = env.step_some(actions_for(env, obs, rng), ~ended)
        yield [obs.tobytes(), *(array.tobytes() for array in rest)]


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_state_of_play_is_taken_and_goes_on(settings):
    env, twin = LunarLanderVectorEnv(9, **settings), LunarLanderVectorEnv(9, num_threads=2, **settings)
    twin.set_state(env.get_state())  # before the first reset
    assert env.np_random_seed
    twin.set_state(env.get_state())  # streams that were started, but no landers
    env.reset(seed=17)
    on_ground = asleep = over = 0
    for _ in play(env, 800, seed=len(str(settings))):
        state = env.get_state()
        twin.set_state(state)
        assert same(twin.get_state(), state)
        fields = unpack(state["memory"], 9)
        on_ground += int((fields.i32[NUM_CONTACTS] > 0).sum())
        asleep += int((fields.i32[AWAKE, :9] == 0).sum())
        over += int(state["ended"].sum())
    assert on_ground or "max_episode_steps" in settings
    assert asleep or settings
    assert over or settings.get("autoreset_mode") == "SameStep"
    for copied in (twin, copy.copy(env), copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        copied.set_state(env.get_state())
        expected = list(play(copy.deepcopy(env), 60, seed=1))
        assert list(play(copied, 60, seed=1)) == expected


def played(steps=120, num_envs=3, **settings):
    env = LunarLanderVectorEnv(num_envs, **settings)
    env.reset(seed=4)
    for _ in play(env, steps, seed=2):
        pass
    return env


def refuse(env, state, line):
    before = env.get_state()
    with pytest.raises(InputError, match=line) as caught:
        env.set_state(state)
    assert "\n" not in str(caught.value)
    assert same(env.get_state(), before)


def test_states_of_other_settings_are_refused():
    base = {"gravity": -9.0, "enable_wind": True, "max_episode_steps": 300}
    state = played(**base).get_state()
    for other, line in (
        ({"gravity": -8.0}, "the state must be of gravity -8, got one of -9"),
        ({"enable_wind": False}, "the state must be of enable_wind 0, got one of 1"),
        ({"continuous": True}, "the state must be of continuous 1, got one of 0"),
        ({"wind_power": 3.0}, "the state must be of wind_power 3, got one of 15"),
        ({"turbulence_power": 1.0}, "the state must be of turbulence_power 1, got one of 1.5"),
        ({"max_episode_steps": 301}, "the state must be of max_episode_steps 301, got one of 300"),
        ({"autoreset_mode": "Disabled"}, "the state must be of autoreset_mode Disabled, got one of NextStep"),
        ({"num_envs": 4}, r"the state must be of 4 landers \(num_envs\), got one of 3"),
    ):
        env = LunarLanderVectorEnv(**{"num_envs": 3, **base, **other})
        refuse(env, state, line)
    twin = LunarLanderVectorEnv(3, num_threads=3, render_mode="rgb_array", **base)
    twin.set_state(state)
    without = {name: value for name, value in state.items() if name not in ("variant", "autoreset_mode")}
    twin.set_state(without)  # as version 0.1.0 made them
    assert same(twin.get_state(), state)


def test_what_is_no_state_is_refused():
    env = played()
    state = env.get_state()
    for wrong, line in (
        (None, "the state of the landers must be a dict, got NoneType"),
        ({}, "the state of the landers must have memory, obs, ended, ready, seeds, got nothing"),
        ({**state, "more": np.zeros(1)}, "the state of the landers must have memory.*, got .*more"),
        ({**state, "memory": state["memory"][:-1]}, r"must have uint8\[\d+\] as memory, got uint8"),
        ({**state, "memory": state["memory"].view(np.int8)}, "as memory, got int8"),
        ({**state, "obs": state["obs"].astype(np.float64)}, r"must have float32\[3, 8\] finite as obs, got float64"),
        ({**state, "ended": np.zeros(3, int)}, r"must have bool\[3\] as ended, got int64"),
        ({**state, "ready": True}, r"must have bool\[\] as ready, got True"),
        ({**state, "ready": np.array(2, np.uint8).view(bool)}, "must have True or False as ready, got another byte"),
        ({**state, "autoreset_mode": np.array("Never")}, "must have one of NextStep, SameStep, Disabled"),
        ({**state, "variant": state["variant"][:5]}, r"must have float64\[6\] as variant, got float64\[5\]"),
    ):
        refuse(env, wrong, line)


@pytest.mark.parametrize(
    "seeds", [["4", "5"], ["4", "-5", "6"], ["4", "", "6"], ["4", "05", "6"], ["4", "5 ", "6"], ["4", "x", "6"],
              ["4", "\u0665", "6"], ["4", "9" * 1001, "6"], [b"4", b"5", b"6"], [4, 5, 6], ["4", "5", "7"], []]
)  # fmt: skip
def test_wrong_seeds_are_refused(seeds):
    env = played()
    assert env.np_random_seed == (4, 5, 6)
    refuse(env, {**env.get_state(), "seeds": np.array(seeds)}, "the state of the landers must have")


def test_seeds_that_are_no_characters_are_refused():
    env = played()
    state = env.get_state()
    state["seeds"].view(np.uint32)[1] = 0x7FFFFFFF
    refuse(env, state, "the state of the landers must have 3 natural numbers of at most 1000 digits as text, or none")


def test_seeds_of_any_size_that_a_reset_takes_come_back():
    env = LunarLanderVectorEnv(2)
    with pytest.raises(ValueError, match="seed must be a natural number of at most 1000 digits, got one of 3322 bits"):
        env.reset(seed=10**1000)
    env.reset(seed=[10**1000 - 1, 2**128 + 3])
    assert pickle.loads(pickle.dumps(env)).np_random_seed == (10**1000 - 1, 2**128 + 3)


def changed(env, change):
    state = env.get_state()
    change(unpack(state["memory"], env.num_envs))
    return state


def test_numbers_out_of_their_ranges_are_refused_by_name():
    env = played()
    for table, array, total in ((F32, "f32", NUM_F32), (I32, "i32", NUM_I32), (F64, "f64", NUM_F64)):
        assert [row.first for row in table] == list(np.cumsum([0, *(row.count for row in table)]))[:-1]
        assert sum(row.count for row in table) == total
        for row in table:
            for bad in (np.nan, np.inf, 1e300) if array != "i32" else (-1, 2**31 - 1):
                if row.name == "SHAPING" and not np.isnan(bad):
                    continue

                def put(state, array=array, row=row, bad=bad):
                    with np.errstate(over="ignore"):
                        getattr(state, array)[row.first + row.count - 1, 1] = np.float64(bad)

                refuse(env, changed(env, put), f"the state of the landers must have {row.name} from .* for lander 1")


def test_fields_of_contacts_out_of_their_ranges_are_refused_by_name():
    env = played()
    for table, array, total in (
        (CONTACT_F32, "contact_f32", NUM_CONTACT_F32),
        (CONTACT_I32, "contact_i32", NUM_CONTACT_I32),
    ):
        assert sum(row.count for row in table) == total
        for row in table:
            for bad in (np.nan, -np.inf) if array == "contact_f32" else (-1, 2**31 - 1):

                def put(state, array=array, row=row, bad=bad):
                    getattr(state, array)[2, 32, row.first] = bad

                refuse(env, changed(env, put), f"must have {row.name} from .* for contact 32 of lander 2")


def test_what_does_not_fit_together_is_refused():
    env = played(num_envs=12, enable_wind=True)
    state = unpack(env.get_state()["memory"], 12)
    grounded = int(np.flatnonzero(state.i32[NUM_CONTACTS, :12] > 1)[0])

    def twice(state):
        state.contact_i32[grounded, 1] = state.contact_i32[grounded, 0]
        state.contact_f32[grounded, 1] = state.contact_f32[grounded, 0]

    def put(array, row, lander, value):
        def change(state):
            getattr(state, array)[row, lander] = value

        return change

    for change, line in (
        (twice, "one contact for each edge and body"),
        (put("f32", POSITION + 3, 0, 9e4), "bodies no farther than"),
        (put("f32", POSITION + 8, 0, 2.25), "sine and cosine of the angles as ROTATION"),
        (put("f32", POSITION + 3, 0, 3.5), "the bodies' positions, without their centres of mass, as ORIGIN"),
        (put("f32", HEIGHT + 3, 0, 3.5), "GROUND, rounded, as HEIGHT"),
        (put("f32", VELOCITY, 0, 3.5), "the observation of the landers as obs for lander 0"),
        (put("f64", SHAPING, 0, 3.5), "the potential of the observation as SHAPING"),
        (put("i32", ELAPSED, 5, 1000), "True as ended where, and only where, an episode is over for lander 5"),
        (put("i32", 0, 12, 1), "zeros in the memory beyond its 12 landers"),
        (put("stream", INCREMENT_LOW, 3, 8), "the random stream of the seed 7 for lander 3"),
        (put("stream", 4, 3, 8), "half a draw or none in BUFFERED"),
        (put("stream", 5, 3, 2**40), "time indices of the wind from -9999"),
    ):
        refuse(env, changed(env, change), line)
    state = env.get_state()
    refuse(env, {**state, "ready": np.array(False)}, "zeros only, as it is not ready")
    refuse(env, {**state, "ended": ~state["ended"]}, "True as ended where, and only where, an episode is over")
    new = LunarLanderVectorEnv(12).get_state()
    refuse(LunarLanderVectorEnv(12), {**new, "ended": np.ones(12, bool)}, "zeros only, as it is not ready")
    refuse(LunarLanderVectorEnv(12), {**new, "ready": np.array(True)}, "a seed for each lander")


# ---- random corruptions, in a process of their own: a fault would end or stop it


def corrupt(state, others, num_envs, rng):
    """A state that no play gave, or hardly: one or more random changes of a valid one."""
    state = {name: np.array(value) for name, value in state.items()}
    for _ in range(rng.integers(1, 4)):
        fields = unpack(state["memory"], num_envs)
        array = fields[rng.integers(len(fields))]
        row, lander = rng.integers(len(array)), rng.integers(num_envs)
        kind = rng.integers(10)
        if kind == 0:
            place = rng.integers(len(state["memory"]))
            state["memory"][place] ^= np.uint8(1 << rng.integers(8))
        elif kind == 1:
            start = rng.integers(len(state["memory"]))
            piece = state["memory"][start : start + rng.integers(1, 600)]
            piece[:] = rng.integers(256, size=len(piece))
        elif kind == 2:
            array.view(np.uint8)[:] = rng.integers(256, size=array.view(np.uint8).shape)
        elif kind == 3:
            array[row] = np.roll(array[row], 1, axis=-1)
        elif kind == 4:
            other = rng.integers(len(array))
            array[[row, other]] = array[[other, row]]
        elif kind == 5:
            numbers = [0, 1, 2, 3, 10, 11, 33, 34, 40, 2**31 - 1]
            if array.dtype.kind == "f":
                numbers += [-1, -(2**31), np.nan, np.inf, -np.inf, 1e-40, 1e30, 17.5, 1e4]
            elif array.dtype.kind == "i":
                numbers += [-1, -(2**31)]
            with np.errstate(over="ignore"):
                array[row].flat[rng.integers(array[row].size)] = rng.choice(numbers)
        elif kind == 6:
            for other in fields[:4]:
                other[:, [lander, 0]] = other[:, [0, lander]]
        elif kind == 7:
            name = rng.choice(["ended", "ready", "obs", "variant"])
            bytes_ = state[name].reshape(-1).view(np.uint8)
            bytes_[rng.integers(len(bytes_))] ^= np.uint8(1 << rng.integers(8))
        elif kind == 8:
            name = rng.choice(list(state))
            state[name] = np.array(others[rng.integers(len(others))][name])
        else:
            count = int(rng.integers(34))
            fields.i32[NUM_CONTACTS, lander] = count
            fields.contact_i32[lander, :count, 0] = rng.integers(3, size=count)
            fields.contact_i32[lander, :count, 1] = rng.integers(11, size=count)
    return state


def attack(seed, count, num_envs=5):
    """Give corrupted states to an environment. Prints how many were refused, and how many it went on from."""
    rng, refused, taken = np.random.default_rng(seed), 0, 0
    for settings in SETTINGS:
        source, env = LunarLanderVectorEnv(num_envs, **settings), LunarLanderVectorEnv(num_envs, **settings)
        others = [played(50, num_envs, **other).get_state() for other in SETTINGS]
        source.reset(seed=seed)
        for k, _ in enumerate(play(source, count, seed=seed)):
            state = corrupt(source.get_state(), others, num_envs, rng)
            before = env.get_state() if k % 10 == 0 else None
            line = ""
            try:
                env.set_state(state)
            except InputError as error:
                line = str(error)
            if line:
                assert "\n" not in line
                assert before is None or same(env.get_state(), before)
                refused += 1
                continue
            taken += 1
            if not state["ready"]:
                env.reset()
            for _ in play(env, 300, seed=k, resets=False):
                pass
    print(refused, taken)


def attacked(seed, count):
    code = f"from tests.lander.test_saved_state import attack; attack({seed}, {count})"
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, text=True, cwd=root, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_corrupted_states_are_refused_or_do_no_harm():
    refused, taken = attacked(seed=1, count=60)
    assert refused + taken == 60 * len(SETTINGS)
    assert refused > 4 * taken
    assert taken > 5  # harmless changes: bits of a memory that nobody reads again


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_corrupted_states_are_refused_or_do_no_harm(seed):
    refused, taken = attacked(seed, 400)
    assert refused > 4 * taken


def test_landers_of_numbers_beyond_all_bounds_step_without_harm():
    """Wind of any strength is allowed, so that positions can overflow. Gymnasium's lander gives NaN there, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = LunarLanderVectorEnv(20, enable_wind=True, wind_power=1e38, turbulence_power=1e38, num_threads=2)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(300):
        env.step(rng.integers(4, size=20))
    assert not np.isfinite(env.get_state()["obs"]).all()
