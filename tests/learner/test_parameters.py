"""Parameters as NumPy arrays, against torch: how they begin, how they are averaged, and whose memory they are in."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fastlander import DQN, Config, QNetwork, Trainer, load
from fastlander.learner.parameters import Parameters, follow, initial_parameters
from fastlander.learner.torch_threads import limit_threads, one_torch_thread
from tests.twins import filled_buffer, random_batch


@pytest.mark.parametrize("sizes", [(8, 128, 64, 32, 4), (8, 4), (3, 7, 2), (1, 1, 1), (5, 300, 200, 6)])
@pytest.mark.parametrize("seed", [0, 1, 5_489, 2**31, 2**32 - 1])
def test_they_begin_as_torch_begins(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    network = QNetwork(sizes[0], sizes[-1], sizes[1:-1], generator=generator)
    begun = initial_parameters(sizes, seed)
    assert begun.flat.tobytes() == network.flat.numpy().tobytes()
    assert begun.sizes == network.sizes == sizes
    tensors = network.state_dict()
    assert begun.state_dict().keys() == tensors.keys()
    assert all(np.array_equal(array, tensors[name].numpy()) for name, array in begun.state_dict().items())


@pytest.mark.parametrize("share", [0.22, 0.03, 1.0, 0.5, 1 / 3, 0.75, 1e-3, 0.0])
@pytest.mark.parametrize("size", [1, 7, 8, 19, 11_620])
def test_an_average_follows_as_by_torch_s_lerp(share, size):
    rng = np.random.default_rng(size)
    average, new = (rng.normal(size=size).astype(np.float32) for _ in range(2))
    twin = torch.from_numpy(average.copy())
    for _ in range(20):
        follow(average, new, share)
        twin.lerp_(torch.from_numpy(new), share)
        assert average.tobytes() == twin.numpy().tobytes()
        new = rng.normal(size=size).astype(np.float32)


def test_torch_shares_the_memory_and_goes_on_where_the_kernels_were():
    """Whenever torch is asked for, and whatever it then changes, the run is the one that had it from the beginning."""
    config, dqns, buffers = Config(learning_rate_end=1e-4), [], []
    for _ in range(3):
        dqns.append(DQN(config, processors=1))
        buffers.append(filled_buffer())
    early, late, never = dqns
    assert early.q_network.flat.data_ptr() == early.parameters.ctypes.data
    obs = random_batch(20).obs
    for step in range(12):
        if step == 6:
            assert late.optimizer.steps == late.updates > 0
            assert late.target.data_ptr() != late.q_network.flat.data_ptr()
        if step == 9:
            for dqn in (early, late):
                with torch.no_grad():
                    dqn.q_network[6].bias[:] += torch.tensor([0.0, 40.0, 0.0, 0.0])
            changed = never.parameters.copy()
            Parameters(never.sizes, changed).layers()[-1][1][1] += 40
            never.parameters = changed
            for dqn in dqns:
                assert dqn.act(obs, 0.0).tolist() == [1] * 20
        actions = []
        for dqn, buffer in zip(dqns, buffers, strict=True):
            dqn.learning_rate = 1e-3 / (1 + step)
            dqn.learn(buffer, 3)
            actions.append(dqn.act(obs, 0.1).tolist())
        assert actions[0] == actions[1] == actions[2]
        assert early.parameters.tobytes() == late.parameters.tobytes() == never.parameters.tobytes()
        assert early.learning_rate == late.learning_rate == never.learning_rate == 1e-3 / (1 + step)
    states = [dqn.get_state() for dqn in dqns]
    for name, value in states[2].items():
        assert all(np.array_equal(state[name], value) for state in states), name
    other = DQN(config, processors=1)
    other.set_state(states[0])
    other.learning_rate = never.learning_rate
    other.learn(buffers[0], 2)
    never.learn(buffers[2], 2)
    assert other.parameters.tobytes() == never.parameters.tobytes()
    assert other.optimizer.steps == never.optimizer.steps


def test_torch_has_one_thread_while_a_run_lasts_and_what_it_had_afterwards():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
            with one_torch_thread():
                limit_threads()
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


LATE = """
import sys
from fastlander.learner.torch_threads import limit_threads, one_torch_thread
with one_torch_thread():
    assert "torch" not in sys.modules
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    limit_threads()
    print(torch.get_num_threads())
print(torch.get_num_threads())
"""


def test_torch_that_is_imported_while_a_run_lasts_is_limited_too():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2"]


TRAINED = """
import sys
from fastlander import Config, Trainer
from fastlander.report import main as report
settings = {"num_envs": 4, "total_timesteps": 3_000, "learning_starts": 500, "eval_episodes": 4, "device": "DEVICE"}
result = Trainer(Config.preset("PRESET", **settings, output_dir="run", progress=False)).run()
Trainer.resume("run", progress=False).run()
report(["run"])
assert "torch" not in sys.modules, "torch was imported"
print(result.summary())
agent = result.agent
assert result.agent is agent and agent.n_episode == len(agent.scores) > 0
assert "torch" in sys.modules
"""


@pytest.mark.parametrize("preset", ["default", "best", "lecture"])
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_run_on_a_cpu_needs_no_torch(tmp_path, preset, device):
    if device == "auto" and torch.cuda.is_available():
        pytest.skip("there is a GPU, which torch is asked for")
    code = TRAINED.replace("PRESET", preset).replace("DEVICE", device)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "after" in done.stdout


@pytest.mark.parametrize("preset", ["default", "best"])
def test_a_run_whose_learner_is_torch_s_is_judged_saved_and_resumed(tmp_path, monkeypatch, preset):
    """As on a GPU, but for the place of the tensors: nothing but `parameters` connects the learner with the run."""
    monkeypatch.setattr("fastlander.learner.dqn.is_on_gpu", lambda name: True)
    settings = {
        "num_envs": 4,
        "total_timesteps": 4_000,
        "learning_starts": 500,
        "hidden_sizes": (16, 8),
        "device": "cpu",
    }
    settings |= {"eval_episodes": 6, "progress": False, "checkpoint_interval": None}
    whole = Trainer(Config.preset(preset, **settings, output_dir=str(tmp_path / "whole"))).run()
    broken = Trainer(Config.preset(preset, **settings, output_dir=str(tmp_path / "broken")))
    for progress in broken.run_steps():
        if progress.timesteps >= 2_000:
            assert np.array_equal(progress.q_net.flat.numpy(), progress._run.dqn.parameters)
            break
    resumed = Trainer.resume(tmp_path / "broken", progress=False).run()
    for name in ("model.safetensors", "episodes.csv", "evaluations.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes(), name
    assert whole.updates == resumed.updates > 50
    assert torch.equal(whole.agent.q_net.flat, load(tmp_path / "broken").q_net.flat)
