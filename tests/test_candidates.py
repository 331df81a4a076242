import numpy as np
import pytest
import torch

from fastlander import Config
from fastlander.evaluation.candidates import Candidate, Candidates
from fastlander.evaluation.judge import FINALISTS, Judge


def drifting(total, stride, count=4):
    """Candidates of parameters that equal the timestep they are looked at, and those timesteps."""
    flat = torch.zeros(3, dtype=torch.float64)
    candidates = Candidates(Config(candidates=count, total_timesteps=total), flat)
    times = range(stride, total + stride, stride)
    for after in times:
        flat.fill_(after)
        candidates.look(after - stride, after)
    return candidates.all(times[-1]), times


@pytest.mark.parametrize(("total", "stride"), [(400_000, 32), (400_000, 1_000), (300_000, 16)])
def test_checkpoints_and_averages(total, stride):
    kept, times = drifting(total, stride)
    *followers, mean, last = [float(flat[0]) for _, flat in kept]
    assert last == times[-1]
    assert [after for after, _ in kept[-2:]] == [times[-1]] * 2
    expected = [total * (0.7 + 0.3 * k / 4) for k in (1, 2, 3, 4)]
    assert [after for after, _ in kept[:-2]] == pytest.approx(expected, abs=stride)
    behind = np.array(expected) - followers
    assert (behind > 5_000).all()  # an average of the last ten thousands of steps
    assert (behind < 60_000).all()
    tail = [t for t in times if t >= 0.85 * total and t // 4_096 > (t - stride) // 4_096]
    assert mean == pytest.approx(np.mean(tail))


def test_what_is_kept_does_not_change_with_the_parameters():
    kept, _ = drifting(100_000, 100)
    assert len({float(flat[0]) for _, flat in kept}) == len(kept) == 6


def test_without_candidates_or_before_the_first_there_are_the_parameters_themselves():
    flat = torch.arange(3.0)
    for count in (0, 8):
        candidates = Candidates(Config(candidates=count, total_timesteps=10_000), flat)
        candidates.look(0, 100)
        ((after, only),) = candidates.all(100)
        assert after == 100
        assert torch.equal(only, flat)
        assert only is not flat


class FakeDQN:
    """A policy is its parameters' first number, and earns that in every episode."""

    def policy(self, flat):
        return float(flat[0])


def test_the_choice_is_judged_on_episodes_that_had_no_part_in_it(monkeypatch):
    from fastlander.evaluation.evaluation import Evaluation

    rounds = []

    def faked(policies, env, seeds):
        rounds.append((policies, seeds))
        # In the first round everybody gets the same: the order stands by what comes later.
        means = policies if len(rounds) > 1 else [200 + 0.01 * p for p in policies]
        ones = np.ones(len(seeds), int)
        return [Evaluation(np.full(len(seeds), m), ones, ones, ones, np.array(seeds)) for m in means]

    monkeypatch.setattr("fastlander.evaluation.judge.evaluate_all", faked)
    monkeypatch.setattr("fastlander.evaluation.judge.pooled", lambda *both: both[-1])
    said = []
    judge = Judge(Config(eval_episodes=6), FakeDQN(), said.append)
    values = (210, 205, 290, 230, 120, 250, 240, 100)
    candidates = [Candidate(100 * k, torch.tensor([float(v)])) for k, v in enumerate(values)]
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
    assert said == ["best of 8 candidates: mean 290.0 (95% 290.0 to 290.0) over 12 fresh episodes after 1,000 steps"]
    assert [timesteps for timesteps, _ in judge.judgements] == [*range(0, 800, 100), 1_000]
    assert judge.kept == 8
    assert not judge.select([Candidate(1_000, torch.tensor([199.0]))], 1_000)
