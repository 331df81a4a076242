"""The moving average of the weights, against the same average by hand in NumPy."""

import math

import numpy as np
import pytest
import torch

from fastlander import Config
from fastlander.evaluation.average import FOLLOW_EVERY, Average


@pytest.mark.parametrize(("over", "stride"), [(4_096, 16), (900, 7), (20_000, 1_024), (4_096, 5_000)])
def test_it_is_the_average_by_hand(over, stride):
    rng = np.random.default_rng(3)
    flat = torch.from_numpy(rng.normal(size=5))
    average = Average(Config(judged_average=over), flat)
    same, expected = average.parameters, flat.numpy().copy()
    for after in range(stride, 60_000, stride):
        flat.copy_(torch.from_numpy(rng.normal(size=5)))
        average.look(after - stride, after)
        for _ in range(after // FOLLOW_EVERY - (after - stride) // FOLLOW_EVERY):
            expected += (1 - math.exp(-FOLLOW_EVERY / over)) * (flat.numpy() - expected)
    assert average.parameters is same
    np.testing.assert_allclose(same.numpy(), expected, rtol=1e-12)


def test_with_0_it_is_the_parameters_themselves():
    flat = torch.zeros(3)
    average = Average(Config(judged_average=0), flat)
    flat.fill_(2)
    average.look(0, 5_000)
    assert average.parameters is flat


def test_a_state_goes_on_and_another_one_is_refused():
    flat = torch.arange(4.0)
    average, twin = (Average(Config(), flat) for _ in range(2))
    flat.fill_(9)
    average.look(0, 2_048)
    state = average.get_state()
    twin.set_state(state)
    flat.fill_(-3)
    for one in (average, twin):
        one.look(3_000, 5_000)
    assert torch.equal(average.parameters, twin.parameters)
    assert not torch.equal(state["parameters"], average.parameters)  # a copy
    before = twin.parameters.clone()
    for other in ({}, {"parameters": torch.zeros(3)}, {"parameters": [0.0] * 4}):
        with pytest.raises(ValueError, match="the state of the average must"):
            twin.set_state(other)
    assert torch.equal(twin.parameters, before)
