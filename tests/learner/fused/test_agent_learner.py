"""The lecture's update in one kernel equals sample, gradient and optimizer one after the other, to the bit."""

import copy
import io

import gymnasium as gym
import numpy as np
import pytest
import torch

from fastlander import Agent, QNetwork
from fastlander.learner.flat_adam import FlatAdam
from fastlander.learner.fused.agent_learner import GreedyOne
from fastlander.learner.fused.lecture_update import lecture_update

BATCHES = ("current_states_batch", "actions_batch", "rewards_batch", "next_states_batch", "terminations_batch")


class StepByStep(Agent):
    """Its own `get_batch`, even though it does the same, keeps the one kernel away."""

    def get_batch(self):
        super().get_batch()


def spaces(obs_size=8, actions=4, dtype=np.float32):
    class Env:
        observation_space = gym.spaces.Box(-np.inf, np.inf, (obs_size,), dtype)
        action_space = gym.spaces.Discrete(actions)

    return Env


def fill(agent, count, seed=0):
    rng = np.random.default_rng(seed)
    obs_size, dtype = agent.current_states.arrays["item"].shape[1], agent.current_states.arrays["item"].dtype
    for _ in range(count):
        agent.current_state, agent.next_state = rng.standard_normal((2, obs_size)).astype(dtype)
        agent.action, agent.reward = int(rng.integers(agent.action_space.n)), float(rng.normal(0, 30))
        agent.terminated = bool(rng.random() < 0.2)
        agent.save_experience()


def pair(env=None, count=5_000, change=lambda agent: None):
    agents = [kind(env or spaces(), seed=3) for kind in (Agent, StepByStep)]
    for agent in agents:
        fill(agent, count)
        change(agent)
    return agents


def same(ours, twin):
    assert torch.equal(
        torch.cat([p.reshape(-1) for p in ours.q_net.parameters()]),
        torch.cat([p.reshape(-1) for p in twin.q_net.parameters()]),
    )
    assert np.array_equal(ours.current_states.random_state, twin.current_states.random_state)
    for a, b in zip(ours.q_net.parameters(), twin.q_net.parameters(), strict=True):
        assert a.grad is b.grad is None or torch.equal(a.grad, b.grad)
    for name in BATCHES:
        a, b = getattr(ours, name), getattr(twin, name)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        assert torch.equal(a, b), name


@pytest.fixture
def calls(monkeypatch):
    """How often the one kernel has been called."""
    counted = []

    def count(*arguments):
        counted.append(1)
        return lecture_update(*arguments)

    monkeypatch.setattr("fastlander.learner.fused.agent_learner.lecture_update", count)
    return counted


def set_batch(agent):
    agent.batch_size = 17


def set_fewer(agent):
    agent.buffer_size = 700


def set_rate(agent):
    agent.optimizer.param_groups[0].update(lr=3e-3, betas=(0.8, 0.99), eps=1e-4)


def set_network(agent):
    agent.q_net = QNetwork(8, 4, (50, 7), generator=torch.Generator().manual_seed(1))
    agent.optimizer = FlatAdam(agent.q_net, lr=1e-2)


@pytest.mark.parametrize("count", [5_000, 5_321, 12_345])
@pytest.mark.parametrize("change", [lambda agent: None, set_batch, set_fewer, set_rate, set_network])
def test_updates_equal_those_made_step_by_step(calls, count, change):
    ours, twin = pair(count=count, change=change)
    for k in range(30):
        for agent in (ours, twin):
            agent.learn()
            fill(agent, 3, seed=k)
        same(ours, twin)
    assert len(calls) == 30
    assert ours.optimizer.steps == twin.optimizer.steps == 30


def test_other_sizes(calls):
    ours, twin = pair(spaces(obs_size=5, actions=2))
    for _ in range(10):
        ours.learn()
        twin.learn()
    same(ours, twin)
    assert len(calls) == 10


def test_one_kernel_and_steps_may_take_turns(calls):
    """A gradient that somebody leaves makes torch's autograd add to it; the next update is in one kernel again."""
    ours, twin = pair()
    for k in range(8):
        for agent in (ours, twin):
            if k % 3 == 1:
                next(agent.q_net.parameters()).grad = torch.ones(128, 8)
            agent.learn()
            if k == 4:
                with torch.no_grad():
                    next(agent.q_net.parameters()).mul_(0.5)
        same(ours, twin)
    assert len(calls) == 5


def with_scheduler(agent, seen):
    agent.scheduler = torch.optim.lr_scheduler.StepLR(agent.optimizer, step_size=2, gamma=0.5)


def with_step_hook(agent, seen):
    agent.optimizer.register_step_post_hook(lambda *_: seen.append(1))


def with_forward_hook(agent, seen):
    agent.q_net[0].register_forward_hook(lambda *_: seen.append(1))


def with_frozen_layer(agent, seen):
    agent.q_net[2].weight.requires_grad = False


def with_weight_decay(agent, seen):
    agent.optimizer.param_groups[0]["weight_decay"] = 0.1


def with_loaded_optimizer(agent, seen):
    agent.optimizer.load_state_dict(copy.deepcopy(agent.optimizer.state_dict()))


def with_torch_adam(agent, seen):
    agent.optimizer = torch.optim.Adam(agent.q_net.parameters(), lr=1e-3)


def with_optimizer_of_another(agent, seen):
    agent.q_net = copy.deepcopy(agent.q_net)


def with_moved_storage(agent, seen):
    parameter = next(agent.q_net.parameters())
    parameter.data = parameter.data.clone()


@pytest.mark.parametrize(
    "change",
    [
        with_scheduler,
        with_step_hook,
        with_forward_hook,
        with_frozen_layer,
        with_weight_decay,
        with_loaded_optimizer,
        with_torch_adam,
        with_optimizer_of_another,
        with_moved_storage,
    ],
)
def test_what_the_kernel_does_not_know_is_done_step_by_step(calls, change):
    seen = [[], []]
    ours, twin = agents = pair()
    for agent, notes in zip(agents, seen, strict=True):
        change(agent, notes)
    for _ in range(5):
        for agent in agents:
            agent.learn()
            if hasattr(agent, "scheduler"):
                agent.scheduler.step()
    same(ours, twin)
    assert not calls
    assert seen[0] == seen[1]
    assert bool(seen[0]) == (change in (with_step_hook, with_forward_hook))


def test_observations_of_another_dtype_are_learned_step_by_step(calls):
    ours, twin = pair(spaces(dtype=np.float64))
    for _ in range(3):
        ours.learn()
        twin.learn()
    same(ours, twin)
    assert not calls


@pytest.mark.parametrize("way", ["deepcopy", "torch.save"])
def test_a_copy_goes_on_with_its_own_memory(calls, way):
    ours, twin = pair()
    for _ in range(3):
        ours.learn()
        twin.learn()
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    copied = copy.deepcopy(ours) if way == "deepcopy" else torch.load(file, weights_only=False)
    before = ours.q_net.flat.clone()
    for _ in range(3):
        copied.learn()
        twin.learn()
    same(copied, twin)
    assert torch.equal(ours.q_net.flat, before)
    assert len(calls) == 6


@pytest.mark.parametrize("size", [0, -3, 2.5, "many"])
def test_a_batch_size_that_is_none_is_refused(size):
    agent = pair()[0]
    agent.batch_size = size
    with pytest.raises((ValueError, TypeError), match="batch_size must be"):
        agent.learn()


@pytest.mark.parametrize("hidden", [(128, 64, 32), (5,), (), (17, 130, 3)])
@pytest.mark.parametrize("obs_size", [1, 8, 37])
def test_the_greedy_action_is_that_of_the_network(hidden, obs_size):
    network = QNetwork(obs_size, 6, hidden, generator=torch.Generator().manual_seed(obs_size))
    greedy, rng = GreedyOne(network), np.random.default_rng(0)
    for scale in (1, 30):
        for obs in rng.normal(0, scale, (40, obs_size)).astype(np.float32):
            values = network(torch.from_numpy(obs)).detach()
            assert values[greedy.act(obs)] >= values.max() - 1e-5 * scale
    with torch.no_grad():
        network.flat.neg_()  # it acts by what the parameters are now
    assert greedy.act(obs) == network(torch.from_numpy(obs)).argmax().item()


@pytest.mark.parametrize("obs", [np.zeros(7, np.float32), np.zeros((1, 8), np.float32), np.float32(1)])
def test_an_observation_of_another_shape_is_refused(obs):
    agent = Agent(spaces(), seed=0)
    agent.current_state = obs
    with pytest.raises(ValueError, match=r"an observation must have shape \(8,\)"):
        agent.act()


@pytest.mark.parametrize("obs", [[0.5] * 8, np.arange(8), np.arange(16, dtype=np.float32)[::2], np.zeros(8)])
def test_any_eight_numbers_are_an_observation(obs):
    agent = Agent(spaces(), seed=0)
    agent.current_state = obs
    agent.act()
    assert agent.action == agent.q_net(torch.tensor(np.asarray(obs), dtype=torch.float32)).argmax().item()
