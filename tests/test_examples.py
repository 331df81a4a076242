"""The programs in docs/examples run as they stand, for a few steps. Those of other libraries need these libraries."""

import os
import pathlib
import re
import runpy
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from fastlander import Config, Trainer
from fastlander.export import export_onnx

EXAMPLES = pathlib.Path(__file__).parent.parent / "docs" / "examples"


def output_of(name, *arguments, cwd):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=one_thread, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    settings = {"num_envs": 4, "total_timesteps": 500, "eval_episodes": 2, "progress": False}
    Trainer(Config(**settings, output_dir=directory)).run()
    return directory


def test_every_example_is_tried_here():
    tried = re.findall(r'output_of\(\s*"(\w+\.py)"', pathlib.Path(__file__).read_text())
    assert sorted(set(tried)) == sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_ppo(tmp_path):
    pytest.importorskip("stable_baselines3")
    assert "over 100 episodes" in output_of("ppo_stable_baselines3.py", 16_384, cwd=tmp_path)


def test_single_file_dqn(tmp_path):
    lines = output_of("single_file_dqn.py", 20_000, cwd=tmp_path).splitlines()
    assert lines[-1].startswith("20,000 steps, mean return of the last 100 episodes")


def test_the_policy_without_fastlander_flies_the_same_everywhere(run, tmp_path):
    pytest.importorskip("onnxscript")
    export_onnx(run)
    plain = output_of("plain_sequential.py", run, cwd=tmp_path)
    assert plain == output_of("onnx_policy.py", run, cwd=tmp_path)
    assert plain.startswith("return ")


# docs/libraries.md tells users of CleanRL to write these.
TWO_LINES = """gym.make_vec(args.env_id, num_envs=args.num_envs, autoreset_mode="SameStep")
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
"""


@pytest.mark.parametrize("script", ["ppo", "dqn"])
def test_cleanrl(script, tmp_path):
    if "CLEANRL" not in os.environ:
        pytest.skip("needs CLEANRL, the folder of CleanRL's repository")
    script = pathlib.Path(os.environ["CLEANRL"], "cleanrl", f"{script}.py")
    options = ["--total-timesteps", 2_048, "--no-cuda"]
    out = output_of("cleanrl_script.py", script, *options, cwd=tmp_path)
    assert len(re.findall(r"global_step=\d+, episodic_return=-?[\d.]+", out)) > 5
    command = [sys.executable, str(script), "--env-id", "fastlander:fastlander/LunarLander-v3", *map(str, options)]
    paths = os.pathsep.join([str(script.parent.parent), *filter(None, sys.path)])
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert done.returncode == 0
    text, count = re.subn(r"gym\.vector\.SyncVectorEnv\(.*?\n    \)\n", TWO_LINES, script.read_text(), flags=re.DOTALL)
    assert count == 1
    changed = tmp_path / f"{script.stem}_changed.py"
    changed.write_text(text)
    command[1] = str(changed)
    assert subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode == 0
    assert len(list(tmp_path.glob("runs/*/LunarLander-v3__*/events*"))) == 3


def test_rl_zoo(tmp_path):
    pytest.importorskip("rl_zoo3")
    quick = ["--n-timesteps", "100", "--eval-freq", "-1", "--hyperparams", "n_steps:64"]
    assert "total_timesteps" in output_of("rl_zoo.py", *quick, cwd=tmp_path)
    (monitor,) = tmp_path.glob("logs/ppo/*/0.monitor.csv")
    assert len(monitor.read_text().splitlines()) > 3
    command = [sys.executable, "-m", "rl_zoo3.train", "--algo", "ppo", "--env", "fastlander/LunarLander-v3"]
    command += ["--gym-packages", "fastlander", "--conf-file", str(EXAMPLES / "rl_zoo.py"), *quick]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0


def test_hugging_face_unit_1(tmp_path):
    pytest.importorskip("huggingface_sb3")
    assert "over 10 episodes of Gymnasium's lander" in output_of("hugging_face_unit_1.py", 100, cwd=tmp_path)
    package = tmp_path / "hub" / "you" / "ppo-LunarLander-v3"
    for name in ("README.md", "config.json", "results.json", "replay.mp4", "ppo-LunarLander-v3.zip"):
        assert (package / name).stat().st_size > 100
    assert "mean_reward" in (package / "README.md").read_text()


def test_torchrl(tmp_path):
    pytest.importorskip("torchrl")
    assert "4,096 steps, " in output_of("torchrl_ppo.py", 4_096, cwd=tmp_path)


def test_torchrl_sees_the_same_rollout_as_of_sync_vector_env():
    envs = pytest.importorskip("torchrl.envs")
    import torch
    from tensordict.nn import TensorDictModule

    def rollout(env):
        env = envs.GymWrapper(env)
        env.set_seed(0)
        rng = np.random.default_rng(0)

        def act(obs):
            actions = torch.from_numpy(rng.integers(4, size=len(obs)))
            return torch.nn.functional.one_hot(actions, 4)

        policy = TensorDictModule(act, in_keys=["observation"], out_keys=["action"])
        return env.rollout(150, policy, break_when_any_done=False)

    same_step = AutoresetMode.SAME_STEP
    singles = [lambda: gym.make("LunarLander-v3")] * 2
    native = rollout(gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=2, autoreset_mode=same_step))
    sync = rollout(gym.vector.SyncVectorEnv(singles, autoreset_mode=same_step))
    assert native["next", "done"].sum() > 1
    for key in ("observation", ("next", "observation"), ("next", "reward"), ("next", "done"), ("next", "truncated")):
        assert torch.equal(native[key], sync[key])


def test_skrl(tmp_path):
    pytest.importorskip("skrl")
    assert "3,200 steps, " in output_of("skrl_dqn.py", 3_200, cwd=tmp_path)
    from skrl.envs.wrappers.torch import wrap_env

    env = wrap_env(gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=2, render_mode="rgb_array"))
    env.reset()
    assert [picture.shape for picture in env.render()] == [(400, 600, 3)] * 2


def test_rllib(tmp_path):
    pytest.importorskip("ray.rllib", exc_type=ImportError)
    assert "4,096 steps, " in output_of("rllib_ppo.py", 100, cwd=tmp_path)


def test_tianshou(tmp_path):
    pytest.importorskip("tianshou")
    assert "3,200 steps, " in output_of("tianshou_dqn.py", 3_200, cwd=tmp_path)


def test_tianshou_s_vector_env_gives_what_dummy_vector_env_gives():
    tianshou = pytest.importorskip("tianshou.env")
    ours = runpy.run_path(str(EXAMPLES / "tianshou_dqn.py"))["NativeVectorEnv"](3)
    theirs = tianshou.DummyVectorEnv([lambda: gym.make("LunarLander-v3")] * 3)
    assert len(ours) == len(theirs) == 3
    assert ours.action_space == theirs.action_space
    both, rng = (ours, theirs), np.random.default_rng(0)
    for env in both:
        env.seed(5)
    assert np.array_equal(*(env.reset()[0] for env in both))
    ended = 0
    for _ in range(300):
        ids = np.flatnonzero(rng.random(3) < 0.8)
        if not len(ids):
            continue
        results = [env.step(actions, ids) for actions in [rng.integers(4, size=len(ids))] for env in both]
        for mine, other in zip(*results, strict=True):
            assert np.array_equal(mine, other)
        over = ids[results[0][2] | results[0][3]]
        if len(over):
            assert np.array_equal(*(env.reset(over)[0] for env in both))
        ended += len(over)
    assert ended > 3
    ours.set_env_attr("gravity", -3.0, id=[0, 2])
    assert ours.get_env_attr("gravity") == [-3.0, -10.0, -3.0]
    ours.close()
