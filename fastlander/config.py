"""Every setting of a run, once: defaults, command line, help text, validation, and the record saved with the run."""

import dataclasses
import json
import os
import typing
import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from fastlander.validation import Count, InputError, Natural, Range, check

LANDER_IDS = ("LunarLander-v3", "fastlander/LunarLander-v3", "fastlander:fastlander/LunarLander-v3")
"""Environment ids of the lander with discrete actions, which `mirror_augmentation` knows how to reflect."""


Positive = Annotated[float, Range(low=0, low_open=True, high_open=True)]
Fraction = Annotated[float, Range(low=0, high=1)]
Finite = Annotated[float, Range(low_open=True, high_open=True)]
Beta = Annotated[float, Range(low=0, high=1, high_open=True)]
Backend = Literal["native", "sync", "async"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one training run. Validated at construction: a wrong value raises ValueError with one line.

    The defaults are those that solved LunarLander fastest. `Config.preset("lecture")` gives the lecture's numbers.
    A timestep is one step of one environment; a vector step makes `num_envs` of them.
    """

    env_id: str = "LunarLander-v3"
    """Gymnasium id of the environment: flat Box observations, Discrete actions."""
    backend: Backend | None = None
    """What steps the environments: the native lander, or Gymnasium's SyncVectorEnv (one process) or AsyncVectorEnv (a
    process each); None is native for LunarLander, sync for others."""
    num_envs: Count = 32
    """Environments stepped together."""
    seed: Natural = 0
    """Seed of every random stream of the run; the same seed gives the same run."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network lives; auto is a CUDA GPU where there is one."""
    output_dir: str | None = None
    """Run directory, new or empty; None makes runs/<env>-seed<seed>-<time>."""
    progress: bool = True
    """Show progress: a live display on a terminal, else a line every `log_episodes` episodes."""
    tensorboard: bool = False
    """Write the columns of metrics.csv as TensorBoard event files too (needs the extra fastlander[tensorboard])."""

    total_timesteps: Count = 1_000_000
    """Step budget in timesteps, rounded up to a whole vector step; the run stops there even if not solved."""
    max_episodes: Count | None = None
    """Stop after so many finished training episodes; None for no limit."""
    max_episode_steps: Count = 500
    """Training episodes are cut (truncated) after so many steps; a cut episode still bootstraps."""
    solved_by: Literal["greedy", "training", "never"] = "greedy"
    """What ends the run early. greedy: judged over fresh greedy episodes and confirmed on others; training: mean of
    the last 100 scores; never: nothing."""
    solved_score: Finite | None = None
    """Mean score that counts as solved; None takes the environment's own reward threshold (200 for the lander)."""
    eval_gate: Finite | None = None
    """Greedy judging waits until the last 50 training scores average this; None is a fifth below solved_score."""
    eval_episodes: Count = 100
    """Fresh greedy episodes in one judgement."""
    eval_interval: Count = 5_000
    """Timesteps between two judgements, at least."""
    candidates: Natural = 0
    """Averages of the weights, from the last 30% of total_timesteps, that compete at the end on fresh episodes; 0 keeps
    the policy that was judged best during the run."""
    log_episodes: Count = 10
    """Finished episodes between two rows of metrics.csv (and two progress lines)."""
    checkpoint_interval: Positive | None = 5.0
    """Seconds between two checkpoints that --resume goes on from, at least; None writes none until the run ends."""

    hidden_sizes: tuple[Count, ...] = (128, 64, 32)
    """Widths of the hidden layers."""
    buffer_size: Count = 30_000
    """Transitions the replay buffer holds."""
    learning_starts: Count = 2_000
    """Transitions in the replay buffer before the first update."""
    batch_size: Count = 64
    """Transitions sampled for one update."""
    train_freq: Count = 32
    """Timesteps per update."""
    learning_rate: Positive = 3e-3
    """Adam's step size."""
    learning_rate_end: Positive | None = None
    """Adam's step size at total_timesteps, reached linearly; None keeps learning_rate throughout."""
    adam_betas: tuple[Beta, Beta] = (0.9, 0.99)
    """Adam's decay rates of the first and second moment."""
    loss: Literal["huber", "mse"] = "huber"
    """Loss of the temporal-difference error (Huber with its corner at 1)."""
    max_grad_norm: Positive | None = 10.0
    """Gradients are scaled down to this L2 norm; None never clips."""
    double_dqn: bool = True
    """The online network picks the next action, the target network values it (van Hasselt et al. 2016)."""
    n_step: Count = 5
    """Rewards summed before bootstrapping."""
    gamma: Fraction = 0.995
    """Discount per step."""
    tau: Annotated[float, Range(low=0, low_open=True, high=1)] = 0.02
    """Share of the online network mixed into the target network at each target update; 1 copies it."""
    target_update_freq: Count = 1
    """Updates between two target updates; with tau 1, freq 1 means no separate target network."""
    reward_scale: Positive = 0.2
    """Rewards are multiplied by this inside the update."""
    mirror_augmentation: bool | None = None
    """Reflect half of each batch left to right (LunarLander only); None is on for LunarLander, off elsewhere."""
    mirror_acting: bool = False
    """The candidates choose by the mean of their values for the lander and for its mirror image (LunarLander only).
    The model saved is then a plain network twice as wide."""

    epsilon_schedule: Literal["linear", "per-episode"] = "linear"
    """linear: from epsilon_start to epsilon_end over epsilon_timesteps; per-episode: times epsilon_decay each."""
    epsilon_start: Fraction = 1.0
    """Share of random actions at the start."""
    epsilon_end: Fraction = 0.03
    """Share of random actions that exploration never falls below."""
    epsilon_timesteps: Count = 10_000
    """Timesteps of the linear schedule."""
    epsilon_decay: Fraction = 0.995
    """Factor per finished episode of the per-episode schedule."""
    per_env_epsilon: bool = True
    """Environment i of N explores with epsilon**(1 + 2 i / (N - 1)), as in Ape-X (Horgan et al. 2018)."""

    def __post_init__(self) -> None:
        if isinstance(self.output_dir, os.PathLike):
            object.__setattr__(self, "output_dir", os.fspath(self.output_dir))
        for name, hint in setting_types().items():
            object.__setattr__(self, name, check(name, hint, getattr(self, name)))
        object.__setattr__(self, "env_id", current_env_id(self.env_id, stacklevel=4))
        self._check_combinations()

    def _check_combinations(self) -> None:
        for name in ("batch_size", "learning_starts", "n_step"):
            if getattr(self, name) > self.buffer_size:
                got = f"{getattr(self, name)} with buffer_size {self.buffer_size}"
                raise InputError(f"{name} must be at most buffer_size, got {got}")
        if self.learning_rate_end is not None and self.learning_rate_end > self.learning_rate:
            got = f"{self.learning_rate_end:g} with learning_rate {self.learning_rate:g}"
            raise InputError(f"learning_rate_end must be at most learning_rate, got {got}")
        if self.epsilon_end > self.epsilon_start:
            got = f"{self.epsilon_end:g} with epsilon_start {self.epsilon_start:g}"
            raise InputError(f"epsilon_end must be at most epsilon_start, got {got}")
        if self.backend == "native" and self.env_id not in LANDER_IDS:
            raise InputError(f"backend must be sync or async for env_id {self.env_id!r}, got native")
        for name in ("mirror_augmentation", "mirror_acting"):
            if getattr(self, name) and self.env_id not in LANDER_IDS:
                raise InputError(
                    f"{name} must be off for env_id {self.env_id!r}, got True (it knows only {LANDER_IDS[0]})"
                )
        if self.mirror_acting and not self.candidates:
            raise InputError("mirror_acting must be off without candidates (as --preset best has them), got True")

    @property
    def mirrors(self) -> bool:
        """Whether updates reflect half of each batch: `mirror_augmentation` with None resolved."""
        return self.env_id in LANDER_IDS if self.mirror_augmentation is None else self.mirror_augmentation

    @property
    def separate_target(self) -> bool:
        """Whether there is a target network apart from the online one."""
        return self.tau < 1 or self.target_update_freq > 1

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """The named preset with some settings changed. ValueError if there is no such preset or setting."""
        if name not in PRESETS:
            raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls(**{**PRESETS[name], **known_settings(changes)})

    def to_json(self) -> str:
        """The settings as a JSON object, one key per field."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`. ValueError if the text is no record of a run."""
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"settings must be a JSON object, got text that is not JSON ({error})") from None
        if not isinstance(record, dict):
            raise InputError(f"settings must be a JSON object, got {type(record).__name__}")
        return cls(**known_settings(record))


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # The best lander of two million steps. Plain MSE on small rewards sees rare crashes, which Huber loss is blind to.
    "best": {
        "total_timesteps": 2_000_000,
        "solved_by": "never",
        "eval_episodes": 250,
        "candidates": 8,
        "log_episodes": 100,
        "buffer_size": 150_000,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "learning_rate_end": 1e-5,
        "adam_betas": (0.9, 0.999),
        "loss": "mse",
        "double_dqn": False,
        "n_step": 8,
        "tau": 0.005,
        "reward_scale": 0.02,
    },
    # The lecture: one update per transition once 5,000 are stored, the target from the network itself, plain MSE.
    "lecture": {
        "buffer_size": 5_000,
        "learning_starts": 5_000,
        "batch_size": 64,
        "train_freq": 1,
        "learning_rate": 1e-4,
        "adam_betas": (0.9, 0.999),
        "loss": "mse",
        "max_grad_norm": None,
        "double_dqn": False,
        "n_step": 1,
        "gamma": 0.99,
        "tau": 1.0,
        "target_update_freq": 1,
        "reward_scale": 1.0,
        "mirror_augmentation": False,
        "epsilon_schedule": "per-episode",
        "epsilon_end": 0.0,
        "per_env_epsilon": False,
        "max_episodes": 2_000,
        "solved_by": "training",
    },
}
"""What each preset changes of the defaults."""


def current_env_id(env_id: str, stacklevel: int) -> str:
    """Gymnasium's LunarLander-v2 is gone: it becomes v3, with a warning. Every other id stays."""
    if env_id != "LunarLander-v2":
        return env_id
    warnings.warn(
        "LunarLander-v2 is no longer in Gymnasium: using LunarLander-v3, its successor",
        UserWarning,
        stacklevel=stacklevel,
    )
    return "LunarLander-v3"


def setting_types() -> dict[str, Any]:
    """Each setting's annotated type, in the order of `Config`."""
    hints = typing.get_type_hints(Config, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(Config)}


def known_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` unchanged if `Config` has a field for each. ValueError otherwise; lists become tuples."""
    types_ = setting_types()
    for name in settings:
        if name not in types_:
            raise InputError(f"there is no setting named {name!r}; Config documents those there are")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
