"""Other environments: their own defaults beside Stable-Baselines3's DQN with RL Zoo's settings, several seeds each.

python -m benchmarks.environments [--seeds 10] [--peer-seeds 5] [--only CartPole-v1 ...] [--runs FILE] [--plot PNG]
python -m benchmarks.environments --climbs    # how often random actions, single and repeated, climb MountainCar's hill

Both stop by fastlander's rule (`Judge`): once the training episodes pass the gate, 100 fresh greedy episodes have to
reach the environment's reward threshold, and 100 others again. Both learn and are judged in one thread, and what is
counted is the CPU time of the process. Every few thousand steps 20 greedy episodes give a point of the learning curve;
their time does not count. The peer is judged more often: also where a point of its curve reaches the threshold, because
its policy comes and goes faster than the mean of 50 episodes. It stops at the number of steps that RL Zoo gives it.

`--runs` keeps each run as a line of JSON. Those that the file has already are not made again.
"""

import argparse
import contextlib
import json
import os
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch

from fastlander import Config
from fastlander.environments import make_training_env, make_vec_env
from fastlander.evaluation.episodes import evaluate, make_eval_env
from fastlander.evaluation.judge import Judge
from fastlander.evaluation.scores import Scores
from fastlander.experience.collector import Finished
from fastlander.learner.exploration import RepeatedActions
from fastlander.presets import ENV_DEFAULTS
from fastlander.streams import draw_seeds
from fastlander.training.run_state import Run
from fastlander.training.trainer import judge_if_due, steps

NAME, PEER = "fastlander", "Stable-Baselines3"
POINT_EPISODES = 20
POINT_EVERY = {"CartPole-v1": 2_500, "Acrobot-v1": 2_500, "MountainCar-v0": 5_000}  # timesteps

# hyperparams/dqn.yml of DLR-RM/rl-baselines3-zoo, commit 22e3ff2: timesteps, and what is no default of SB3's DQN.
ZOO = {
    "CartPole-v1": (
        50_000,
        {
            "learning_rate": 2.3e-3,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1_000,
            "gamma": 0.99,
            "target_update_interval": 10,
            "train_freq": 256,
            "gradient_steps": 128,
            "exploration_fraction": 0.16,
            "exploration_final_eps": 0.04,
        },
    ),
    "Acrobot-v1": (
        100_000,
        {
            "learning_rate": 6.3e-4,
            "batch_size": 128,
            "buffer_size": 50_000,
            "learning_starts": 0,
            "gamma": 0.99,
            "target_update_interval": 250,
            "train_freq": 4,
            "gradient_steps": -1,
            "exploration_fraction": 0.12,
            "exploration_final_eps": 0.1,
        },
    ),
    "MountainCar-v0": (
        120_000,
        {
            "learning_rate": 4e-3,
            "batch_size": 128,
            "buffer_size": 10_000,
            "learning_starts": 1_000,
            "gamma": 0.98,
            "target_update_interval": 600,
            "train_freq": 16,
            "gradient_steps": 8,
            "exploration_fraction": 0.2,
            "exploration_final_eps": 0.07,
        },
    ),
}
ZOO_NETWORK = [256, 256]


class Curve:
    """Points of a learning curve, and the CPU time of the process without the time that they take."""

    def __init__(self, config):
        self._env, self._every = make_eval_env(config, POINT_EPISODES, processors=1), POINT_EVERY[config.env_id]
        self._rng = np.random.default_rng([config.seed, 0])
        self.points = []  # timesteps, CPU seconds, mean return
        self._began, self._next = time.process_time(), 0

    def seconds(self):
        return time.process_time() - self._began

    def look(self, make_policy, timesteps, last=False):
        """Add a point if one is due; its mean, if so. `make_policy`'s must leave the run's random streams alone."""
        if timesteps < self._next and not last:
            return None
        seconds = self.seconds()
        mean = evaluate(make_policy(), self._env, draw_seeds(self._rng, POINT_EPISODES)).mean
        self.points.append((timesteps, round(seconds, 3), mean))
        self._next = timesteps + self._every
        self._began = time.process_time() - seconds
        return mean

    def outcome(self, name, config, solved, timesteps, judge):
        """The run as a record, after its last point."""
        return {
            "name": name,
            "env_id": config.env_id,
            "seed": config.seed,
            "solved": solved,
            "timesteps": timesteps,
            "seconds": round(self.seconds(), 2),
            "mean": judge.best.mean if judge.best else self.points[-1][2],
            "curve": self.points,
        }


def run_fastlander(config):
    """A run by an environment's own defaults, the loop of `Trainer.run` without its files."""
    env = make_training_env(config)
    with contextlib.closing(env), contextlib.closing(Run(config, env, processors=1)) as run:
        curve, solved = Curve(config), False
        for finished in steps(run):
            if finished.scores:
                run.count(finished)
                solved = judge_if_due(run)
            run.follow_schedules()
            ends = solved or run.out_of_budget()
            curve.look(lambda: run.dqn.policy(run.dqn.parameters), run.timesteps, ends)
            if ends:
                break
        return curve.outcome(NAME, config, solved, run.timesteps, run.judge)


class SB3Policy:
    """What `Judge` asks of a DQN: greedy actions and parameters, here of a model of Stable-Baselines3."""

    def __init__(self, model):
        self._net, self.on_gpu = model.q_net, False

    @property
    def parameters(self):
        return torch.nn.utils.parameters_to_vector(self._net.parameters()).detach().numpy()

    @torch.no_grad()
    def greedy(self, obs):
        return self._net(torch.from_numpy(obs)).argmax(1).numpy()


def run_peer(config):
    """A run of Stable-Baselines3's DQN with the zoo's settings, judged as ours is."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.monitor import Monitor

    total, settings = ZOO[config.env_id]
    env = Monitor(gym.make(config.env_id))
    model = DQN("MlpPolicy", env, policy_kwargs={"net_arch": ZOO_NETWORK}, seed=config.seed, device="cpu", **settings)
    policy = SB3Policy(model)
    curve, scores = Curve(config), Scores()
    judge = Judge(config, policy, lambda line: None, processors=1)

    class Judging(BaseCallback):
        solved = False

        def _on_step(self):
            for info in self.locals["infos"]:
                if "episode" in info:
                    scores.add(Finished([info["episode"]["r"]], [info["episode"]["l"]]), self.num_timesteps)
                    if judge.is_due(scores, self.num_timesteps):
                        self.solved = judge.judge(self.num_timesteps)
            mean = curve.look(lambda: policy.greedy, self.num_timesteps)
            if mean is not None and mean >= judge.solved_score and not self.solved:
                self.solved = judge.judge(self.num_timesteps)
            return not self.solved

    judging = Judging()
    model.learn(total, callback=judging)
    curve.look(lambda: policy.greedy, judging.num_timesteps, last=True)
    judge.close()
    env.close()
    return curve.outcome(PEER, config, judging.solved, judging.num_timesteps, judge)


def climbs(exponent, vector_steps=6_250, num_envs=32):
    """Random episodes of MountainCar that reach the top, and all that ended; None repeats no action."""
    rng = np.random.default_rng(0)
    repeated = RepeatedActions(num_envs, 3, exponent or 2.0, np.random.SeedSequence(0))
    reached = ended = 0
    with contextlib.closing(make_vec_env("MountainCar-v0", num_envs)) as env:
        env.reset(seed=0)
        for _ in range(vector_steps):
            random = rng.integers(3, size=num_envs)
            action = random if exponent is None else repeated.act(random, np.ones(num_envs))
            _, _, terminated, truncated, _ = env.step(action)
            reached, ended = reached + terminated.sum(), ended + (terminated | truncated).sum()
    return reached, ended


def read_runs(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def row(runs, env_id, name):
    """A row of the table."""
    own = [run for run in runs if (run["env_id"], run["name"]) == (env_id, name)]
    if not own:
        return None
    solved = [run for run in own if run["solved"]]
    cells = [env_id, name, f"{len(solved)} of {len(own)}"]
    for key, form in (("timesteps", ",.0f"), ("seconds", ".1f")):
        values = [run[key] for run in solved]
        cells.append(f"{np.median(values):{form}} ({max(values):{form}})" if values else "-")
    cells.append(f"{np.median([run['mean'] for run in own]):.1f} ({min(run['mean'] for run in own):.1f})")
    return f"| {' | '.join(cells)} |"


def draw(runs, path):
    """Learning curves by timesteps and by CPU seconds."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    envs = [env_id for env_id in ENV_DEFAULTS if any(run["env_id"] == env_id for run in runs)]
    figure, axes = plt.subplots(2, len(envs), figsize=(3.6 * len(envs), 5.2), layout="constrained", squeeze=False)
    for column, env_id in enumerate(envs):
        for line, (axis, label) in enumerate(((0, "timesteps"), (1, "CPU seconds"))):
            ax = axes[line, column]
            for name, color in ((PEER, "C1"), (NAME, "C0")):
                own = [run for run in runs if (run["env_id"], run["name"]) == (env_id, name)]
                for k, run in enumerate(own):
                    points = np.array(run["curve"])
                    ax.plot(points[:, axis], points[:, 2], color=color, lw=0.9, alpha=0.7, label=None if k else name)
                    ax.plot(points[-1, axis], points[-1, 2], "o" if run["solved"] else "x", color=color, ms=4)
            ax.axhline(gym.spec(env_id).reward_threshold, color="grey", lw=0.8, ls="--")
            ax.set(xlabel=label, title=None if line else env_id)
            ax.grid(alpha=0.3)
            if axis:
                ax.set(xscale="log", xlim=(0.1, None))
        axes[0, column].xaxis.set_major_formatter(lambda value, _: f"{value / 1000:.0f}k")
    axes[0, 0].set_ylabel("greedy return")
    axes[1, 0].set_ylabel("greedy return")
    axes[0, 0].legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=90)


def main():
    """Make the runs that are missing, print the table, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--peer-seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=ENV_DEFAULTS, default=list(ENV_DEFAULTS))
    parser.add_argument("--runs", type=Path, default=None, help="where to keep the runs")
    parser.add_argument("--plot", default=None, help="where to write the learning curves")
    parser.add_argument("--climbs", action="store_true", help="only count how often random actions reach the top")
    arguments = parser.parse_args()
    if arguments.climbs:
        for exponent in (None, 3.0, 2.0, 1.5):
            print("epsilon_zeta {}: {} of {} episodes".format(exponent, *climbs(exponent)), flush=True)
        return
    torch.set_num_threads(1)
    runs = read_runs(arguments.runs)
    made = {(run["name"], run["env_id"], run["seed"]) for run in runs}
    wanted = [(NAME, run_fastlander, env_id, seed) for env_id in arguments.only for seed in range(arguments.seeds)]
    wanted += [(PEER, run_peer, env_id, seed) for seed in range(arguments.peer_seeds) for env_id in arguments.only]
    for name, make_run, env_id, seed in wanted:
        if (name, env_id, seed) in made:
            continue
        record = make_run(Config.preset(env_id=env_id, seed=seed, progress=False, device="cpu"))
        runs.append(record)
        print(
            f"{env_id}, {name}, seed {seed}: {'solved' if record['solved'] else 'not solved'} after "
            f"{record['timesteps']:,} steps, {record['seconds']} s of CPU, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        if arguments.runs:
            with arguments.runs.open("a") as file:
                file.write(json.dumps(record) + "\n")
    print("| environment | | solved | steps until solved | CPU seconds until solved | greedy mean (worst seed) |")
    print("|---|---|---|---|---|---|")
    for env_id in arguments.only:
        for name in (NAME, PEER):
            if line := row(runs, env_id, name):
                print(line)
    if arguments.plot:
        draw(runs, arguments.plot)


if __name__ == "__main__":
    main()
