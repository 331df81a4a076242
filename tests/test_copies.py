"""Copies go on exactly as their originals would, and leave them alone."""

import copy
import io
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlander import DQN, Agent, Config, LunarLanderVectorEnv, QNetwork, ReplayBuffer
from fastlander.experience.transition import transition_fields
from fastlander.learner.flat_adam import FlatAdam


def through_torch_save(original):
    file = io.BytesIO()
    torch.save(original, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = {
    "pickle": lambda original: pickle.loads(pickle.dumps(original)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "torch.save": through_torch_save,
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


class Buffer:
    """A buffer of one field, and what can be done with it. Each action gives what is to be compared."""

    def __init__(self):
        self.it = ReplayBuffer(7, (np.int64, (2,)), seed=1)

    def act(self, kind, number):
        if kind == 0:
            self.it.append([number, -number])
        elif kind == 1:
            self.it.extend([[number, k] for k in range(number % 10)])
        elif kind == 2 and len(self.it):
            return self.it.sample(number % 5 + 1).tolist()
        elif kind == 3 and number % 9 == 0:
            self.it.clear()
        return [item.tolist() for item in self.it]


class Transitions:
    """A buffer of transitions."""

    def __init__(self):
        self.it = ReplayBuffer(50, transition_fields(3), seed=2)

    def act(self, kind, number):
        rng = np.random.default_rng(number)
        rows = number % 70
        if kind in (0, 1):
            self.it.extend(
                obs=rng.random((rows, 3), np.float32),
                action=rng.integers(4, size=rows),
                reward=rng.random(rows, np.float32),
                next_obs=rng.random((rows, 3), np.float32),
                discount=rng.random(rows, np.float32),
            )
        elif len(self.it):
            return [column.tolist() for column in self.it.sample(8)]
        return [np.asarray(self.it[name]).tolist() for name in ("obs", "action")]


class Learning:
    """A DQN that learns from a buffer of its own."""

    def __init__(self):
        buffer = ReplayBuffer(200, transition_fields(8), seed=3)
        rng = np.random.default_rng(4)
        buffer.extend(
            obs=rng.random((150, 8), np.float32),
            action=rng.integers(4, size=150),
            reward=rng.random(150, np.float32),
            next_obs=rng.random((150, 8), np.float32),
            discount=rng.random(150, np.float32),
        )
        self.it = DQN(Config(hidden_sizes=(16, 8), batch_size=16, target_update_freq=3)), buffer

    def act(self, kind, number):
        dqn, buffer = self.it
        if kind == 0:
            dqn.learn(buffer, number % 4)
        elif kind == 1:
            dqn.update(buffer.sample(16))
        elif kind == 2:
            dqn.learning_rate = 1e-3 / (1 + number)
        obs = np.random.default_rng(number).random((5, 8), np.float32)
        return dqn.act(obs, 0.5).tolist(), dqn.q_network.flat.tolist(), dqn.target.tolist(), dqn.updates


class Lecture:
    """The lecture's agent, with a full buffer of 40."""

    def __init__(self):
        self.env = gym.make("CartPole-v1")
        self.it = Agent(self.env, seed=5)
        self.it.buffer_size, self.it.batch_size, self.it.eps = 40, 16, 0.5
        for k in range(40):
            self.experience(k)

    def experience(self, number):
        rng, agent = np.random.default_rng(number), self.it
        agent.current_state, agent.next_state = rng.random(4, np.float32), rng.random(4, np.float32)
        agent.act()
        agent.reward, agent.terminated = float(rng.random()), bool(rng.random() < 0.2)
        agent.save_experience()

    def act(self, kind, number):
        self.experience(number)
        if kind < 2:
            self.it.learn()
        return self.it.action, self.it.score, [p.tolist() for p in self.it.q_net.parameters()]


class LectureOnTorchAdam(Lecture):
    """The same with torch's own optimizer on its network."""

    def __init__(self):
        super().__init__()
        self.it.optimizer = torch.optim.Adam(self.it.q_net.parameters(), lr=1e-3)


class Landers:
    """Native landers."""

    def __init__(self):
        self.it = LunarLanderVectorEnv(2, enable_wind=True)
        self.it.reset(seed=6)

    def act(self, kind, number):
        obs, reward, *_ = self.it.step(np.array([kind, number % 4]))
        return obs.tolist(), reward.tolist()


KINDS = [Buffer, Transitions, Learning, Lecture, LectureOnTorchAdam, Landers]
actions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), max_size=6)


def copied(player, way):
    twin = copy.copy(player)
    twin.it = tuple(way(part) for part in player.it) if isinstance(player.it, tuple) else way(player.it)
    return twin


@pytest.mark.parametrize(
    "way", [pytest.param(way, id=name, marks=[pytest.mark.slow] * (name == "torch.save")) for name, way in WAYS.items()]
)
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=3, derandomize=True)
@given(before=actions, after=actions, alone=actions)
def test_a_copy_goes_on_as_its_original_would(kind, way, before, after, alone):
    original = kind()
    for step in before:
        original.act(*step)
    twin, third = copied(original, way), copied(original, way)
    for step in after:
        assert twin.act(*step) == original.act(*step)
    # What happens to one of them does not reach the others.
    for step in alone:
        twin.act(*step)
    for step in after:
        third.act(*step)
    for step in alone:
        assert third.act(*step) == original.act(*step)


@every_way
def test_an_optimizer_goes_on_with_its_network(way):
    def stepped(network, optimizer):
        for k in range(3):
            network.backward_pass(
                [torch.full((2, 8), float(k)), *(torch.ones(2, n) for n in (16, 8))], torch.ones(2, 4)
            )
            optimizer.step()
        return network.flat.tolist()

    network = QNetwork(hidden_sizes=(16, 8))
    optimizer = FlatAdam(network, lr=1e-2)
    stepped(network, optimizer)
    if way is copy.copy:  # shares the network, but not the moments
        twin = copy.copy(optimizer)
        before = optimizer.get_state()["exp_avg"].copy()
        stepped(network, twin)
        assert np.array_equal(optimizer.get_state()["exp_avg"], before)
        return
    twins = way([network, optimizer])
    assert twins[1].param_groups[0]["params"][0] is twins[0][0].weight
    assert twins[1].vectors is not None
    assert stepped(*twins) == stepped(network, optimizer)


def test_an_optimizer_with_a_loaded_state_goes_on_too():
    network = QNetwork(hidden_sizes=(16, 8))
    optimizer = FlatAdam(network, lr=1e-2)
    network(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    twins = pickle.loads(pickle.dumps([network, optimizer]))
    for net, adam in (twins, (network, optimizer)):
        adam.zero_grad()
        net(torch.ones(1, 8)).sum().backward()
        adam.step()
    assert torch.equal(twins[0].flat, network.flat)
    assert twins[1].steps == 2


def test_copies_are_as_large_as_what_they_hold():
    full = ReplayBuffer(100_000, transition_fields(8))
    full.extend(
        obs=np.zeros((1000, 8), np.float32),
        action=np.zeros(1000, np.int64),
        reward=np.zeros(1000, np.float32),
        next_obs=np.zeros((1000, 8), np.float32),
        discount=np.zeros(1000, np.float32),
    )
    full.sample(128)
    assert len(pickle.dumps(full)) < 1000 * 80 + 2000
    network = QNetwork()
    assert len(pickle.dumps(network)) < 4 * len(network.flat) + 8000
    dqn = DQN(Config())
    assert len(pickle.dumps(dqn)) < 4 * 4 * len(network.flat) + 10_000
    agent = Agent(gym.make("CartPole-v1"))
    assert len(pickle.dumps(agent)) < 3 * 4 * sum(p.numel() for p in agent.q_net.parameters()) + 20_000


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_torch_s_default_type_does_not_reach_the_network(default):
    lecture = Lecture()
    torch.set_default_dtype(default)
    try:
        changed = Lecture()
        assert {p.dtype for p in changed.it.q_net.parameters()} == {torch.float32}
        for k in range(20):
            assert changed.act(0, k) == lecture.act(0, k)
        learning = Learning()
        values = learning.act(0, 3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert values == Learning().act(0, 3)
    assert np.isfinite(values[1]).all()


def test_torch_s_default_device_does_not_reach_the_network():
    with torch.device("meta"):
        learning, lecture = Learning(), Lecture()
    assert learning.act(0, 3) == Learning().act(0, 3)
    assert lecture.act(0, 3) == Lecture().act(0, 3)


def test_a_network_of_another_type_learns_by_autograd():
    agents = Lecture(), Lecture()
    agents[0].it.q_net = agents[0].it.q_net.double()
    with pytest.raises(RuntimeError, match="dtype"):  # torch's own line: the batches are float32
        agents[0].act(0, 1)
