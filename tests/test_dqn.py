import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fastlander
from fastlander import DQN, Config
from fastlander.experience.replay_buffer import Transition
from fastlander.lander.symmetry import MIRROR_ACTIONS
from fastlander.learner.dqn import pick_device
from fastlander.learner.equations import clip_norm, huber, mse, td_target
from fastlander.learner.mirror import both_ways, mirror


def random_batch(rows=32, obs_size=8, actions=4, seed=0):
    rng = np.random.default_rng(seed)
    return Transition(
        obs=rng.standard_normal((rows, obs_size), dtype=np.float32),
        action=rng.integers(actions, size=rows),
        reward=3 * rng.standard_normal(rows, dtype=np.float32),
        next_obs=rng.standard_normal((rows, obs_size), dtype=np.float32),
        discount=np.where(rng.random(rows) < 0.3, 0, 0.95).astype(np.float32),
    )


def test_td_target_by_hand():
    reward, discount = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.0, 0.5])
    target_values = torch.tensor([[1.0, 10.0], [1.0, 10.0], [7.0, 8.0]])
    online_values = torch.tensor([[5.0, 4.0], [5.0, 4.0], [0.0, 1.0]])
    assert td_target(reward, discount, target_values, target_values).tolist() == [6.0, 2.0, 7.0]
    assert td_target(reward, discount, target_values, online_values).tolist() == [1.5, 2.0, 7.0]


def test_a_terminated_episode_has_no_future_and_a_truncated_one_does():
    values = torch.tensor([[4.0, 8.0]])
    assert td_target(torch.tensor([1.0]), torch.tensor([0.0]), values, values).item() == 1
    assert td_target(torch.tensor([1.0]), torch.tensor([0.9]), values, values).item() == pytest.approx(8.2)


@pytest.mark.parametrize(("ours", "torchs"), [(huber, F.smooth_l1_loss), (mse, F.mse_loss)])
def test_losses_and_their_derivatives_equal_torch(ours, torchs):
    error = torch.linspace(-3, 3, 25, requires_grad=True)
    expected = torchs(error, torch.zeros(25))
    expected.backward()
    loss, grad = ours(error.detach())
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(grad, error.grad)


def test_clipping_equals_torch():
    for scale in (0.1, 100.0):
        parameter = torch.nn.Parameter(torch.zeros(50))
        parameter.grad = scale * torch.randn(50)
        ours = parameter.grad.clone()
        clip_norm(ours, 10.0)
        torch.nn.utils.clip_grad_norm_([parameter], 10.0)
        torch.testing.assert_close(ours, parameter.grad)


class SlowDQN:
    """The twin: a plain Sequential, autograd, torch's losses, clipping and Adam, a deep copy as target."""

    def __init__(self, dqn):
        self.config = dqn.config
        self.online = torch.nn.Sequential(*(copy.deepcopy(module) for module in dqn.q_network))
        self.target = copy.deepcopy(self.online)
        self.optimizer = torch.optim.Adam(
            self.online.parameters(), lr=self.config.learning_rate, betas=self.config.adam_betas
        )
        self.updates = 0

    def update(self, batch):
        config = self.config
        obs, action, reward, next_obs, discount = (torch.from_numpy(array.copy()) for array in batch)
        if config.mirrors:
            for i in range(len(obs) // 2):
                for state in (obs, next_obs):
                    x, y, vx, vy, angle, spin, left, right = state[i].tolist()
                    state[i] = torch.tensor([-x, y, -vx, vy, -angle, -spin, right, left])
                action[i] = {0: 0, 1: 3, 2: 2, 3: 1}[int(action[i])]
        with torch.no_grad():
            future = self.target(next_obs)
            best = (self.online(next_obs) if config.double_dqn else future).argmax(1)
            wanted = config.reward_scale * reward + discount * future[torch.arange(len(best)), best]
        loss_of = F.smooth_l1_loss if config.loss == "huber" else F.mse_loss
        self.loss = loss_of(self.online(obs)[torch.arange(len(action)), action], wanted)
        self.optimizer.zero_grad()
        self.loss.backward()
        if config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.online.parameters(), config.max_grad_norm)
        self.gradient = torch.cat([parameter.grad.reshape(-1) for parameter in self.online.parameters()])
        self.optimizer.step()
        self.updates += 1
        if self.updates % config.target_update_freq == 0:
            for target, online in zip(self.target.parameters(), self.online.parameters(), strict=True):
                target.data = (1 - config.tau) * target.data + config.tau * online.data

    def vector(self, network):
        return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


OPTION_SETS = [
    {},
    {"loss": "mse", "reward_scale": 0.05},
    {"double_dqn": False},
    {"mirror_augmentation": False},
    {"max_grad_norm": None},
    {"max_grad_norm": 0.01},
    {"tau": 1.0, "target_update_freq": 7},
    {"tau": 1.0, "target_update_freq": 1},
    {"hidden_sizes": (16,), "adam_betas": (0.8, 0.999)},
]


@pytest.mark.parametrize("options", OPTION_SETS, ids=str)
def test_updates_equal_the_autograd_twin(options):
    dqn = DQN(Config(batch_size=32, **options))
    slow = SlowDQN(dqn)
    for step in range(60):
        # From the same parameters each time: what is compared is one update, not the drift of sixty.
        for network, flat in ((slow.online, dqn.q_network.flat), (slow.target, dqn.target)):
            torch.nn.utils.vector_to_parameters(flat.clone(), network.parameters())
        batch = random_batch(seed=step)
        dqn.update(batch)
        slow.update(batch)
        assert dqn.loss == pytest.approx(slow.loss.item(), rel=1e-4)
        gap = (dqn.q_network.flat_grad - slow.gradient).abs().max()
        assert gap <= 1e-5 * slow.gradient.abs().max()
        if not dqn.config.separate_target:
            assert dqn.target is dqn.q_network.flat
        else:
            torch.testing.assert_close(dqn.target, slow.vector(slow.target), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(dqn.q_network.flat, slow.vector(slow.online), rtol=1e-4, atol=1e-4)
    assert dqn.updates == 60


def test_an_update_leaves_the_batch_as_it_was():
    dqn, batch = DQN(Config(batch_size=32)), random_batch()
    before = [array.copy() for array in batch]
    dqn.update(batch)
    assert all(np.array_equal(a, b) for a, b in zip(before, batch, strict=True))


def test_the_mirror_is_its_own_inverse_and_swaps_what_it_should():
    obs = torch.arange(1.0, 9.0).unsqueeze(0)
    action = torch.tensor([1])
    mirrored, swapped, _ = mirror(obs, action, obs)
    assert mirrored.tolist() == [[-1, 2, -3, 4, -5, -6, 8, 7]]
    assert swapped.tolist() == [3]
    back, action_back, _ = mirror(mirrored, swapped, mirrored)
    assert torch.equal(back, obs)
    assert torch.equal(action_back, action)
    assert sorted(MIRROR_ACTIONS) == [0, 1, 2, 3]


@pytest.mark.parametrize("hidden_sizes", [(128, 64, 32), (7,), (5, 9)])
def test_a_network_that_looks_both_ways(hidden_sizes):
    torch.manual_seed(0)
    network = fastlander.QNetwork(hidden_sizes=hidden_sizes)
    wide = both_ways(network)
    assert wide.sizes == (8, *(2 * size for size in hidden_sizes), 4)
    obs, action = torch.randn(50, 8), torch.zeros(50, dtype=torch.int64)
    mirrored, _, _ = mirror(obs, action, obs)
    expected = (network(obs) + network(mirrored)[:, list(MIRROR_ACTIONS)]) / 2
    torch.testing.assert_close(wide(obs), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(wide(mirrored)[:, list(MIRROR_ACTIONS)], wide(obs), rtol=1e-5, atol=1e-6)


def test_the_mirror_is_true_to_the_physics():
    """Flown from a mirrored start with mirrored actions, a lander's observations are nearly the mirrored ones."""
    import gymnasium as gym

    env = gym.make("LunarLander-v3").unwrapped
    flights = []
    for sign, actions in ((1, (1, 1, 2, 3, 0, 1)), (-1, (3, 3, 2, 1, 0, 3))):
        env.reset(seed=0)
        for body in (env.lander, *env.legs):
            body.position = (10 + sign * (body.position.x - 10), body.position.y)
        env.lander.linearVelocity = (sign * 2.0, -1.0)
        env.lander.angularVelocity = 0.0
        flights.append([env.step(action)[0] for action in actions for _ in range(5)])
    env.close()
    one, other = (torch.tensor(np.array(flight)) for flight in flights)
    mirrored, _, _ = mirror(other, torch.zeros(len(other), dtype=torch.int64), other)
    assert (one[:, :6] - mirrored[:, :6]).abs().max() < 0.15  # engines have a random spread, so not closer than that
    assert (one[-1, [0, 2, 4]].abs() > 0.05).all()


def test_act_is_greedy_at_epsilon_zero_and_reproducible_above():
    config = Config(seed=5)
    a, b = DQN(config), DQN(config)
    obs = random_batch(16).obs
    assert np.array_equal(a.act(obs, np.zeros(16)), a.q_network.greedy(obs))
    b.act(obs, np.zeros(16))
    for _ in range(20):
        assert np.array_equal(a.act(obs, np.full(16, 0.5)), b.act(obs, np.full(16, 0.5)))


def test_different_seeds_start_from_different_weights():
    flats = [DQN(Config(seed=seed)).q_network.flat for seed in (0, 0, 1)]
    assert torch.equal(flats[0], flats[1])
    assert not torch.equal(flats[0], flats[2])


def test_other_sizes():
    config = Config(env_id="CartPole-v1", batch_size=32)
    dqn = DQN(config, obs_size=4, num_actions=2)
    dqn.update(random_batch(obs_size=4, actions=2))
    assert dqn.act(np.zeros((3, 4), np.float32), 0.5).shape == (3,)
    with pytest.raises(ValueError, match="mirror_augmentation must be off for 4 observed numbers and 2 actions"):
        DQN(Config(), obs_size=4, num_actions=2)


def test_devices():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(
            ValueError, match="device must be auto or cpu where no CUDA device is available, got 'cuda'"
        ):
            DQN(Config(device="cuda"))


def test_a_network_that_looks_both_ways_draws_from_no_global_stream():
    dqn, before = DQN(Config(mirror_acting=True, candidates=1)), torch.get_rng_state()
    dqn.network(dqn.q_network.flat)
    assert torch.equal(before, torch.get_rng_state())
