"""`Judge`: when a run counts as solved, and which of its policies was the best."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from fastlander.config import Config
from fastlander.environments import solved_score
from fastlander.evaluation.candidates import Candidate
from fastlander.evaluation.episodes import evaluate, evaluate_all, make_eval_env
from fastlander.evaluation.evaluation import Evaluation, Judgement, pooled
from fastlander.evaluation.scores import WINDOW, Scores
from fastlander.kernels.processor import available_processors
from fastlander.learner.dqn import DQN
from fastlander.states import Array, Form, NumPyStream, Real, Weights, Whole, check_state, vector
from fastlander.streams import draw_seeds, spawn_streams
from fastlander.validation import InputError

GATE_WINDOW = 50
"""Training episodes whose mean score opens the gate to greedy judging."""
FIRST_PART = 5
"""One in so many of a judgement's episodes is played before the others, where landings are asked for."""
FINALISTS = 5
"""Candidates that are judged a second time."""


class Judge:
    """Decides when a run is solved and remembers the best policy it has judged.

    `Config.solved_by` names the rule:
    "training" (the lecture): the mean of the last 100 training scores reaches `solved_score`.
    "greedy": once the mean of the last 50 training scores passes a gate, the greedy policy plays fresh episodes. It
    passes if the mean reaches `solved_score`, and for the lander if a share of `required_landings` are landings. A pass
    counts when it is confirmed on twice as many other episodes: stopping at the first one would favour lucky draws.
    Where landings are asked for, a fifth of the episodes comes first, and with more than twice the failures that are
    allowed among these the judgement ends.
    "never": the run goes on to the end of its budget. `select` then chooses among its candidates.

    Args:
        config: the settings.
        dqn: whose policy is judged.
        say: takes a line of text about each judgement.
        parameters: of the policy that is judged, as `Parameters.flat`: a moving average of those of `dqn`, in the same
            memory throughout. None is the policy of `dqn` itself.
        processors: how many may be used; this changes no result. None is all that this process may use.
    """

    def __init__(
        self,
        config: Config,
        dqn: DQN,
        say: Callable[[str], None],
        parameters: np.ndarray | None = None,
        processors: int | None = None,
    ) -> None:
        self.config, self.dqn, self.say, self._processors = config, dqn, say, processors
        self.solved_score = solved_score(config)
        self._parameters = parameters
        self._rng = np.random.default_rng(spawn_streams(config.seed).evaluation)
        self._env: VectorEnv | None = None
        self._judged_at = 0
        self._last_mean: float | None = None
        self.judgements: list[Judgement] = []
        """All judgements so far, in order."""
        self.kept: int | None = None
        """Index in `judgements` of the best policy."""
        self.best_parameters: np.ndarray | None = None
        """The best policy's parameters, as `Parameters.flat`."""

    @property
    def best(self) -> Evaluation | None:
        """Greedy episodes of the best policy, if any was judged."""
        return None if self.kept is None else self.judgements[self.kept].evaluation

    def solved_in_training(self, scores: Scores) -> bool:
        """Whether the run is solved by the lecture's rule. Only where `solved_by` is "training"."""
        if self.solved_score is None or self.config.solved_by != "training":
            return False
        return len(scores) >= WINDOW and scores.mean() >= self.solved_score

    def is_due(self, scores: Scores, timesteps: int) -> bool:
        """Whether the greedy policy should be judged now. Only where `solved_by` is "greedy"."""
        if self.solved_score is None or self.config.solved_by != "greedy":
            return False
        if len(scores) < GATE_WINDOW or timesteps - self._judged_at < self.config.eval_interval:
            return False
        return scores.mean(GATE_WINDOW) >= self._gate()

    def judge(self, timesteps: int) -> bool:
        """Play fresh episodes with the greedy policy, and confirm a pass on others; whether it is solved.

        The policy is kept if it is the best so far: one that played more episodes before it failed, or as many with a
        higher mean.
        """
        self._judged_at = timesteps
        evaluation, confirmed = self._look(), False
        self._say("greedy policy", evaluation, timesteps)
        if len(evaluation.returns) == self.config.eval_episodes and self._passes(evaluation):
            others = self._play(2 * self.config.eval_episodes)
            self._say("the same on others", others, timesteps)
            confirmed = self._passes(others)
            evaluation = pooled(evaluation, others)
        best = self.best
        self._remember(
            timesteps,
            evaluation,
            self._judged().copy(),
            keep=confirmed
            or best is None
            or (len(evaluation.returns), evaluation.mean) > (len(best.returns), best.mean),
        )
        return confirmed

    def _remember(self, timesteps: int, evaluation: Evaluation, parameters: np.ndarray, keep: bool) -> None:
        self.judgements.append(Judgement(timesteps, evaluation))
        self._last_mean = evaluation.mean
        if keep:
            self.kept, self.best_parameters = len(self.judgements) - 1, parameters

    def _look(self) -> Evaluation:
        """Play `eval_episodes`, or a fifth of them where these leave little hope for the rest."""
        episodes, share = self.config.eval_episodes, self.config.required_landings
        first = episodes // FIRST_PART if share else 0
        if not first:
            return self._play(episodes)
        look = self._play(first)
        if np.count_nonzero(~look.landings) > round(2 * (1 - share) * first, 9):
            return look
        return pooled(look, self._play(episodes - first))

    def _passes(self, evaluation: Evaluation) -> bool:
        return evaluation.passes(self.solved_score, self.config.required_landings)

    def _play(self, episodes: int) -> Evaluation:
        seeds = draw_seeds(self._rng, episodes)
        if self._env is None:
            self._env = make_eval_env(self.config, self.config.eval_episodes, processors=self._processors)
        policy = self.dqn.greedy
        if self._parameters is not None or self.config.mirror_acting:
            policy = self.dqn.policy(self._judged())
        return evaluate(policy, self._env, seeds)

    def _judged(self) -> np.ndarray:
        """The parameters of the policy that is judged."""
        return self.dqn.parameters if self._parameters is None else self._parameters

    def _say(self, what: str, evaluation: Evaluation, timesteps: int) -> None:
        low, high = evaluation.interval
        landings = f", landings {evaluation.landings.mean():.1%}," if self.config.is_lander else ""
        self.say(
            f"{what}: mean {evaluation.mean:.1f} (95% {low:.1f} to {high:.1f}){landings} "
            f"over {len(evaluation.returns)} fresh episodes after {timesteps:,} steps"
        )

    def select(self, candidates: Sequence[Candidate], timesteps: int) -> bool:
        """Play episodes with all candidates and keep the best; whether it is solved.

        All candidates play the same fresh episodes. The best five of them play twice as many others. The best over both
        plays twice as many again: these alone had no part in the choice, and they say whether the run is solved.
        """
        episodes = self.config.eval_episodes
        first = self._compete(candidates, episodes)
        self.judgements += [Judgement(one.timesteps, e) for one, e in zip(candidates, first, strict=True)]
        best = sorted(range(len(candidates)), key=lambda i: -first[i].mean)[:FINALISTS]
        second = self._compete([candidates[i] for i in best], 2 * episodes)
        both = [pooled(first[i], others) for i, others in zip(best, second, strict=True)]
        chosen = max(range(len(best)), key=lambda k: both[k].mean)
        (evaluation,) = self._compete([candidates[best[chosen]]], 2 * episodes)
        self._remember(timesteps, evaluation, candidates[best[chosen]].parameters, keep=True)
        self._say(f"best of {len(candidates)} candidates", evaluation, timesteps)
        return self._passes(evaluation)

    def _compete(self, candidates: Sequence[Candidate], episodes: int) -> list[Evaluation]:
        """Play the same fresh episodes with each candidate."""
        seeds = draw_seeds(self._rng, episodes)
        with closing(make_eval_env(self.config, episodes, len(candidates), self._processors)) as env:
            # On a GPU one thread launches all.
            processors = (self._processors or available_processors()) if not self.dqn.on_gpu else 1
            policies = [self.dqn.policy(candidate.parameters) for candidate in candidates]
            return evaluate_all(policies, env, seeds, processors)

    def take_last_mean(self) -> float | None:
        """Mean return of the last judgement; None if there was none since the last call."""
        mean, self._last_mean = self._last_mean, None
        return mean

    def get_state(self) -> dict[str, Any]:
        """What was judged so far, for `set_state`."""
        state: dict[str, Any] = {"rng": self._rng.bit_generator.state, "judged_at": self._judged_at}
        state |= {"last_mean": self._last_mean, "kept": self.kept}
        if self.judgements:
            evaluations = [judgement.evaluation for judgement in self.judgements]
            state["timesteps"] = np.array([judgement.timesteps for judgement in self.judgements])
            state["episodes"] = np.array([len(evaluation.returns) for evaluation in evaluations])
            state["evaluations"] = vars(pooled(*evaluations))
        if self.best_parameters is not None:
            state["best_parameters"] = vector(self.best_parameters)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("judge", state, self.state_form(state))
        if "episodes" in state and state["episodes"].sum() != len(state["evaluations"]["returns"]):
            raise InputError("the state of the judge must have as many evaluations as episodes, got other numbers")
        self._rng.bit_generator.state = state["rng"]
        self._judged_at, self._last_mean, self.kept = state["judged_at"], state["last_mean"], state["kept"]
        self.judgements = []
        if "episodes" in state:
            ends = np.cumsum(state["episodes"])[:-1]
            columns = [np.split(state["evaluations"][field.name], ends) for field in dataclasses.fields(Evaluation)]
            for timesteps, *parts in zip(state["timesteps"].tolist(), *columns, strict=True):
                self.judgements.append(Judgement(timesteps, Evaluation(*parts)))
        if "best_parameters" in state:
            self.best_parameters = np.array(state["best_parameters"])

    def state_form(self, state: Any) -> Form:
        """What `set_state` takes, for as many judgements as `state` says that it holds."""
        last_mean, kept = (state.get(name) if isinstance(state, dict) else None for name in ("last_mean", "kept"))
        form: Form = {"rng": NumPyStream(), "judged_at": Whole(), "last_mean": None, "kept": None}
        if last_mean is not None:
            form["last_mean"] = Real(nan=True)
        if isinstance(state, dict) and "episodes" in state:
            form |= {"timesteps": Array(np.int64, ("J",), low=0), "episodes": Array(np.int64, ("J",), low=1)}
            form["evaluations"] = {
                "returns": Array(np.float64, ("E",)),
                "playtimes": Array(np.int64, ("E",), low=0),
                "last_rewards": Array(np.float64, ("E",)),
                "terminated": Array(np.bool_, ("E",)),
                "seeds": Array(np.int64, ("E",), low=0),
            }
        if kept is not None:
            judgements = np.size(state.get("episodes", ()))
            form |= {
                "kept": Whole(high=judgements - 1),
                "best_parameters": Weights(len(self.dqn.parameters), finite=True),
            }
        return form

    def close(self) -> None:
        """Close the environments in which policies were judged."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def _gate(self) -> float:
        if self.config.eval_gate is not None:
            return self.config.eval_gate
        return self.solved_score - 0.2 * abs(self.solved_score)
