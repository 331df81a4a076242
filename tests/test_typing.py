"""Programs that use the package pass `mypy --strict`: the documents' Python, and one with all public names."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRESUPPOSED = {
    "network": "import torch\nnetwork = torch.nn.Sequential()",
    "result": "from fastlander import Result\nresult: Result",
    "Trainer": "from fastlander import Trainer",
}
"""What the text around a block has made before, by the name that the block uses."""

PROGRAM = '''
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import gymnasium as gym
import numpy as np

from fastlander import (
    DQN,
    Agent,
    Config,
    LunarLanderEnv,
    LunarLanderVectorEnv,
    QNetwork,
    ReplayBuffer,
    Result,
    Trainer,
    make_vec_env,
    replay,
    show,
)
from fastlander.evaluate import evaluate_run
from fastlander.evaluation import Evaluation
from fastlander.record import record
from fastlander.report import write_report
from fastlander.storage.settings_file import read_settings, write_settings
from fastlander.storage.tables import MetricsRow
from fastlander.training.multi_seed import resume_seeds, train_seeds
from fastlander.training.run_progress import Progress


def settings() -> Config:
    """Settings in every way."""
    config = Config(num_envs=16, env_kwargs={"gravity": -3.7}, hidden_sizes=(64, 64), output_dir="run")
    assert_type(Config.preset("best", seed=3), Config)
    assert_type(config.env_kwargs, Mapping[str, Any])
    write_settings("best.toml", {"num_envs": 16})
    return read_settings("best.toml")


def watch(progress: Progress, rows: list[MetricsRow]) -> bool:
    """Whether to go on."""
    if progress.row is not None:
        rows.append(progress.row)
    return progress.timesteps < 1_000_000 and progress.score_mean < 200


def train() -> Result:
    """A run, watched."""
    trainer, rows = Trainer(settings()), list[MetricsRow]()
    for progress in trainer.run_steps():
        if not watch(progress, rows):
            break
    assert trainer.result is not None
    resumed = Trainer.resume(trainer.result.output_dir, progress=False).run()
    assert_type(resumed, Result)
    assert_type(resumed.solved, bool)
    assert_type(resumed.output_dir, Path)
    assert_type(resumed.agent, Agent)
    mean: float = resumed.evaluation.mean
    print(f"{mean:.1f}", resumed.summary())
    return resumed


def afterwards(result: Result) -> float:
    """What is done with a run."""
    env_id, evaluation = evaluate_run(result.output_dir, 100)
    assert_type(env_id, str)
    assert_type(evaluation, Evaluation)
    assert_type(write_report(result.output_dir), Path)
    path, returns = record(result.output_dir, format="gif")
    assert_type(returns, list[float])
    seeds = train_seeds(Config(), 3, print)
    seeds = resume_seeds(seeds.output_dir)
    replay(result, seed=3)
    return float(np.mean([row.timesteps for row in seeds.rows.values()]))


def parts() -> None:
    """The parts by themselves."""
    env = make_vec_env("CartPole-v1", 4)
    env.reset(seed=0)
    env.close()
    landers = LunarLanderVectorEnv(4, enable_wind=True)
    obs, reward, terminated, truncated, infos = landers.step(np.zeros(4, np.int64))
    state = landers.get_state()
    landers.set_state(state)
    one = LunarLanderEnv(render_mode="rgb_array")
    one.reset(seed=3)
    frame = one.render()
    assert frame is not None
    show([frame])
    agent = Agent(gym.make("CartPole-v1"))
    agent.q_net = QNetwork(4, 2)
    buffer = ReplayBuffer(maxlen=5, fields=(np.float32, (8,)))
    buffer.append(np.zeros(8))
    dqn = DQN(Config())
    assert_type(dqn.q_network, QNetwork)
    print(len(buffer), dqn.greedy(obs))


if __name__ == "__main__":
    parts()
    afterwards(train())
'''


def blocks():
    """The Python blocks of the documents, by name."""
    for page in PAGES:
        for k, block in enumerate(
            re.findall(r"^```python[^\n]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        ):
            if "--8<--" not in block:  # these lines are a program of docs/examples
                yield f"{page.stem.lower()}_{k}", block


def complete(block):
    """A block with what the text around it presupposes."""
    tree = ast.parse(block)
    made = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    made |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    used = {node.id for node in names} - made
    before = [text for name, text in PRESUPPOSED.items() if name in used]
    return "\n".join([*before, block])


@pytest.mark.slow
def test_programs_pass_mypy_strict(tmp_path):
    pytest.importorskip("mypy")
    for name, block in blocks():
        (tmp_path / f"{name}.py").write_text(complete(block))
    (tmp_path / "program.py").write_text(PROGRAM)
    files = sorted(path.name for path in tmp_path.glob("*.py"))
    assert len(files) >= 12
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line and 'module named "wandb"' not in line]
    assert errors == []
