"""Greedy episodes to returns: `evaluate` for a policy, `python -m fastlander.evaluate DIR` for a finished run."""

import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from fastlander.checkpoint import load_model
from fastlander.config import LANDER_IDS, Config
from fastlander.rng import draw_seeds
from fastlander.validation import Count, Natural, check
from fastlander.vector_env import find_spec, make_vec_env

PROG = "fastlander evaluate"
MAX_EVAL_ENVS, MAX_NATIVE_EVAL_ENVS = 16, 128  # environments that play at once


@dataclass(frozen=True)
class Evaluation:
    """What E episodes came to, in the order of their seeds."""

    returns: np.ndarray  # float64[E], sum of rewards
    playtimes: np.ndarray  # int64[E], steps
    last_rewards: np.ndarray  # float64[E], reward of the final step
    terminated: np.ndarray  # bool[E], ended by the environment; False: cut by the time limit

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Sample standard deviation of the returns; nan for a single episode."""
        return float(self.returns.std(ddof=1)) if len(self.returns) > 1 else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95% confidence interval of the mean return (normal approximation; nan for a single episode)."""
        half = statistics.NormalDist().inv_cdf(0.975) * self.std / len(self.returns) ** 0.5
        return self.mean - half, self.mean + half

    @property
    def landings(self) -> np.ndarray:
        """bool[E]: the lander came to rest, for which LunarLander's last reward is +100."""
        return self.terminated & (self.last_rewards == 100)

    @property
    def crashes(self) -> np.ndarray:
        """bool[E]: the lander crashed or flew out of sight, for which LunarLander's last reward is -100."""
        return self.terminated & (self.last_rewards == -100)

    @property
    def timeouts(self) -> np.ndarray:
        """bool[E]: cut by the time limit."""
        return ~self.terminated


def pooled(*evaluations: Evaluation) -> Evaluation:
    """Several evaluations of one policy as one."""
    columns = zip(*(vars(evaluation).values() for evaluation in evaluations), strict=True)
    return Evaluation(*(np.concatenate(column) for column in columns))


def evaluate(policy: Callable[[np.ndarray], np.ndarray], env: VectorEnv, seeds: list[int]) -> Evaluation:
    """Play one episode per seed and record each.

    Every episode that is begun is finished and counted: stopping at the first E to end would favour short ones.

    Args:
        policy: float32[N, obs_size] -> int64[N].
        env: N environments with autoreset DISABLED, N at most len(seeds).
        seeds: E seeds; episode i is what the environment plays from seed i.
    """
    count, n = len(seeds), env.num_envs
    evaluation = Evaluation(np.zeros(count), np.zeros(count, np.int64), np.zeros(count), np.zeros(count, bool))
    episode = np.arange(n)  # which episode each environment plays; count and above: one too many, not recorded
    begun, left = n, count
    returns, playtimes = np.zeros(n), np.zeros(n, np.int64)
    obs, _ = env.reset(seed=seeds[:n])
    while left:
        obs, reward, terminated, truncated, _ = env.step(policy(obs.astype(np.float32)))
        returns += reward
        playtimes += 1
        ended = terminated | truncated
        if not ended.any():
            continue
        new_seeds: list[int | None] = [None] * n
        for i in np.flatnonzero(ended):
            if episode[i] < count:
                evaluation.returns[episode[i]] = returns[i]
                evaluation.playtimes[episode[i]] = playtimes[i]
                evaluation.last_rewards[episode[i]] = reward[i]
                evaluation.terminated[episode[i]] = terminated[i]
                left -= 1
            episode[i] = begun
            new_seeds[i] = seeds[begun] if begun < count else seeds[0]
            begun += 1
        returns[ended], playtimes[ended] = 0, 0
        obs, _ = env.reset(seed=new_seeds, options={"reset_mask": ended})
    return evaluation


def make_eval_env(config: Config, episodes: int) -> VectorEnv:
    """Environments for `evaluate`, with the environment's own time limit, or the training one where it has none."""
    limit = None if find_spec(config.env_id).max_episode_steps else config.max_episode_steps
    native = config.env_id in LANDER_IDS and config.backend in (None, "native")
    return make_vec_env(
        config.env_id,
        min(episodes, MAX_NATIVE_EVAL_ENVS if native else MAX_EVAL_ENVS),
        backend=config.backend,
        autoreset_mode=AutoresetMode.DISABLED,
        max_episode_steps=limit,
    )


def evaluate_run(directory: str | Path, episodes: int = 100, seed: int = 0) -> tuple[str, Evaluation]:
    """Greedy episodes of the policy a run left behind: (env id, evaluation). ValueError if there is none."""
    episodes = check("episodes", Count, episodes)
    seed = check("seed", Natural, seed)
    q_network, config = load_model(directory)
    with closing(make_eval_env(config, episodes)) as env:
        seeds = draw_seeds(np.random.default_rng(seed), episodes)
        return config.env_id, evaluate(q_network.greedy, env, seeds)


def describe(env_id: str, evaluation: Evaluation) -> str:
    """The evaluation in a few lines of text."""
    low, high = evaluation.interval
    lines = [
        f"{'episodes':<22}{len(evaluation.returns)}",
        f"{'mean return':<22}{evaluation.mean:.2f}",
        f"{'standard deviation':<22}{evaluation.std:.2f}",
        f"{'95% confidence':<22}{low:.2f} to {high:.2f}",
        f"{'mean playtime':<22}{evaluation.playtimes.mean():.1f} steps",
    ]
    if env_id in LANDER_IDS:
        lines += [_share("landings", evaluation.landings), _share("crashes", evaluation.crashes)]
    else:
        lines += [_share("terminations", evaluation.terminated)]
    return "\n".join([*lines, _share("time-outs", evaluation.timeouts)])


def _share(name: str, which: np.ndarray) -> str:
    return f"{name:<22}{which.mean():.1%}"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line to a printed evaluation; exit status 0, or 2 for bad input."""
    from fastlander.command_line import Positional, exit_status, parse

    def command(directory: Positional[str], episodes: Count = 100, seed: Natural = 0) -> int:
        """Play greedy episodes with the policy of a finished run and print how they went.

        Args:
            directory: Run directory, with a model.safetensors.
            episodes: Episodes to play.
            seed: Seed of the episodes.
        """
        print(describe(*evaluate_run(directory, episodes, seed)))
        return 0

    hints = {"episodes": Count, "seed": Natural}
    return exit_status(PROG, lambda: parse(command, argv, PROG, hints))


if __name__ == "__main__":
    sys.exit(main())
