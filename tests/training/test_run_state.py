"""The state of a whole run: what it takes, and what it refuses."""

import contextlib

import numpy as np
import pytest
import torch

from fastlander import Config
from fastlander.environments import make_vec_env
from fastlander.training.run_state import Run
from fastlander.training.trainer import steps

SETTINGS = {
    "num_envs": 3,
    "hidden_sizes": (8,),
    "buffer_size": 200,
    "learning_starts": 50,
    "batch_size": 16,
    "train_freq": 4,
    "candidates": 2,
    "total_timesteps": 900,
    "progress": False,
}


@contextlib.contextmanager
def running(config, vector_steps):
    """A run after so many vector steps, as a training loop leaves it."""
    with contextlib.closing(make_vec_env(num_envs=config.num_envs, max_episode_steps=40)) as env:
        run = Run(config, env, processors=1)
        loop = steps(run)
        for _ in range(vector_steps):
            finished = next(loop)
            if finished.scores:
                run.count(finished)
            run.follow_schedules()
        yield run, loop
        run.close()


@pytest.fixture
def state():
    with running(Config(**SETTINGS), 250) as (run, _):
        yield run.get_state()


def test_a_run_goes_on_from_its_state():
    config = Config(**SETTINGS)
    with running(config, 250) as (run, loop), running(config, 0) as (twin, twin_loop):
        twin.set_state(run.get_state())
        for _ in range(40):
            assert next(loop) == next(twin_loop)
        assert torch.equal(run.dqn.q_network.flat, twin.dqn.q_network.flat)
        assert run.dqn.updates == twin.dqn.updates > 100
        assert all(
            np.array_equal(*pair) for pair in zip(run.buffer.arrays.values(), twin.buffer.arrays.values(), strict=True)
        )


def changed(state, path, change):
    """A copy of the state in which `change` was made of one value."""
    first, *rest = path
    return {**state, first: changed(state[first], rest, change) if rest else change(state[first])}


def at(index, value):
    def change(array):
        array = array.copy()
        array.flat[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (("buffer", "arrays.action"), at(17, 4)),
        (("buffer", "arrays.action"), at(3, -1)),
        (("buffer", "arrays.action"), lambda array: array.astype(np.int32)),
        (("buffer", "arrays.reward"), at(9, np.nan)),
        (("buffer", "arrays.next_obs"), at(100, np.inf)),
        (("buffer", "arrays.obs"), lambda array: array[:-1]),
        (("buffer", "added"), lambda added: 10),
        (("buffer", "added"), lambda added: -1),
        (("buffer", "added"), lambda added: 250.0),
        (("buffer", "random_state"), np.zeros_like),
        (("n_step", "action"), at(1, 9)),
        (("n_step", "waiting"), at(0, 5)),
        (("n_step", "waiting"), at(2, -1)),
        (("n_step", "reward"), at(0, np.nan)),
        (("dqn", "online"), lambda weights: weights[:-1]),
        (("dqn", "target"), lambda weights: weights.astype(float)),
        (("dqn", "target"), lambda weights: weights.tolist()),
        (("dqn", "coins"), lambda coins: coins[:3]),
        (("dqn", "optimizer.steps"), lambda steps: -1),
        (("dqn", "updates"), lambda updates: True),
        (("dqn", "exploration"), lambda stream: {**stream, "has_uint32": 7}),
        (("dqn", "exploration"), lambda stream: {**stream, "bit_generator": "MT19937"}),
        (("judge", "rng"), lambda stream: {}),
        (("judge", "judged_at"), lambda steps: "0"),
        (("scores", "playtimes"), lambda array: array[1:]),
        (("scores", "scores"), at(0, np.nan)),
        (("candidates", "terms"), lambda terms: -1),
        (("candidates", "kept_at"), lambda times: [*times, 5]),
        (("collector", "obs"), at(4, np.nan)),
        (("collector", "playtimes"), lambda array: array.astype(float)),
        (("last_good",), lambda weights: weights.reshape(1, -1)),
        (("epsilon",), lambda epsilon: 1.5),
        (("epsilon",), lambda epsilon: float("nan")),
        (("seconds",), lambda seconds: -1.0),
        (("timesteps",), lambda steps: 2**63),
        (("solved",), lambda solved: "yes"),
        (("n_step",), lambda part: None),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else None,
)
def test_another_state_is_refused_and_names_what_is_wrong(state, path, change):
    with running(Config(**SETTINGS), 0) as (run, _), pytest.raises(ValueError, match="the state of ") as caught:
        run.set_state(changed(state, path, change))
    line = str(caught.value)
    assert "\n" not in line
    assert any(word in line for word in (*path, "n-step windows"))
    assert len(line) < 300


@pytest.mark.parametrize(
    "settings", [{"num_envs": 4}, {"buffer_size": 100}, {"hidden_sizes": (8, 8)}, {"n_step": 5}, {"num_envs": 2}]
)
def test_the_state_of_other_settings_is_refused_where_it_cannot_fit(state, settings):
    config = Config(**{**SETTINGS, **settings})
    with running(config, 0) as (run, _), pytest.raises(ValueError, match="must "):
        run.set_state(state)
