import numpy as np
import pytest

from fastlander import Config
from fastlander.evaluation.candidates import Candidates


def drifting(total, stride, count=4):
    """Candidates of parameters that equal the timestep they are looked at, and those timesteps."""
    flat = np.zeros(3)
    candidates = Candidates(Config(candidates=count, total_timesteps=total), lambda: flat)
    times = range(stride, total + stride, stride)
    for after in times:
        flat.fill(after)
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
    assert mean == pytest.approx(np.mean(tail), rel=1e-6)


def test_what_is_kept_does_not_change_with_the_parameters():
    kept, _ = drifting(100_000, 100)
    assert len({float(flat[0]) for _, flat in kept}) == len(kept) == 6


def test_without_candidates_or_before_the_first_there_are_the_parameters_themselves():
    flat = np.arange(3, dtype=np.float32)
    for count in (0, 8):
        candidates = Candidates(Config(candidates=count, total_timesteps=10_000), lambda: flat)
        candidates.look(0, 100)
        ((after, only),) = candidates.all(100)
        assert after == 100
        assert np.array_equal(only, flat)
        assert only is not flat
