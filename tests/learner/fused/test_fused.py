"""The fused kernels against torch: autograd on a plain Sequential for updates, the module itself for actions."""

import time

import numpy as np
import pytest
import torch

from fastlander import DQN, Config
from fastlander.learner.fused.choose import choose
from fastlander.learner.fused.policy import FusedPolicy
from tests.twins import SlowDQN, filled_buffer, random_batch


def compare_with_autograd(dqn, updates, obs_size=8, actions=4):
    """Updates that each start from the same parameters, on the same samples as a twin draws."""
    buffer, twin_buffer = (
        filled_buffer(obs_size=obs_size, actions=actions),
        filled_buffer(obs_size=obs_size, actions=actions),
    )
    slow, ties = SlowDQN(dqn), 0
    for _ in range(updates):
        for network, flat in ((slow.online, dqn.q_network.flat), (slow.target, dqn.target)):
            torch.nn.utils.vector_to_parameters(flat.clone(), network.parameters())
        for ours, theirs in zip(dqn.q_network.parameters(), slow.online.parameters(), strict=True):
            state = dqn.optimizer.state[ours]
            slow.optimizer.state[theirs] = {name: value.clone() for name, value in state.items()}
        before = dqn.q_network.flat.clone()
        dqn.learn(buffer, 1)
        slow.update(twin_buffer.sample(dqn.config.batch_size))
        largest = slow.gradient.abs().max()
        gap = (dqn.q_network.flat_grad - slow.gradient).abs().max()
        if gap > 1e-5 * largest:
            # Where two actions are worth the same but for rounding, or a unit's input is 0 but for it, each side may
            # take another branch. It happens once in hundreds of updates.
            ties += 1
            assert ties <= max(1, updates // 200)
            assert gap <= 0.1 * largest
            continue
        # Adam divides by the gradient's size: where that is all but 0, its rounding is not.
        moved = (slow.vector(slow.online) - before).abs().max()
        assert (dqn.q_network.flat - slow.vector(slow.online)).abs().max() <= 1e-2 * moved
        assert (dqn.target - slow.vector(slow.target)).abs().max() <= 1e-2 * moved + 1e-7
        assert float(dqn.loss) == pytest.approx(float(slow.loss.detach()), rel=1e-4)
    assert dqn.updates == updates


def test_a_thousand_updates_equal_the_autograd_twin():
    compare_with_autograd(DQN(Config(batch_size=128)), 1000)


OPTION_SETS = [
    {"loss": "mse", "reward_scale": 0.05},
    {"double_dqn": False},
    {"mirror_augmentation": False},
    {"max_grad_norm": None},
    {"max_grad_norm": 0.01},
    {"tau": 1.0, "target_update_freq": 7},
    {"tau": 1.0, "target_update_freq": 1},
    {"tau": 1.0, "target_update_freq": 1, "double_dqn": False},
    {"hidden_sizes": (16,), "adam_betas": (0.8, 0.999)},
    {"hidden_sizes": (50, 20)},
    {"hidden_sizes": (1, 300, 2)},
    {"batch_size": 128, "loss": "mse", "double_dqn": False},
    {"batch_size": 1},
    {"batch_size": 33},
    {"batch_size": 256, "hidden_sizes": (64, 64)},
]


@pytest.mark.parametrize("updates", [60, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", OPTION_SETS, ids=str)
def test_updates_with_other_options_equal_the_autograd_twin(options, updates):
    compare_with_autograd(DQN(Config(**options)), updates)


def test_other_observations_and_actions():
    config = Config(env_id="CartPole-v1", hidden_sizes=(24,))
    compare_with_autograd(DQN(config, obs_size=19, num_actions=21), 60, obs_size=19, actions=21)


def test_several_updates_in_one_call_are_the_same_as_one_by_one():
    one, many = DQN(Config()), DQN(Config())
    buffers = filled_buffer(), filled_buffer()
    for _ in range(12):
        one.learn(buffers[0], 1)
    many.learn(buffers[1], 5)
    many.learn(buffers[1], 7)
    assert torch.equal(one.q_network.flat, many.q_network.flat)
    assert torch.equal(one.target, many.target)
    assert one.updates == many.updates == 12
    assert one.optimizer.state_dict()["state"][0]["step"] == 12


@pytest.mark.parametrize("processors", [1, 2])
def test_learning_beside_something_else_is_learning(processors):
    """In the background or not: the same updates."""
    config = Config(learning_rate_end=1e-4)
    dqn, twin, buffers = DQN(config, processors=processors), DQN(config), (filled_buffer(), filled_buffer())
    obs = np.random.default_rng(0).standard_normal((40, 8), dtype=np.float32)
    more = random_batch(50, seed=9)
    for step in range(30):
        dqn.learning_rate = twin.learning_rate = 1e-3 / (1 + step)
        assert np.array_equal(dqn.act(obs, np.full(40, 0.1)), twin.act(obs, np.full(40, 0.1)))
        with dqn.learning(buffers[0], step % 4):
            time.sleep(0.02 * (step == 20))  # long enough to fall asleep
        for _ in range(step % 4):
            twin.learn(buffers[1], 1)
        assert torch.equal(dqn.q_network.flat, twin.q_network.flat)
        assert torch.equal(dqn.target, twin.target)
        assert dqn.loss == twin.loss or not step
        for buffer in buffers:
            buffer.extend(**more._asdict())
    assert dqn.updates == twin.updates > 40
    assert dqn.optimizer.state_dict()["state"][0]["step"] == dqn.updates
    dqn.close()
    dqn.learn(buffers[0], 1)
    dqn.close()


def test_a_failure_meanwhile_leaves_the_updates_whole():
    dqn, twin = DQN(Config(), processors=2), DQN(Config())
    with pytest.raises(KeyError), dqn.learning(filled_buffer(), 3):
        raise KeyError
    twin.learn(filled_buffer(), 3)
    assert torch.equal(dqn.q_network.flat, twin.q_network.flat)
    assert dqn.updates == 3
    dqn.close()


@pytest.mark.parametrize("processors", [1, 2])
def test_nobody_acts_while_it_learns(processors):
    dqn, obs = DQN(Config(), processors=processors), np.zeros((3, 8), np.float32)
    with dqn.learning(filled_buffer(), 1), pytest.raises(RuntimeError, match="act must be called before learning"):
        dqn.act(obs, 0.0)
    assert dqn.act(obs, 0.0).shape == (3,)
    dqn.close()


@pytest.mark.parametrize("rows", [3, 500])
def test_few_and_many_observations_are_acted_on_by_the_same_parameters(rows):
    """Up to a batch of them go through the learner's own memory, more through a copy of the parameters."""
    dqn, buffer = DQN(Config(batch_size=16, num_envs=2)), filled_buffer()
    obs = np.random.default_rng(0).standard_normal((rows, 8), dtype=np.float32)
    for _ in range(3):
        dqn.learn(buffer, 5)
        with torch.no_grad():
            expected = dqn.q_network(torch.from_numpy(obs)).argmax(1).numpy()
        assert np.array_equal(dqn.act(obs, 0.0), expected)


def test_another_buffer_is_followed():
    dqn, twin = DQN(Config(), processors=2), DQN(Config())
    for seed in (1, 2):
        with dqn.learning(filled_buffer(seed=seed), 2):
            pass
        twin.learn(filled_buffer(seed=seed), 2)
    assert torch.equal(dqn.q_network.flat, twin.q_network.flat)
    dqn.close()


def test_the_policy_of_other_parameters():
    dqn, other = DQN(Config()), DQN(Config(seed=4))
    obs = np.random.default_rng(0).standard_normal((64, 8), dtype=np.float32)
    flat = other.q_network.flat.clone()
    policy = dqn.policy(flat)
    expected = other.q_network.greedy(obs)
    assert np.array_equal(policy(obs[:3]), expected[:3])
    flat.fill_(7)  # it was copied
    assert np.array_equal(policy(obs), expected)
    assert not np.array_equal(dqn.greedy(obs), expected)


def test_moments_that_no_longer_move_anything_become_zero():
    """Numbers below 1e-38 would make every update half as slow again."""
    dqn, buffer = DQN(Config()), filled_buffer()
    moments = dqn.optimizer.vectors[2:]
    for values, sign in ((moments[0], -1), (moments[1], 1)):
        values[:] = sign * 1e-39
    dqn.learn(buffer, 1)
    gone, moved = (dqn.q_network.flat_grad == 0).numpy(), (dqn.q_network.flat_grad.abs() > 1e-6).numpy()
    assert gone.any()
    assert moved.any()
    for values in moments:
        assert not values[gone].any()
        assert values[moved].all()


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 16, 50])
def test_greedy_actions_are_the_network_s(rows):
    dqn = DQN(Config())
    obs = np.random.default_rng(rows).standard_normal((rows, 8), dtype=np.float32)
    with torch.no_grad():
        expected = dqn.q_network(torch.from_numpy(obs)).argmax(1).numpy()
    actions = dqn.act(obs, 0.0)
    assert actions.dtype == np.int64
    assert np.array_equal(actions, expected)


def test_acting_follows_the_parameters_whoever_changes_them():
    dqn, obs = DQN(Config()), np.random.default_rng(0).standard_normal((64, 8), dtype=np.float32)
    seen = set()

    def check():
        with torch.no_grad():
            expected = dqn.q_network(torch.from_numpy(obs)).argmax(1).numpy()
        assert np.array_equal(dqn.act(obs, 0.0), expected)
        seen.add(expected.tobytes())

    check()
    dqn.learn(filled_buffer(), 40)
    check()
    dqn.q_network.flat.mul_(-1)
    check()
    other = DQN(Config(seed=9))
    dqn.q_network.load_state_dict(other.q_network.state_dict())
    check()
    with torch.no_grad():
        dqn.q_network[6].bias[2] += 100
    check()
    dqn.q_network.flatten()  # new memory: the kernels step aside
    dqn.q_network.flat.normal_(generator=torch.Generator().manual_seed(0))
    check()
    assert len(seen) >= 5


def test_learning_follows_an_update_in_torch():
    """`update` steps by the optimizer's kernel, of which torch's counts of changes know nothing."""
    dqn, buffer = DQN(Config(batch_size=32)), filled_buffer()
    for step in range(5):
        dqn.update(random_batch(seed=step))
        twin = DQN(dqn.config)
        twin.set_state(dqn.get_state())
        for one in (dqn, twin):
            one.learn(filled_buffer(seed=step), 2)
        assert torch.equal(dqn.q_network.flat, twin.q_network.flat)
    dqn.learn(buffer, 1)
    assert dqn.optimizer.steps == dqn.updates == 16


def strange(obs):
    """The same numbers in arrays of other kinds."""
    wide = np.zeros((len(obs), 16), np.float32)
    wide[:, ::2] = obs
    read_only = obs.copy()
    read_only.flags.writeable = False
    return [obs.astype(np.float64), np.asfortranarray(obs), wide[:, ::2], read_only, obs[::-1][::-1]]


def test_every_kind_of_array_reaches_the_kernels_as_one_type():
    obs = np.random.default_rng(0).standard_normal((20, 8), dtype=np.float32)
    dqn, few = DQN(Config()), DQN(Config(batch_size=1, num_envs=1))
    expected = dqn.greedy(obs)
    for one in (dqn, few):
        for other in strange(obs):
            assert np.array_equal(one.greedy(other), expected)
            for epsilon in (0, np.float32(0), np.zeros(40)[::2], np.zeros(20, np.float32), np.zeros(20, np.int64)):
                assert np.array_equal(one.act(other, epsilon), expected)
        for policy in (one.policy(one.q_network.flat), FusedPolicy.of(one.q_network).greedy):
            assert all(np.array_equal(policy(other), expected) for other in strange(obs))
    assert len(choose.signatures) == 1


@pytest.mark.parametrize("shape", [(20, 7), (20, 9), (8,), (20, 8, 1)])
def test_observations_of_another_width_are_refused(shape):
    dqn = DQN(Config())
    for act in (dqn.greedy, FusedPolicy.of(dqn.q_network).greedy):
        with pytest.raises(ValueError, match=r"observations must be float32\[N, 8\], got float32\["):
            act(np.zeros(shape, np.float32))


def test_each_lander_has_its_own_coin():
    dqn = DQN(Config())
    obs = np.tile(np.random.default_rng(0).standard_normal(8, dtype=np.float32), (4000, 1))
    greedy = dqn.act(obs, 0.0)[0]
    epsilon = np.repeat([0.0, 0.2, 1.0, 0.6], 1000)
    others = (dqn.act(obs, epsilon) != greedy).reshape(4, 1000).mean(1)
    assert others == pytest.approx([0, 0.15, 0.75, 0.45], abs=0.05)
    assert others[0] == 0


def test_the_same_seed_explores_the_same():
    obs = np.zeros((100, 8), np.float32)
    first, second = (np.array([dqn.act(obs, 0.5) for _ in range(5)]) for dqn in (DQN(Config()), DQN(Config())))
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
