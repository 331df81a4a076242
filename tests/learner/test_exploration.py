import math

import numpy as np
import pytest
from scipy import stats

from fastlander import Config
from fastlander.learner.exploration import LONGEST, RepeatedActions, epsilon_exponents, epsilon_greedy


def test_exponents():
    assert epsilon_exponents(Config(num_envs=5)).tolist() == [1, 1.5, 2, 2.5, 3]
    assert epsilon_exponents(Config(num_envs=1)).tolist() == [1]
    assert epsilon_exponents(Config(num_envs=3, per_env_epsilon=False)).tolist() == [1, 1, 1]


def test_one_coin_per_environment():
    greedy, epsilon = np.full(4, 9), np.array([0.0, 0.25, 0.75, 1.0])
    rng = np.random.default_rng(0)
    actions = np.array([epsilon_greedy(greedy, epsilon, 4, rng) for _ in range(4000)])
    random = actions != 9
    shares = random.mean(axis=0)
    assert shares[0] == 0
    assert shares[3] == 1
    assert shares[1:3] == pytest.approx([0.25, 0.75], abs=0.03)
    assert abs(np.corrcoef(random[:, 1], random[:, 2])[0, 1]) < 0.05  # the coins do not fall together
    assert stats.chisquare(np.bincount(actions[:, 3])).pvalue > 1e-3  # random actions are uniform


class SlowRepeatedActions:
    """Algorithm 1 of Dabney et al. (2021), an environment at a time, with the same draws."""

    def __init__(self, num_envs, num_actions, exponent, stream):
        self.rng, self.num_actions, self.exponent = np.random.default_rng(stream), num_actions, exponent
        self.n, self.w = [0] * num_envs, [None] * num_envs
        self.normalizer = math.fsum(k**-exponent for k in range(1, LONGEST + 1))

    def duration(self, uniform):
        n, chance = 1, 1 / self.normalizer
        while uniform >= chance and n < LONGEST:
            n += 1
            chance += n**-self.exponent / self.normalizer
        return n

    def act(self, greedy, epsilon):
        coins, durations = self.rng.random(len(greedy)), self.rng.random(len(greedy))
        random, actions = self.rng.integers(self.num_actions, size=len(greedy)), []
        for i in range(len(greedy)):
            if self.n[i] == 0 and coins[i] < epsilon[i]:
                self.n[i], self.w[i] = self.duration(durations[i]), random[i]
            if self.n[i] == 0:
                actions.append(greedy[i])
            else:
                actions.append(self.w[i])
                self.n[i] -= 1
        return actions


@pytest.mark.parametrize("exponent", [1.1, 2.0, 3.5])
def test_repeated_actions_are_those_of_the_slow_twin(exponent):
    stream, rng = np.random.SeedSequence(7), np.random.default_rng(1)
    fast, slow = (kind(5, 3, exponent, stream) for kind in (RepeatedActions, SlowRepeatedActions))
    epsilon = np.array([0.0, 0.01, 0.1, 0.5, 1.0])
    for _ in range(1_000):
        greedy = rng.integers(3, size=5)
        assert fast.act(greedy, epsilon).tolist() == list(slow.act(greedy, epsilon))


def test_repetitions_have_the_zeta_distribution():
    exploration = RepeatedActions(20_000, 2, 2.0, np.random.SeedSequence(0))
    exploration.act(np.zeros(20_000, int), np.ones(20_000))
    times = exploration.get_state()["left"] + 1
    for n, share in ((1, 0.60793), (2, 0.15198), (3, 0.06755)):  # 1 / (n**2 zeta(2)), zeta(2) = pi**2 / 6
        assert np.mean(times == n) == pytest.approx(share, abs=0.015)
    assert times.max() <= LONGEST


def test_epsilon_zero_is_greedy_and_epsilon_one_always_random():
    greedy = np.full(1_000, 9)
    exploration = RepeatedActions(1_000, 4, 2.0, np.random.SeedSequence(0))
    assert exploration.act(greedy, np.zeros(1_000)).tolist() == greedy.tolist()
    actions = np.array([exploration.act(greedy, np.ones(1_000)) for _ in range(20)])
    assert stats.chisquare(np.bincount(actions[0], minlength=4)).pvalue > 1e-3
    assert actions.max() < 4
    assert np.mean(actions[1:] == actions[:-1]) > 0.6  # a quarter if nothing were repeated


def test_repeated_actions_go_on_from_their_state():
    first, second = (RepeatedActions(6, 3, 1.5, np.random.SeedSequence(seed)) for seed in (1, 2))
    greedy, epsilon = np.zeros(6, int), np.full(6, 0.5)
    for _ in range(10):
        first.act(greedy, epsilon)
    second.set_state(first.get_state())
    for _ in range(50):
        assert np.array_equal(first.act(greedy, epsilon), second.act(greedy, epsilon))


@pytest.mark.parametrize(
    "changes",
    [{"action": np.full(6, 3)}, {"left": np.full(6, -1)}, {"left": np.full(6, LONGEST)}, {"left": np.zeros(5, int)}],
)
def test_another_state_is_refused_and_changes_nothing(changes):
    exploration = RepeatedActions(6, 3, 1.5, np.random.SeedSequence(1))
    before = exploration.get_state()
    with pytest.raises(ValueError, match="the state of the exploration must have"):
        exploration.set_state({**before, **changes})
    after = exploration.get_state()
    assert all(np.array_equal(before[name], after[name]) for name in ("action", "left"))
    assert before["rng"] == after["rng"]
