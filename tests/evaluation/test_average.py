"""The moving average of the weights, against the same average by hand in NumPy."""

import math

import numpy as np
import pytest

from fastlander import Config
from fastlander.evaluation.average import FOLLOW_EVERY, Average


@pytest.mark.parametrize(("over", "stride"), [(4_096, 16), (900, 7), (20_000, 1_024), (4_096, 5_000)])
def test_it_is_the_average_by_hand(over, stride):
    rng = np.random.default_rng(3)
    flat = rng.normal(size=5)
    average = Average(Config(judged_average=over), lambda: flat)
    same, expected = average.parameters, flat.copy()
    for after in range(stride, 60_000, stride):
        flat[:] = rng.normal(size=5)
        average.look(after - stride, after)
        for _ in range(after // FOLLOW_EVERY - (after - stride) // FOLLOW_EVERY):
            expected += (1 - math.exp(-FOLLOW_EVERY / over)) * (flat - expected)
    assert average.parameters is same
    np.testing.assert_allclose(same, expected, rtol=1e-6)


def test_with_0_it_is_the_parameters_themselves():
    flat = np.zeros(3, np.float32)
    average = Average(Config(judged_average=0), lambda: flat)
    flat.fill(2)
    average.look(0, 5_000)
    assert average.parameters is flat


def test_a_state_goes_on_and_another_one_is_refused():
    flat = np.arange(4, dtype=np.float32)
    average, twin = (Average(Config(), lambda: flat) for _ in range(2))
    flat.fill(9)
    average.look(0, 2_048)
    state = average.get_state()
    twin.set_state(state)
    flat.fill(-3)
    for one in (average, twin):
        one.look(3_000, 5_000)
    assert np.array_equal(average.parameters, twin.parameters)
    assert not np.array_equal(state["parameters"], average.parameters)  # a copy
    before = twin.parameters.copy()
    for other in ({}, {"parameters": np.zeros(3, np.float32)}, {"parameters": [0.0] * 4}):
        with pytest.raises(ValueError, match="the state of the average must"):
            twin.set_state(other)
    assert np.array_equal(twin.parameters, before)
