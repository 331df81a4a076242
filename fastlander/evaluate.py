"""`python -m fastlander.evaluate DIR`: play greedy episodes with the policy of a finished run."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastlander.config import Backend
from fastlander.memory import check_memory
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import Count, Seed, check, check_path

if TYPE_CHECKING:
    from fastlander.evaluation.evaluation import Evaluation

PROG = "fastlander evaluate"


def evaluate_run(
    directory: str | Path,
    episodes: int = 100,
    seed: int = 0,
    backend: Backend | None = None,
    *,
    imports: Sequence[str] = (),
) -> "tuple[str, Evaluation]":
    """Play greedy episodes with the policy of a run: (env id, evaluation).

    Args:
        directory: run directory, with a model.safetensors, or a model on a hub.
        episodes: number of episodes.
        seed: of the episodes.
        backend: what steps the environments, as in `make_vec_env`. None is the backend of the run.
        imports: modules that may be imported, where the run's environment is "module:id". They are imported.

    Raises:
        ValueError: the directory has no model, or one that does not fit its environment; its environment needs a module
            that is not in `imports`; a number is out of range; or so many episodes do not fit in memory.
    """
    from fastlander.evaluation.episodes import evaluate, make_eval_env
    from fastlander.evaluation.evaluation import BYTES_PER_EPISODE
    from fastlander.learner.fused.policy import FusedPolicy  # here, so that --help does not wait for torch and numba
    from fastlander.storage.model_file import load_parameters
    from fastlander.streams import draw_seeds

    episodes, seed = check("episodes", Count, episodes), check("seed", Seed, seed)
    check_memory("episodes", episodes, episodes * BYTES_PER_EPISODE)
    network, config = load_parameters(check_path("directory", directory), imports)
    config = replace(config, backend=backend or config.backend)
    with closing(make_eval_env(config, episodes)) as env:
        seeds = draw_seeds(np.random.default_rng(seed), episodes)
        return config.env_id, evaluate(FusedPolicy.of(network).greedy, env, seeds)


def main(argv: Sequence[str] | None = None) -> int:
    """Print an evaluation; exit status as of `exit_status`."""
    from fastlander.arguments import Directory, Imports, parse

    def command(
        directory: Directory, episodes: Count = 100, seed: Seed = 0, backend: Backend | None = None,
        imports: Imports = (),
    ) -> int:  # fmt: skip
        """Play greedy episodes with the policy of a finished run and print their statistics.

        Args:
            directory: Run directory, with a model.safetensors, or a model on a hub (owner/name).
            episodes: Number of episodes.
            seed: Seed of the episodes.
            backend: native (our lander), sync (Gymnasium's) or async (a process each). None is the backend of the run.
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        from fastlander.evaluation.evaluation import describe

        print_lines(describe(*evaluate_run(directory, episodes, seed, backend, imports=imports)))
        return 0

    hints = {"episodes": Count, "seed": Seed, "backend": Backend | None}
    return exit_status(PROG, lambda: parse(command, argv, PROG, hints))


if __name__ == "__main__":
    sys.exit(main())
