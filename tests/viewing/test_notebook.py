import html
import json
import math
import re

import gymnasium as gym
import numpy as np
import pytest
import torch

from fastlander import Agent, Config, QNetwork, Trainer, replay, show
from fastlander.viewing.trace import trace_flight


def _filled(weight):
    network = QNetwork(8, 4, (3,))
    network.flat[5] = weight
    return network


def frames(count):
    return [np.full((40, 60, 3), i, np.uint8) for i in range(count)]


@pytest.mark.parametrize(("count", "jump", "shown"), [(25, 10, 3), (5, 1, 5), (1, 10, 1)])
def test_every_jump_th_frame_is_shown(count, jump, shown):
    html = show(frames(count), jump=jump)._repr_html_()
    assert html.count("data:image/png;base64") == shown
    assert "<input" in html  # the player's controls


def test_no_state_of_pyplot_is_touched():
    import matplotlib.pyplot as plt

    show(frames(3), jump=1)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (([],), "frames must hold at least one picture, got none"),
        (([None],), "frames must be arrays"),
        (([np.zeros((4, 4))],), "frames must be arrays"),
        ((frames(3), 0), "jump must be an integer of at least 1, got 0"),
    ],
)
def test_bad_input(arguments, line):
    with pytest.raises(ValueError, match=line):
        show(*arguments)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    return Trainer(Config(num_envs=4, total_timesteps=500, eval_episodes=2, progress=False, output_dir=directory)).run()


def landing_in(widget):
    """The record that a widget's page draws."""
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', widget._repr_html_())[1])
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_a_replay_is_the_landing_that_the_policy_flies(result):
    expected = trace_flight(gym.make("LunarLander-v3"), result.agent.q_net.greedy, 5).to_json()
    plain = torch.nn.Sequential(*result.agent.q_net)
    for policy in (result, result.agent, result.agent.q_net, plain, result.output_dir, str(result.output_dir)):
        assert landing_in(replay(policy, seed=5)) == expected
    assert landing_in(replay(result, seed=6)) != expected


def test_a_replay_holds_no_pictures(result):
    widget = replay(result)._repr_html_()
    assert "image/png" not in widget
    assert len(widget) < 60_000


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        (7, "policy must be an Agent, a Result, a torch module or a run directory, got 7"),
        ("nowhere", "directory must be a run directory with a model.safetensors, got 'nowhere'"),
        (QNetwork(4, 2), "policy must be a network of 8 inputs, got one that takes others"),
        (Agent(gym.make("CartPole-v1")), "policy must be a network of 8 inputs, got one that takes others"),
        (QNetwork(8, 2), "policy must be a network of 4 action values, got one that gives [1, 2] for one input"),
        (QNetwork(8, 6), "policy must be a network of 4 action values, got one that gives [1, 6] for one input"),
        (torch.nn.Flatten(0), "policy must be a network of 4 action values, got one that gives [8] for one input"),
        (torch.nn.Linear(8, 4).double(), "policy must be a network of 8 inputs, got one that takes others"),
        (torch.nn.Linear(8, 4, dtype=torch.cfloat), "policy must be a network of 8 inputs, got one that takes others"),
        (_filled(math.nan), "policy must be a network of finite weights, got one with others"),
        (_filled(-math.inf), "policy must be a network of finite weights, got one with others"),
    ],
    ids=range(11),
)
def test_what_cannot_be_replayed(in_tmp, policy, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        replay(policy)


def test_a_run_on_another_environment_cannot_be_replayed(in_tmp):
    settings = {"env_id": "CartPole-v1", "num_envs": 2, "total_timesteps": 300, "eval_episodes": 2, "progress": False}
    Trainer(Config(**settings, output_dir="run")).run()
    with pytest.raises(ValueError, match="policy must be of a run on LunarLander-v3, got one on 'CartPole-v1'"):
        replay("run")
