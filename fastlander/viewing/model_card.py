"""The README.md of a model on a hub: metadata that leaderboards read, results with intervals, use, settings."""

import json
import platform
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from fastlander.config import LANDER_ID, Config
from fastlander.evaluation.evaluation import Evaluation
from fastlander.evaluation.statistics import TRIAL_EPISODES, best_trial
from fastlander.storage.card import MODEL_DIGEST, REPO_ID
from fastlander.storage.files import CONFIG_FILE, MODEL_FILE, ONNX_FILE
from fastlander.version import __version__
from fastlander.viewing.report_page import setting_rows

USE = f"""\
## Use

```python
import fastlander  # pip install 'fastlander[hub]'

model = fastlander.load("{REPO_ID}")
action = model.act(obs)  # obs: {{obs_size}} numbers, as the environment gives them
model.q_net  # an ordinary torch.nn.Sequential
```

`fastlander evaluate {REPO_ID} --episodes {{episodes}} --seed {{seed}}` plays the episodes of the table again.
`fastlander record {REPO_ID}` films them.
"""


def public_env_id(env_id: str) -> str:
    """The id that others know an environment by: Gymnasium's for every id of its lander, and no module before it."""
    return LANDER_ID if Config(env_id=env_id).is_lander else env_id.rpartition(":")[2]


def results_record(config: Config, evaluation: Evaluation, seed: int, model_digest: str) -> dict[str, Any]:
    """The content of results.json. The first names are those that Stable-Baselines3 gives in such a file.

    Args:
        config: of the run.
        evaluation: greedy episodes of its policy, at least 10.
        seed: of these episodes.
        model_digest: `card.digest` of the model file.
    """
    best = best_trial(evaluation.returns)
    record = {
        "mean_reward": evaluation.mean,
        "std_reward": evaluation.std,
        "is_deterministic": True,
        "n_eval_episodes": len(evaluation.returns),
        "mean_reward_95": list(evaluation.interval),
        "mean_minus_std": evaluation.mean - evaluation.std,
        "lowest_reward": float(evaluation.returns.min()),
        "mean_length": float(evaluation.playtimes.mean()),
        "best_trial": {"mean_reward": best.mean, "std_reward": best.std, "episodes": TRIAL_EPISODES, "of": best.count},
        "seed": seed,
        "env_id": public_env_id(config.env_id),
        "fastlander_version": __version__,
        MODEL_DIGEST: model_digest,
    }
    shares = {"timeouts": evaluation.timeouts}
    if config.is_lander:
        below = evaluation.returns < 200
        shares |= {"below_200": below, "landings": evaluation.landings, "crashes": evaluation.crashes}
    return record | {name: float(which.mean()) for name, which in shares.items()}


def model_card(config: Config, record: dict[str, Any], sizes: Sequence[int], video: str | None, onnx: bool) -> str:
    """The text of README.md.

    Args:
        config: of the run.
        record: as of `results_record`.
        sizes: `QNetwork.sizes` of the policy. One that acts on both sides is twice as wide as the settings say.
        video: name of the video's file; None if there is none.
        onnx: whether there is an ONNX file.
    """
    parts = [
        _metadata(record),
        f"# DQN playing {record['env_id']}\n",
        f"A deep Q-network trained by fastlander {__version__}: {_sizes(sizes)}.\n",
    ]
    if video is not None:
        shown = f"![a greedy episode]({video})" if video.endswith(".gif") else f"[{video}]({video})"
        parts.append(f"{shown} is the first of the episodes below, not a chosen one.\n")
    parts.append(_results(config, record))
    use = {"obs_size": sizes[0], "episodes": record["n_eval_episodes"], "seed": record["seed"]}
    parts.append(USE.format(**use))
    parts += [_files(video, onnx), _settings(config), _versions()]
    return "\n".join(parts)


def _metadata(record: dict[str, Any]) -> str:
    """YAML for the hub. A leaderboard takes `value` of the first metric: mean +/- standard deviation.

    Every text is written as JSON has it, which YAML reads, too.
    """
    env_id = json.dumps(record["env_id"])
    value = json.dumps(f"{record['mean_reward']:.2f} +/- {record['std_reward']:.2f}")
    return f"""\
---
library_name: fastlander
pipeline_tag: reinforcement-learning
tags:
- {env_id}
- deep-reinforcement-learning
- reinforcement-learning
- dqn
- fastlander
model-index:
- name: {json.dumps("dqn-" + record["env_id"])}
  results:
  - task:
      type: reinforcement-learning
      name: reinforcement-learning
    dataset:
      name: {env_id}
      type: {env_id}
    metrics:
    - type: mean_reward
      value: {value}
      name: mean_reward
      verified: false
---
"""


def _sizes(sizes: Sequence[int]) -> str:
    layers = " and ".join([", ".join(map(str, sizes[1:-2])), str(sizes[-2])])
    return f"hidden layers of {layers.removeprefix(' and ')} units, the action of the largest value is taken"


def _results(config: Config, record: dict[str, Any]) -> str:
    best = record["best_trial"]
    low, high = record["mean_reward_95"]
    lines = [
        "## Results\n",
        "| greedy episodes | mean return | standard deviation | mean - standard deviation |",
        "|---|---|---|---|",
        f"| **all {record['n_eval_episodes']:,}** | **{record['mean_reward']:.2f}** (95%: {low:.2f} to {high:.2f}) "
        f"| {record['std_reward']:.2f} | {record['mean_minus_std']:.2f} |",
        f"| best of {best['of']} evaluations of {best['episodes']} episodes | {best['mean_reward']:.2f} "
        f"| {best['std_reward']:.2f} | {best['mean_reward'] - best['std_reward']:.2f} |",
        "",
        "The first row is the policy. The second row is there for comparison with leaderboards, which show short "
        "evaluations and often the best of many: it was chosen by its result, so it is better than the policy is. "
        f"It is of the first {best['of'] * best['episodes']:,} of the same episodes. Leaderboards rank by mean - "
        "standard deviation. The metadata of this page has the first row.\n",
    ]
    shares = [("below_200", "returns below 200"), ("landings", "landings"), ("crashes", "crashes")]
    named = [f"{name} {record[key]:.2%}" for key, name in shares if key in record]
    named += [f"time-outs {record['timeouts']:.2%}", f"lowest return {record['lowest_reward']:.1f}"]
    named += [f"mean length {record['mean_length']:.0f} steps"]
    lines.append(f"Of all {record['n_eval_episodes']:,}: {', '.join(named)}.\n")
    return "\n".join(lines)


def _files(video: str | None, onnx: bool) -> str:
    rows = [(MODEL_FILE, "the weights, under the keys of a torch.nn.Sequential, and the settings; nothing is pickled")]
    if onnx:
        rows.append((ONNX_FILE, "the same network: `obs` float32[batch, numbers] to `values` float32[batch, actions]"))
    rows += [(CONFIG_FILE, "the settings of the run"), ("results.json", "the results above, for programs")]
    if video is not None:
        rows.append((video, "a greedy episode"))
    return "## Files\n\n| | |\n|---|---|\n" + "".join(f"| `{name}` | {what} |\n" for name, what in rows)


def _settings(config: Config) -> str:
    rows = [
        f"| {name} | `{value}`{' (not the default)' * changed} |\n" for name, value, changed in setting_rows(config)
    ]
    head = f"<details><summary>{len(rows)} settings</summary>"
    return f"## Settings\n\n{head}\n\n| | |\n|---|---|\n{''.join(rows)}\n</details>\n"


def _versions() -> str:
    return (
        f"Evaluated by fastlander {__version__} with Python {platform.python_version()}, NumPy {np.__version__}, "
        f"torch {torch.__version__}, Gymnasium {gym.__version__} on {platform.system()} {platform.machine()}.\n"
    )
