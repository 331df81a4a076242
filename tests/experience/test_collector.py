import gymnasium as gym
import numpy as np
import pytest

from fastlander import ReplayBuffer, make_vec_env
from fastlander.experience.collector import Collector
from fastlander.experience.n_step import NStep
from fastlander.experience.transition import transition_fields
from fastlander.lander.costs import CostWeights


def collector(env_id, num_envs, act, limit=None, n=1):
    """The episodes that each step ends, and the buffer that the transitions go to."""
    env = make_vec_env(env_id, num_envs, max_episode_steps=limit)
    size = env.single_observation_space.shape[0]
    buffer = ReplayBuffer(1000, transition_fields(size))
    collector = Collector(env, list(range(num_envs)), NStep(num_envs, n, 0.5, size))

    def steps():
        while True:
            transitions, finished = collector.step(act(collector.obs))
            buffer.extend(**transitions._asdict())
            yield finished

    return steps(), buffer


def right(obs):
    return np.ones(len(obs), np.int64)


def test_what_is_stored_by_hand():
    steps, buffer = collector("tests/Corridor-v0", 1, right)
    finished = [next(steps) for _ in range(7)]
    positions = [(row.obs[0], row.next_obs[0], row.reward, row.discount) for row in buffer]
    # The walk 0 to 5 terminates; the row after it begins at 0 again: the reset itself is no transition.
    walk = [(0, 1, 1, 0.5), (1, 2, 2, 0.5), (2, 3, 3, 0.5), (3, 4, 4, 0.5), (4, 5, 5, 0.0)]
    assert positions == [*walk, *walk[:2]]
    assert [f.scores for f in finished] == [[], [], [], [], [15.0], [], []]
    assert [f.playtimes for f in finished] == [[], [], [], [], [5], [], []]


def test_a_cut_episode_keeps_its_future_and_its_true_last_observation():
    steps, buffer = collector("tests/Corridor-v0", 2, right, limit=3)
    for _ in range(4):
        next(steps)
    rows = [(row.obs[0], row.next_obs[0], row.discount) for row in buffer]
    assert rows[0::2] == [(0, 1, 0.5), (1, 2, 0.5), (2, 3, 0.5), (0, 1, 0.5)]


@pytest.mark.parametrize("num_envs", [1, 5])
def test_every_stored_row_stays_within_one_episode(num_envs):
    """The last number of an observation names its episode: no row may join two, whatever ended in between."""
    rng = np.random.default_rng(0)
    steps, buffer = collector("tests/Corridor-v0", num_envs, lambda obs: rng.integers(2, size=len(obs)), limit=9, n=3)
    total = sum(len(next(steps).scores) for _ in range(150))
    assert total > 15 * num_envs
    origins = np.asarray(buffer["obs"])[:, -1], np.asarray(buffer["next_obs"])[:, -1]
    assert np.array_equal(*origins)
    assert len(np.unique(origins[0])) > 10


@pytest.mark.parametrize(
    ("env_id", "line"),
    [
        ("tests/NanReward-v0", "env_id must give finite rewards, got reward nan from environment 0"),
        ("tests/NanObservation-v0", "env_id must give finite observations, got observation"),
    ],
)
def test_numbers_that_are_none_stop_the_run(env_id, line):
    steps, buffer = collector(env_id, 2, right)
    with pytest.raises(ValueError, match=".") as caught:
        for _ in range(10):
            next(steps)
    assert str(caught.value).startswith(line)
    assert np.isfinite(np.asarray(buffer["reward"])).all()
    assert np.isfinite(np.asarray(buffer["next_obs"])).all()


@pytest.mark.parametrize("weights", [(3.0, 5.0), (1.0, 2.5), (0.0, 1.0)])
def test_weights_of_costs_by_gymnasium_s_own_lander(weights):
    """What is learned from is the game's reward with its two terms scaled; the score is the game's."""
    env = make_vec_env(num_envs=1)
    collector = Collector(env, [7], NStep(1, 1, 1.0, 8), CostWeights(*weights))
    own = gym.make("LunarLander-v3")
    own.reset(seed=7)
    rng, learned, score = np.random.default_rng(3), [], 0.0
    x = abs(collector.obs[0, 0].astype(np.float64))
    while True:
        action = int(rng.integers(4))
        obs, reward, terminated, truncated, _ = own.step(action)
        fuel = 0.3 * (action == 2) + 0.03 * (action in (1, 3))
        away = 100 * (abs(np.float64(obs[0])) - x)
        x, score = abs(np.float64(obs[0])), score + reward
        transitions, finished = collector.step(np.array([action]))
        learned.append(transitions.reward[0])
        assert learned[-1] == pytest.approx(
            reward - (weights[0] - 1) * fuel - (weights[1] - 1) * away, rel=1e-5, abs=1e-5
        )
        if terminated or truncated:
            break
    assert finished.scores == [pytest.approx(score)]
    assert len(learned) > 50
