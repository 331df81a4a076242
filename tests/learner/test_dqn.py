import numpy as np
import pytest
import torch

from fastlander import DQN, Config
from fastlander.learner.device import pick_device
from tests.twins import SlowDQN, random_batch

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
    dqn.network(dqn.parameters)
    assert torch.equal(before, torch.get_rng_state())
