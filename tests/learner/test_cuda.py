"""What only a CUDA GPU can show: `python -m pytest -m cuda`, on a machine that has one."""

import contextlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fastlander import DQN, Config, Trainer
from fastlander.learner.flat_adam import FlatAdam
from fastlander.training import trainer
from tests.twins import filled_buffer, random_batch

pytestmark = pytest.mark.cuda

SHORT = {
    "device": "cuda", "num_envs": 4, "total_timesteps": 6_000, "eval_episodes": 4, "learning_starts": 500,
    "buffer_size": 3_000, "progress": False, "eval_gate": -1e9, "eval_interval": 1_500, "checkpoint_interval": 1e-9,
}  # fmt: skip


def outcome(directory):
    return [(directory / name).read_bytes() for name in ("model.safetensors", "episodes.csv", "evaluations.csv")]


def test_actions_on_cuda_are_those_of_the_network_as_it_is():
    dqn, rng = DQN(Config(device="cuda")), np.random.default_rng(1)
    for step in range(40):
        count = (16, 200, 7, 1, 33, 64)[step % 6]  # more than have a graph
        obs = rng.standard_normal((count, 8), dtype=np.float32)
        kept = dqn.greedy(obs)
        assert kept.tolist() == dqn.q_network.greedy(obs).tolist()
        before = kept.copy()
        dqn.greedy(-obs)
        assert kept.tolist() == before.tolist()  # what was given out is not written again
        dqn.update(random_batch(128, seed=step))


def test_batches_arrive_on_cuda_in_order():
    dqn = DQN(Config(device="cuda", batch_size=64))
    learner = dqn._torch_learner
    for step in range(50):
        batch = random_batch(64, seed=step)
        learner._fill(batch)
        for array in batch:
            array[...] = 0  # the sampler fills the same arrays again
        for sent, wanted in zip(learner._batch, random_batch(64, seed=step), strict=True):
            assert sent.cpu().numpy().tobytes() == wanted.tobytes()


def test_on_cuda_as_on_the_cpu():
    on_gpu, eager = DQN(Config(device="cuda")), DQN(Config(device="cpu"))
    for step in range(50):
        on_gpu.update(random_batch(128, seed=step))
        eager.update(random_batch(128, seed=step))
        torch.testing.assert_close(on_gpu.q_network.flat.cpu(), eager.q_network.flat, rtol=1e-3, atol=1e-4)


def test_the_flat_step_is_torch_s_own():
    one, other = (DQN(Config(device="cuda")).q_network for _ in range(2))
    flat, plain = FlatAdam(one, lr=1e-2), torch.optim.Adam(other.parameters(), lr=1e-2)
    for _ in range(50):
        gradient = torch.randn_like(one.flat) * torch.rand_like(one.flat) ** 4
        for network in (one, other):
            network.flat_grad.copy_(gradient)
            network.show_gradients()
        flat.step()
        plain.step()
    assert flat.steps == 50
    torch.testing.assert_close(one.flat, other.flat, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("more", [{}, {"candidates": 2, "solved_by": "never", "mirror_acting": True}], ids=str)
def test_a_seed_gives_the_same_run_also_when_it_is_broken_off(tmp_path, monkeypatch, more):
    for name in ("one", "other"):
        Trainer(Config(**SHORT, **more, output_dir=tmp_path / name)).run()
    assert outcome(tmp_path / "one") == outcome(tmp_path / "other")

    class Broken(Exception):
        pass

    def dying(run):
        for finished in steps(run):
            if run.timesteps > 4_000:
                raise Broken
            yield finished

    steps = trainer.steps
    with monkeypatch.context() as patch, contextlib.suppress(Broken):
        patch.setattr(trainer, "steps", dying)
        patch.setattr("fastlander.storage.run_directory.LARGEST_SHARE", 0.5)
        Trainer(Config(**SHORT, **more, output_dir=tmp_path / "broken")).run()
    assert list((tmp_path / "broken" / "checkpoint").iterdir())
    Trainer.resume(tmp_path / "broken").run()
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "one")
    assert json.loads((tmp_path / "one" / "config.json").read_text())["device"] == "cuda"
    assert all(tensor.device.type == "cpu" for tensor in load_file(tmp_path / "one" / "model.safetensors").values())


def test_a_state_of_the_gpu_goes_on(tmp_path):
    config = Config(device="cuda")
    one, buffer = DQN(config), filled_buffer()
    one.learn(buffer, 20)
    other, same = DQN(config), filled_buffer()
    other.set_state(one.get_state())
    same.set_state(buffer.get_state())
    one.learn(buffer, 20)
    other.learn(same, 20)
    assert torch.equal(one.q_network.flat, other.q_network.flat)
    assert torch.equal(one.target, other.target)


def test_a_small_network_is_said_to_be_faster_on_the_cpu(tmp_path, capsys):
    settings = {**SHORT, "progress": True, "device": "auto"}
    Trainer(Config(**settings, output_dir=tmp_path / "small")).run()
    assert "--device cpu is faster" in capsys.readouterr().out
    Trainer(Config(**{**settings, "device": "cuda"}, output_dir=tmp_path / "asked")).run()
    assert "--device cpu is faster" not in capsys.readouterr().out
