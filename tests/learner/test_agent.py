import collections
import copy

import gymnasium as gym
import numpy as np
import pytest
import torch

from fastlander import Agent
from tests.twins import LectureAgent, lecture_loop, lecture_network

FIELDS = {
    "current_state": "current_states",
    "action": "actions",
    "reward": "rewards",
    "next_state": "next_states",
    "terminated": "terminations",
}
NAMES = """eps n_experiences n_episode score scores playtimes batch_size buffer_size action_space q_net optimizer
current_states actions rewards next_states terminations""".split()


@pytest.fixture(scope="module")
def env():
    env = gym.make("LunarLander-v3")
    env.reset(seed=0)
    yield env
    env.close()


def experiences(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield {
            "current_state": rng.standard_normal(8, dtype=np.float32),
            "action": int(rng.integers(4)),
            "reward": float(rng.standard_normal()),
            "next_state": rng.standard_normal(8, dtype=np.float32),
            "terminated": bool(rng.random() < 0.2),
        }


def feed(agent, count, seed=0):
    for experience in experiences(count, seed):
        for name, value in experience.items():
            setattr(agent, name, value)
        agent.save_experience()


def reproducible_agent(env, seed=0):
    np.random.seed(seed)
    torch.manual_seed(seed)
    return Agent(env)


def test_it_starts_as_the_lecture_s_does(env):
    ours, theirs = Agent(env), LectureAgent(env)
    for name in NAMES:
        a, b = getattr(ours, name), getattr(theirs, name)
        if isinstance(b, int | list):
            assert a == b, name
        if isinstance(b, collections.deque):
            assert (list(a), a.maxlen) == (list(b), b.maxlen), name
    assert ours.action_space is env.action_space
    assert isinstance(ours.q_net, torch.nn.Sequential)
    assert isinstance(ours.optimizer, torch.optim.Adam)
    assert ours.optimizer.param_groups[0]["lr"] == theirs.optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("count", [10, 5007])
def test_the_fields_give_what_was_put_in(env, count):
    ours, theirs = Agent(env), LectureAgent(env)
    feed(ours, count)
    feed(theirs, count)
    for field in FIELDS.values():
        a, b = getattr(ours, field), getattr(theirs, field)
        assert len(a) == len(b)
        assert np.array_equal(np.array(a), np.array(b))
        assert np.array_equal(a[-1], b[-1])
        assert np.array_equal(a[0], b[0])
    assert ours.score == theirs.score
    assert ours.n_experiences == theirs.n_experiences


def batch_like(theirs, ours):
    for name in ("current_states", "actions", "rewards", "next_states", "terminations"):
        setattr(theirs, f"{name}_batch", getattr(ours, f"{name}_batch").clone())


def test_the_batch_has_the_lecture_s_shapes_and_dtypes_and_holds_stored_rows(env):
    ours, theirs = Agent(env), LectureAgent(env)
    feed(ours, 5003)
    feed(theirs, 5003)
    ours.get_batch()
    theirs.get_batch()
    for name in FIELDS.values():
        a, b = getattr(ours, f"{name}_batch"), getattr(theirs, f"{name}_batch")
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
    states, rewards = np.array(theirs.current_states), np.array(theirs.rewards, np.float32)
    for row in range(64):
        where = np.flatnonzero((states == ours.current_states_batch[row].numpy()).all(axis=1))
        assert len(where) == 1
        assert rewards[where[0]] == ours.rewards_batch[row].item()
        assert theirs.actions[where[0]] == ours.actions_batch[row].item()
        assert theirs.terminations[where[0]] == ours.terminations_batch[row].item()


def parameters_of(agent):
    return torch.cat([parameter.detach().reshape(-1) for parameter in agent.q_net.parameters()])


@pytest.mark.parametrize("plain", [False, True], ids=["QNetwork", "assigned Sequential"])
def test_learning_equals_the_lecture_s_update_by_update(env, plain):
    ours, theirs = reproducible_agent(env), LectureAgent(env)
    if plain:
        ours.q_net = lecture_network()
        ours.optimizer = torch.optim.Adam(ours.q_net.parameters(), lr=1e-4)
    theirs.q_net.load_state_dict(ours.q_net.state_dict())
    feed(ours, 5000)
    feed(theirs, 5000)
    theirs.get_batch = lambda: batch_like(theirs, ours)
    for _ in range(50):
        ours.learn()
        theirs.learn()
        torch.testing.assert_close(parameters_of(ours), parameters_of(theirs), rtol=1e-4, atol=1e-6)


def test_nothing_is_learned_before_the_buffer_is_full(env):
    agent = Agent(env)
    before = parameters_of(agent)
    feed(agent, 4999)
    agent.learn()
    assert torch.equal(parameters_of(agent), before)
    feed(agent, 1)
    agent.learn()
    assert not torch.equal(parameters_of(agent), before)


def test_global_seeds_before_construction_make_it_reproducible(env):
    runs = []
    for seed in (1, 1, 2):
        agent = reproducible_agent(env, seed)
        np.random.seed(99)  # afterwards nothing global matters
        torch.manual_seed(99)
        agent.eps = 0.5
        feed(agent, 5000)
        actions = []
        for experience in experiences(50, seed=5):
            agent.current_state = experience["current_state"]
            agent.act()
            actions.append(agent.action)
            agent.learn()
        runs.append((actions, parameters_of(agent).numpy().tobytes()))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_seed_of_its_own_leaves_the_global_streams_alone(env):
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    a, b = Agent(env, seed=3), Agent(env, seed=3)
    assert np.array_equal(numpy_before, np.random.get_state()[1])
    assert torch.equal(torch_before, torch.get_rng_state())
    assert torch.equal(parameters_of(a), parameters_of(b))


def test_act_is_random_with_probability_eps(env):
    agent = reproducible_agent(env)
    agent.current_state = np.zeros(8, np.float32)
    agent.act()
    greedy = agent.action
    assert type(greedy) is int
    assert greedy == agent.q_net(torch.zeros(8)).argmax().item()
    agent.eps = 0.4
    others = 0
    for _ in range(2000):
        agent.act()
        others += agent.action != greedy
    assert others / 2000 == pytest.approx(0.3, abs=0.04)


def test_assigned_batch_size(env):
    agent = Agent(env)
    feed(agent, 5000)
    agent.batch_size = 7
    agent.learn()
    assert agent.current_states_batch.shape == (7, 8)


def test_assigned_optimizer_and_learning_rate(env):
    agent = Agent(env)
    feed(agent, 5000)
    agent.optimizer = torch.optim.SGD(agent.q_net.parameters(), lr=0.0)
    before = parameters_of(agent)
    agent.learn()
    assert torch.equal(parameters_of(agent), before)
    agent.optimizer.param_groups[0]["lr"] = 0.1
    agent.learn()
    assert not torch.equal(parameters_of(agent), before)


def test_an_assigned_network_need_not_be_ours(env):
    agent = Agent(env)
    agent.q_net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    agent.optimizer = torch.optim.Adam(agent.q_net.parameters(), lr=1e-2)
    feed(agent, 5000)
    before = parameters_of(agent)
    agent.current_state = np.zeros(8, np.float32)
    agent.act()
    agent.learn()
    assert not torch.equal(parameters_of(agent), before)


def test_gradients_accumulate_on_what_the_user_left(env):
    """As with loss.backward(): a gradient already there is added to, not replaced."""
    agents = [reproducible_agent(env), reproducible_agent(env)]
    agents[1].q_net = torch.nn.Sequential(*copy.deepcopy(agents[0].q_net))
    agents[1].optimizer = torch.optim.Adam(agents[1].q_net.parameters(), lr=1e-4)
    for agent in agents:
        feed(agent, 5000)
        for parameter in agent.q_net.parameters():
            parameter.grad = torch.ones_like(parameter)
        agent.learn()
    torch.testing.assert_close(parameters_of(agents[0]), parameters_of(agents[1]))


def test_a_subclass_may_store_and_learn_in_its_own_way(env):
    class Mine(Agent):
        def save_experience(self):
            self.current_states.append(self.current_state)
            self.actions.append(self.action)
            self.rewards.append(self.reward * 0.5)
            self.next_states.append(self.next_state)
            self.terminations.append(self.terminated)
            self.n_experiences = self.n_experiences + 1
            self.score += self.reward

        learn = LectureAgent.learn

    agent = Mine(env)
    before = parameters_of(agent)
    feed(agent, 5000)
    agent.learn()
    assert not torch.equal(parameters_of(agent), before)
    assert agent.rewards[0] == 0.5 * next(experiences(1))["reward"]


def test_a_buffer_size_beyond_what_is_stored_is_an_error_as_with_the_lecture(env):
    agent = Agent(env)
    feed(agent, 100)
    agent.buffer_size = 100
    agent.learn()
    agent.buffer_size = 10_000
    agent.n_experiences = 10_000
    with pytest.raises(IndexError, match="buffer_size is 10000, but only 100 experiences are stored"):
        agent.learn()


def test_another_agent_takes_over_the_network_and_plays_with_frames():
    env = gym.make("LunarLander-v3", render_mode="rgb_array")
    agent, agent2 = Agent(env), Agent(env)
    agent2.q_net = agent.q_net
    agent2.current_state, _ = env.reset(seed=0)
    frames = [env.render()]
    for _ in range(500):
        agent2.act()
        agent2.next_state, agent2.reward, agent2.terminated, _, _ = env.step(agent2.action)
        frames.append(env.render())
        agent2.current_state = agent2.next_state
        if agent2.terminated:
            break
    env.close()
    from fastlander import show

    assert "<img" in show(frames)._repr_html_()


def test_spaces_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="Discrete actions that start at 0, got 'Pendulum-v1'"):
        Agent(gym.make("Pendulum-v1"))
    with pytest.raises(ValueError, match="flat Box observations, got 'CliffWalking-v1'"):
        Agent(gym.make("CliffWalking-v1"))


def test_any_flat_environment_will_do():
    env = gym.make("CartPole-v1")
    agent = Agent(env)
    agent.buffer_size = 50
    lecture_loop(env, agent, max_experiences=200)
    assert agent.n_experiences >= 200


@pytest.mark.slow
def test_the_lecture_s_loop_learns_on_it(env):
    np.random.seed(0)
    torch.manual_seed(0)
    env.reset(seed=0)
    agent = Agent(env)
    lecture_loop(env, agent, max_experiences=80_000)
    first, last = np.mean(agent.scores[:100]), np.mean(agent.scores[-100:])
    print(f"first 100: {first:.1f}, last 100: {last:.1f} after {agent.n_experiences} experiences")
    assert agent.n_experiences <= 80_500
    assert last >= first + 100
