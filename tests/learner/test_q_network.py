import copy
import pickle

import numpy as np
import pytest
import torch

from fastlander import QNetwork
from fastlander.learner.q_network import forward_pass
from tests.twins import lecture_network, plain_twin


def test_manual_seed_gives_the_lecture_network_s_weights():
    torch.manual_seed(3)
    ours = QNetwork()
    torch.manual_seed(3)
    theirs = lecture_network()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


def test_a_generator_leaves_torch_s_global_stream_alone():
    before = torch.get_rng_state()
    a = QNetwork(generator=torch.Generator().manual_seed(1))
    b = QNetwork(generator=torch.Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(a.flat, b.flat)


@pytest.mark.parametrize("sizes", [(8, 4, (128, 64, 32)), (3, 2, (5,)), (6, 7, (33, 17)), (4, 2, (1, 1, 1, 1))])
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_the_hand_written_passes_equal_autograd(sizes, rows):
    torch.manual_seed(0)
    network = QNetwork(*sizes)
    twin = plain_twin(network)
    for _ in range(10):
        obs, grad_values = torch.randn(rows, sizes[0]), torch.randn(rows, sizes[1])
        activations = forward_pass(network.layers(), obs)
        values = activations.pop()
        network.backward_pass(activations, grad_values)
        twin_values = twin(obs)
        twin.zero_grad()
        twin_values.backward(grad_values)
        torch.testing.assert_close(values, twin_values)
        twin_grads = [parameter.grad for parameter in twin.parameters()]
        largest = max(grad.abs().max() for grad in twin_grads)
        for parameter, grad in zip(network.parameters(), twin_grads, strict=True):
            assert (parameter.grad - grad).abs().max() <= 1e-5 * largest


def test_everything_is_a_view_of_the_flat_tensors():
    network = QNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) == network.flat.numel()
    obs = torch.randn(2, 8)
    network.backward_pass(forward_pass(network.layers(), obs)[:-1], torch.ones(2, 4))
    network.flat.fill_(0.5)
    network.flat_grad.fill_(0.25)
    assert all((parameter == 0.5).all() and (parameter.grad == 0.25).all() for parameter in network.parameters())
    assert network(obs).shape == (2, 4)
    network.load_state_dict(lecture_network().state_dict())
    assert not (network.flat == 0.5).all()


@pytest.mark.parametrize(
    "change",
    [
        copy.deepcopy,
        lambda network: pickle.loads(pickle.dumps(network)),
        lambda network: copy.deepcopy(network).double().float(),
    ],
)
def test_copies_and_conversions_stay_flat_and_apart(change):
    network = QNetwork(3, 2, (5,))
    twin = change(network)
    assert type(twin) is QNetwork
    assert twin.is_plain()
    assert torch.equal(twin.flat, network.flat)
    twin.flat.zero_()
    assert all((parameter == 0).all() for parameter in twin.parameters())
    assert (twin(torch.ones(1, 3)) == 0).all()
    assert not (network.flat == 0).all()


def test_greedy_is_the_argmax():
    network = QNetwork()
    obs = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    expected = network(torch.from_numpy(obs)).argmax(dim=1).numpy()
    assert np.array_equal(network.greedy(obs), expected)
    assert network.greedy(obs).dtype == np.int64


def replace_layer(network):
    network[0] = torch.nn.Linear(8, 128)


def add_layer(network):
    network.append(torch.nn.Tanh())


def replace_storage(network):
    network[2].weight.data = torch.zeros(64, 128)


def freeze(network):
    network[0].weight.requires_grad_(False)


def hook(network):
    network[2].register_forward_hook(lambda module, args, output: output * 2)


def leave_gradient(network):
    network[0].weight.grad = torch.ones(128, 8)


@pytest.mark.parametrize("change", [replace_layer, add_layer, replace_storage, freeze, hook, leave_gradient])
def test_a_changed_network_is_no_longer_plain(change):
    network = QNetwork()
    assert network.is_plain()
    change(network)
    assert not network.is_plain()


def test_a_slice_is_a_plain_sequential_of_the_same_layers():
    network = QNetwork()
    head = network[-3:]
    assert type(head) is torch.nn.Sequential
    assert head[0] is network[4]
    obs = torch.randn(5, 8)
    assert torch.equal(head(network[:-3](obs)), network(obs))
