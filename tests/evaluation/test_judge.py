"""The judge by hand: every episode of a policy has the return and the outcome that a test gives it."""

import numpy as np
import pytest

from fastlander import Config
from fastlander.evaluation.candidates import Candidate
from fastlander.evaluation.evaluation import Evaluation
from fastlander.evaluation.judge import FINALISTS, GATE_WINDOW, Judge
from fastlander.evaluation.scores import Scores
from fastlander.experience.collector import Finished


class FakeDQN:
    """A policy is its parameters' first number, and earns that in every episode."""

    def __init__(self):
        self.parameters, self.on_gpu = np.zeros(3, np.float32), False

    def policy(self, flat):
        return float(flat[0])

    def greedy(self, obs):
        raise AssertionError("the tests play no episodes")


def scores_of(*values):
    scores = Scores()
    scores.add(Finished(list(map(float, values)), [100] * len(values)), 10_000)
    return scores


@pytest.fixture
def judged(monkeypatch):
    """Makes a judge whose rounds have these means, or (mean, failures); its `seeds` are those of each round."""

    def make(*means, **settings):
        rounds, seeds_of_rounds = iter(means), []

        def faked(policy, env, seeds):
            seeds_of_rounds.append(seeds)
            mean, failures = np.broadcast_to(next(rounds), 2) * np.array([1, isinstance(means[0], tuple)])
            returns, ones = np.full(len(seeds), float(mean)), np.ones(len(seeds), np.int64)
            last_rewards = np.where(np.arange(len(seeds)) < failures, -100.0, 100.0)
            return Evaluation(returns, ones, last_rewards, ones > 0, np.array(seeds))

        monkeypatch.setattr("fastlander.evaluation.judge.evaluate", faked)
        settings = {"eval_episodes": 6, "solved_landings": 0.0} | settings
        dqn = FakeDQN()
        judge = Judge(Config(**settings), dqn, lambda line: None, dqn.parameters)
        judge.seeds = seeds_of_rounds
        return judge

    return make


def test_a_pass_counts_when_it_is_confirmed_on_other_episodes(judged):
    judge = judged(300, 100, 300, 250)
    assert not judge.judge(1_000)
    assert judge.judge(2_000)
    assert judge.best.mean == (6 * 300 + 12 * 250) / 18
    assert [timesteps for timesteps, _ in judge.judgements] == [1_000, 2_000]
    assert [len(evaluation.returns) for _, evaluation in judge.judgements] == [18, 18]
    assert len({seed for seeds in judge.seeds for seed in seeds}) == 36


@pytest.mark.parametrize(
    ("rounds", "episodes", "solved"),
    [
        ([(250, 1), (250, 2), (250, 6)], 300, True),  # 3 of 100 failed, then 6 of 200
        ([(200, 0), (200, 0), (200, 0)], 300, True),
        ([(250, 0), (250, 3), (250, 7)], 300, False),  # 7 of 200 are too many
        ([(250, 0), (250, 4)], 100, False),  # 4 of 100 are too many
        ([(250, 2)], 20, False),  # 2 of the first 20: more than twice the failures that are allowed
        ([(100, 1), (100, 0)], 100, False),  # all land, but the mean is too low
        ([(250, 0), (250, 0), (199, 0)], 300, False),
    ],
)
def test_a_share_of_landings_is_asked_for_beside_the_mean(judged, rounds, episodes, solved):
    judge = judged(*rounds, eval_episodes=100, solved_landings=None)
    assert judge.judge(1_000) == solved
    assert [len(seeds) for seeds in judge.seeds] == [20, 80, 200][: len(rounds)]
    assert len({seed for seeds in judge.seeds for seed in seeds}) == episodes == len(judge.best.returns)


def test_other_shares_of_landings(judged):
    assert judged((250, 4), (250, 6), (250, 20), eval_episodes=100, solved_landings=0.9).judge(1)
    assert not judged((250, 4), (250, 7), eval_episodes=100, solved_landings=0.9).judge(1)
    for share, failures in ((0.9, 4), (0.8, 8), (0.97, 1), (1.0, 0)):  # that the first 20 may have
        for more in (0, 1):
            judge = judged((250, failures + more), (250, 80), eval_episodes=100, solved_landings=share)
            assert not judge.judge(1)
            assert len(judge.best.returns) == (20 if more else 100)
    assert judged((250, 100), (250, 200), eval_episodes=100, solved_landings=0.0).judge(1)
    assert judged((250, 0), (250, 0), eval_episodes=4, solved_landings=None).judge(1)  # too few for a first part


def test_what_is_judged_is_the_average_of_the_weights(judged, monkeypatch):
    judge = judged(50, 50)
    judge._parameters = np.full(3, 7.0, np.float32)
    seen = []
    monkeypatch.setattr(judge.dqn, "policy", seen.append)
    judge.judge(1_000)
    assert [flat.tolist() for flat in seen] == [[7.0] * 3]
    assert judge.best_parameters.tolist() == [7.0] * 3


def test_a_policy_that_came_further_is_kept_before_one_with_a_higher_mean(judged):
    rounds = [(270, 3), (220, 0), (220, 9), (280, 2), (240, 1), (240, 4)]
    judge = judged(*rounds, eval_episodes=100, solved_landings=None)
    for k in range(4):
        assert not judge.judge(k)
    assert [len(evaluation.returns) for _, evaluation in judge.judgements] == [20, 100, 20, 100]
    assert judge.kept == 3


def test_no_episode_is_judged_twice_and_another_seed_has_others(judged):
    seen = []
    for seed in (0, 1):
        judge = judged(*[10] * 20, seed=seed)
        for k in range(20):
            assert not judge.judge(k)
        seen += [s for seeds in judge.seeds for s in seeds]
    assert len(set(seen)) == len(seen) == 240


def test_the_best_policy_is_kept(judged):
    judge = judged(10, 50, 20)
    for k, value in enumerate((1.0, 2.0, 3.0)):
        judge.dqn.parameters.fill(value)
        judge.judge(k)
    assert judge.kept == 1
    assert judge.best.mean == 50
    assert judge.best_parameters.tolist() == [2.0] * 3
    assert judge.take_last_mean() == 20
    assert judge.take_last_mean() is None


def test_when_a_judgement_is_due(judged):
    judge = judged(10, 10, solved_score=200, eval_interval=5_000)
    assert not judge.is_due(scores_of(*[190] * (GATE_WINDOW - 1)), 10_000)
    assert judge.is_due(scores_of(*[0] * 50, *[160] * GATE_WINDOW), 10_000)
    assert not judge.is_due(scores_of(*[159] * GATE_WINDOW), 10_000)
    judge.judge(10_000)
    assert not judge.is_due(scores_of(*[190] * GATE_WINDOW), 14_999)
    assert judge.is_due(scores_of(*[190] * GATE_WINDOW), 15_000)
    assert judged(eval_gate=-50.0).is_due(scores_of(*[-50] * GATE_WINDOW), 10_000)
    for rule in ("training", "never"):
        assert not judged(solved_by=rule).is_due(scores_of(*[300] * 200), 10_000)


def test_the_lecture_s_rule_asks_for_a_mean_of_200_over_100_episodes(judged):
    judge = judged(solved_by="training")
    assert not judge.solved_in_training(scores_of(*[300] * 99))
    assert judge.solved_in_training(scores_of(*[-500] * 7, *[200] * 100))
    assert not judge.solved_in_training(scores_of(*[199] * 100))
    assert not judged(solved_by="greedy").solved_in_training(scores_of(*[300] * 100))


def test_a_state_goes_on_and_another_one_is_refused(judged):
    judge = judged(10, 50, 20)
    for k in range(3):
        judge.judge(k)
    state = judge.get_state()
    twin = judged(30, 30)  # from here on both have these means
    twin.set_state(state)
    twin.judge(3)
    judge.judge(3)
    assert twin.seeds[0] == twin.seeds[1]
    assert [e.mean for _, e in twin.judgements] == [10, 50, 20, 30]
    assert twin.kept == judge.kept == 1
    before = twin.get_state()
    for damage in (
        {"kept": 3},
        {"kept": None},
        {"judged_at": -1},
        {"episodes": np.array([6, 6, 7])},
        {"rng": {**state["rng"], "state": {"state": 1, "inc": 2}}},
        {"best_parameters": np.zeros(4, np.float32)},
    ):
        with pytest.raises(ValueError, match="the state of the judge must have"):
            twin.set_state({**state, **damage})
    after = twin.get_state()
    assert str(after) == str(before)


def test_the_choice_is_judged_on_episodes_that_had_no_part_in_it(monkeypatch):
    rounds, crashes = [], 0

    def faked(policies, env, seeds, processors):
        rounds.append((policies, seeds))
        # In the first round everybody gets the same: the order stands by what comes later.
        means = policies if len(rounds) > 1 else [200 + 0.01 * p for p in policies]
        ones = np.ones(len(seeds), int)
        last = np.where(np.arange(len(seeds)) < crashes, -100, 100)
        return [Evaluation(np.full(len(seeds), m), ones, last, ones > 0, np.array(seeds)) for m in means]

    monkeypatch.setattr("fastlander.evaluation.judge.evaluate_all", faked)
    monkeypatch.setattr("fastlander.evaluation.judge.pooled", lambda *both: both[-1])
    said = []
    judge = Judge(Config(eval_episodes=6), FakeDQN(), said.append, np.zeros(3, np.float32))
    values = (210, 205, 290, 230, 120, 250, 240, 100)
    candidates = [Candidate(100 * k, np.array([v], np.float32)) for k, v in enumerate(values)]
    assert judge.select(candidates, 1_000)
    (first, a), (second, b), (last, c) = rounds
    assert first == [210, 205, 290, 230, 120, 250, 240, 100]
    assert second == [290, 250, 240, 230, 210]
    assert len(second) == FINALISTS
    assert last == [290]
    assert [len(a), len(b), len(c)] == [6, 12, 12]
    assert len({*a, *b, *c}) == 30
    assert judge.best_parameters is candidates[2].parameters
    assert judge.best.mean == judge.take_last_mean() == 290
    line = "mean 290.0 (95% 290.0 to 290.0), landings 100.0%, over 12 fresh episodes after 1,000 steps"
    assert said == [f"best of 8 candidates: {line}"]
    assert [timesteps for timesteps, _ in judge.judgements] == [*range(0, 800, 100), 1_000]
    assert judge.kept == 8
    assert not judge.select([Candidate(1_000, np.array([199.0], np.float32))], 1_000)
    crashes = 1  # of 12
    assert not judge.select([Candidate(1_000, np.array([290.0], np.float32))], 1_000)
