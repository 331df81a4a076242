import copy

import pytest
import torch

from fastlander import QNetwork
from fastlander.learner.flat_adam import FlatAdam
from tests.twins import plain_twin


class Pair:
    """The same network under FlatAdam and, as a plain Sequential, under torch's Adam."""

    def __init__(self, **options):
        torch.manual_seed(0)
        self.network = QNetwork(3, 2, (7, 5))
        self.twin = plain_twin(self.network)
        self.ours = FlatAdam(self.network, lr=1e-2, **options)
        self.theirs = torch.optim.Adam(self.twin.parameters(), lr=1e-2, **options)

    def step(self, autograd=False):
        """One step of both on the same gradients, ours in `flat_grad` or, as autograd leaves them, anywhere."""
        gradient = torch.randn(len(self.network.flat)) * torch.rand(len(self.network.flat)) ** 4
        self.network.flat_grad.copy_(gradient)
        parameters = zip(
            self.network.parameters(),
            self.twin.parameters(),
            self.network.grads,
            self.network.views(gradient),
            strict=True,
        )
        for ours, theirs, flat_view, values in parameters:
            if ours.requires_grad:
                ours.grad = values.clone() if autograd else flat_view
                theirs.grad = values.clone()
        for optimizer in (self.ours, self.theirs):
            optimizer.step()
            optimizer.zero_grad()

    def assert_equal(self):
        theirs = torch.cat([parameter.detach().reshape(-1) for parameter in self.twin.parameters()])
        torch.testing.assert_close(self.network.flat, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"betas": (0.5, 0.99)}], ids=str)
def test_it_steps_as_torch_s_adam(options):
    pair = Pair(**options)
    for _ in range(100):
        pair.step()
        assert pair.ours._arrays is not None
    pair.assert_equal()
    for a, b in zip(pair.network.parameters(), pair.twin.parameters(), strict=True):
        assert pair.ours.state[a]["step"] == pair.theirs.state[b]["step"] == 100
        for moment in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(pair.ours.state[a][moment], pair.theirs.state[b][moment], rtol=1e-5, atol=1e-6)


def test_the_step_over_whole_vectors_is_torch_s_too(monkeypatch):
    pair, made = Pair(), []
    step = pair.ours._torch_step
    monkeypatch.setattr(pair.ours, "flat_step", lambda: False)  # as on a GPU, where there is no such kernel
    monkeypatch.setattr(pair.ours, "_torch_step", lambda: made.append(step()) or made[-1])
    for _ in range(100):
        pair.step()
    assert made == [True] * 100
    assert pair.ours.steps == 100
    pair.assert_equal()
    for a, b in zip(pair.network.parameters(), pair.twin.parameters(), strict=True):
        assert pair.ours.state[a]["step"] == 100
        torch.testing.assert_close(pair.ours.state[a]["exp_avg_sq"], pair.theirs.state[b]["exp_avg_sq"])


def test_moments_that_no_longer_move_anything_become_zero():
    pair = Pair()
    for moment in pair.ours.vectors[2:]:
        moment[:] = 1e-39
    pair.network.flat_grad.zero_()
    for parameter, view in zip(pair.network.parameters(), pair.network.grads, strict=True):
        parameter.grad = view
    assert pair.ours.flat_step()
    assert not any(moment.any() for moment in pair.ours.vectors[2:])


def test_flat_and_torch_s_own_steps_go_on_from_each_other():
    pair = Pair()
    for i in range(30):
        pair.step(autograd=i % 3 == 0)
    pair.assert_equal()


def test_param_groups_are_read_at_every_step():
    pair = Pair()
    for i in range(20):
        for optimizer in (pair.ours, pair.theirs):
            optimizer.param_groups[0]["lr"] = 0.01 / (i + 1)
            optimizer.param_groups[0]["weight_decay"] = 0.1 if i > 10 else 0
        pair.step()
    pair.assert_equal()


def test_a_scheduler_works_on_it():
    pair = Pair()
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in (pair.ours, pair.theirs)]
    for _ in range(5):
        pair.step()
        for scheduler in schedulers:
            scheduler.step()
    assert pair.ours.param_groups[0]["lr"] == pytest.approx(1e-2 / 32)
    pair.assert_equal()


def test_a_frozen_parameter_stays():
    pair = Pair()
    pair.step()
    for network in (pair.network, pair.twin):
        network[0].weight.requires_grad_(False)
    before = pair.network[0].weight.clone()
    for _ in range(5):
        pair.step(autograd=True)
    assert torch.equal(pair.network[0].weight, before)
    pair.assert_equal()


def test_no_gradient_no_step():
    pair = Pair()
    before = pair.network.flat.clone()
    pair.ours.step()
    assert torch.equal(before, pair.network.flat)


def test_saving_and_loading_its_state():
    pair = Pair()
    for _ in range(5):
        pair.step()
    pair.ours.load_state_dict(copy.deepcopy(pair.theirs.state_dict()))
    for _ in range(5):
        pair.step()
    pair.assert_equal()
    fresh = torch.optim.Adam(pair.twin.parameters(), lr=1e-2)
    fresh.load_state_dict(copy.deepcopy(pair.ours.state_dict()))
    pair.theirs = fresh
    for _ in range(5):
        pair.step()
    pair.assert_equal()


def test_a_deep_copy_goes_on_alone():
    pair = Pair()
    for _ in range(5):
        pair.step()
    twins = copy.deepcopy(pair)
    for _ in range(5):
        twins.step()
    twins.assert_equal()
    assert not torch.equal(twins.network.flat, pair.network.flat)


def test_zero_grad():
    pair = Pair()
    pair.network(torch.ones(1, 3)).sum().backward()
    pair.ours.zero_grad(set_to_none=False)
    assert all((parameter.grad == 0).all() for parameter in pair.network.parameters())
    pair.ours.zero_grad()
    assert all(parameter.grad is None for parameter in pair.network.parameters())
