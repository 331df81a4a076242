"""Every setting of a run, said once: its default, its range, its help text, and the record saved with a run."""

import dataclasses
import json
import os
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from fastlander.presets import ENV_DEFAULTS, PRESETS
from fastlander.validation import Count, InputError, Natural, Range, Seed, StepLimit, check, check_path, quoted, shown

LANDER_ID = "LunarLander-v3"
"""Gymnasium's own lander with discrete actions."""
LANDER_IDS = (LANDER_ID, f"fastlander/{LANDER_ID}", f"fastlander:fastlander/{LANDER_ID}")
"""Every id of that lander. `is_lander` asks for them."""
TRAINING_LIMIT = 500
"""Steps after which a training episode of the lander is cut, and of environments that have no limit of their own."""
LANDER_KWARGS = ("gravity", "enable_wind", "wind_power", "turbulence_power")
"""What `Config.env_kwargs` can set on the lander."""
OWN_KWARGS = (
    "id", "env_id", "num_envs", "max_episode_steps", "autoreset_mode", "render_mode", "vectorization_mode",
    "vector_kwargs", "wrappers", "backend", "disable_env_checker",
)  # fmt: skip
"""Arguments of `gymnasium.make` and `make_vec` that a run gives itself, and so `Config.env_kwargs` cannot set."""
WITHOUT_EFFECT = ("output_dir", "progress", "tensorboard", "checkpoint_interval")
"""Settings that do not change the result of a run. They say where it is written, what it shows, how often it saves."""
ADDED_LATER: dict[str, Any] = {
    "epsilon_zeta": None, "env_kwargs": {}, "solved_landings": 0.0, "judged_average": 0,
    "fuel_weight": 1.0, "distance_weight": 1.0,
}  # fmt: skip
"""Settings that earlier versions had none of, with the values by which a run is one of theirs.

Model files and checkpoints do not name a setting that has this value, and a record without it means this value.
"""
LANDER_ONLY: dict[str, Any] = {
    "mirror_augmentation": False, "mirror_acting": False,
    "fuel_weight": 1.0, "distance_weight": 1.0,
}  # fmt: skip
"""Settings that other environments than the lander cannot use, with the values that they have there."""
LANDINGS = 0.97
"""Share of landings that counts as solved for the lander, if nothing else is set."""

Positive = Annotated[float, Range(low=0, low_open=True, high_open=True)]
Fraction = Annotated[float, Range(low=0, high=1)]
Finite = Annotated[float, Range(low_open=True, high_open=True)]
Weight = Annotated[float, Range(low=0, high=100)]
Beta = Annotated[float, Range(low=0, high=1, high_open=True)]
Backend = Literal["native", "sync", "async"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one training run. A wrong value raises ValueError with one line when the Config is made.

    The defaults are those that solved LunarLander fastest. `Config.preset("lecture")` gives the lecture's numbers, and
    `Config.preset(env_id="CartPole-v1")` the defaults of another environment (`ENV_DEFAULTS` has those there are).
    A timestep is one step of one environment. A vector step makes `num_envs` timesteps.
    """

    env_id: str = "LunarLander-v3"
    """Gymnasium id of the environment. Its observations are a flat Box, its actions are Discrete."""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of the environment itself, such as enable_wind=True gravity=-3.7. Values are Python literals."""
    backend: Backend | None = None
    """native (our lander), sync (Gymnasium's), async (a process each). None is native for LunarLander, else sync."""
    num_envs: Count = 32
    """Environments that step together."""
    seed: Seed = 0
    """Seed of every random stream. The same seed gives the same run."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network is: cpu, cuda, or auto, which takes a CUDA GPU if there is one."""
    output_dir: str | None = None
    """Run directory, new or empty. None makes runs/<env>-seed<seed>-<time>."""
    progress: bool = True
    """Show progress: a live display on a terminal, a line every log_episodes episodes elsewhere."""
    tensorboard: bool = False
    """Also write the columns of metrics.csv as TensorBoard event files (needs the extra fastlander[tensorboard])."""

    total_timesteps: Count = 1_000_000
    """Timesteps to train, at most, rounded up to a whole vector step. The run stops there, solved or not."""
    max_episodes: Count | None = None
    """Finished training episodes, at most. None is no limit."""
    max_episode_steps: StepLimit | None = None
    """Steps of a training episode, at most. None is the environment's own limit; 500 for the lander or without one."""
    solved_by: Literal["greedy", "training", "never"] = "greedy"
    """What must reach solved_score to end the run: greedy (fresh greedy episodes), training (the last 100) or never."""
    solved_score: Finite | None = None
    """Mean return that counts as solved. None takes the environment's reward threshold (200 for the lander)."""
    solved_landings: Fraction | None = None
    """Share of landings that counts as solved, beside the mean. None is 0.97 for the lander, and 0 elsewhere."""
    judged_average: Natural = 4_096
    """Timesteps of the moving average of the weights that is judged and kept. 0 judges the weights themselves."""
    eval_gate: Finite | None = None
    """Mean of the last 50 training scores that starts greedy judging. None is a fifth below solved_score."""
    eval_episodes: Count = 100
    """Fresh greedy episodes in one judgement."""
    eval_interval: Count = 5_000
    """Timesteps between two judgements, at least."""
    candidates: Natural = 0
    """Averages of the weights that compete on fresh episodes at the end. 0 keeps the best judged policy of the run."""
    log_episodes: Count = 10
    """Finished episodes between two rows of metrics.csv, and between two progress lines."""
    checkpoint_interval: Positive | None = 5.0
    """Seconds between two checkpoints for --resume, at least. None writes one at the end only."""

    hidden_sizes: tuple[Count, ...] = (128, 64, 32)
    """Widths of the hidden layers."""
    buffer_size: Count = 30_000
    """Transitions the replay buffer holds."""
    learning_starts: Count = 2_000
    """Transitions in the replay buffer before the first update."""
    batch_size: Count = 64
    """Transitions sampled for one update."""
    train_freq: Count = 16
    """Timesteps per update."""
    learning_rate: Positive = 3e-3
    """Adam's step size."""
    learning_rate_end: Positive | None = None
    """Adam's step size at total_timesteps, reached linearly. None keeps learning_rate throughout."""
    adam_betas: tuple[Beta, Beta] = (0.9, 0.99)
    """Adam's decay rates of the first and second moment."""
    loss: Literal["huber", "mse"] = "huber"
    """Loss of the temporal-difference error: Huber (with its corner at 1) or mean squared error."""
    max_grad_norm: Positive | None = 10.0
    """Largest L2 norm of the gradients, which are scaled down to it. None never clips."""
    double_dqn: bool = True
    """The online network picks the next action and the target network values it (van Hasselt et al. 2016)."""
    n_step: Count = 3
    """Rewards summed before bootstrapping."""
    gamma: Fraction = 0.997
    """Discount per step."""
    tau: Annotated[float, Range(low=0, low_open=True, high=1)] = 0.03
    """Share of the online network mixed into the target network at each target update. 1 copies it."""
    target_update_freq: Count = 1
    """Updates between two target updates. With 1 here and tau 1 there is no separate target network."""
    reward_scale: Positive = 0.2
    """Factor on the rewards inside the update."""
    fuel_weight: Weight = 1.0
    """Weight of the fuel in the rewards that are learned from (LunarLander only). 1 is the game's; scores keep that."""
    distance_weight: Weight = 1.0
    """The same for the horizontal distance from the middle of the pad."""
    mirror_augmentation: bool | None = None
    """Reflect half of each batch left to right (LunarLander only). None is on for LunarLander and off for others."""
    mirror_acting: bool = False
    """Judged policies act on the mean of values for lander and mirror image. The saved network is twice as wide."""

    epsilon_schedule: Literal["linear", "per-episode"] = "linear"
    """linear: to epsilon_end over epsilon_timesteps. per-episode: by the factor epsilon_decay after each episode."""
    epsilon_start: Fraction = 1.0
    """Share of random actions at the start."""
    epsilon_end: Fraction = 0.05
    """Lowest share of random actions."""
    epsilon_timesteps: Count = 10_000
    """Timesteps that the linear schedule takes."""
    epsilon_decay: Fraction = 0.995
    """Factor on epsilon after each episode, for the per-episode schedule."""
    per_env_epsilon: bool = True
    """Environment i of N explores with epsilon**(1 + 2 i / (N - 1)), as in Ape-X (Horgan et al. 2018)."""
    epsilon_zeta: Annotated[float, Range(low=1, low_open=True, high_open=True)] | None = None
    """Exponent of the zeta distribution by which random actions repeat (Dabney et al. 2021). None repeats none."""

    def __post_init__(self) -> None:
        if self.output_dir is not None:
            object.__setattr__(self, "output_dir", os.fspath(check_path("output_dir", self.output_dir)))
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
        self._check_env_kwargs()
        if self.solved_landings and not self.is_lander:
            got = f"{self.solved_landings:g} (only {LANDER_ID} lands)"
            raise InputError(f"solved_landings must be 0 or None for env_id {self.env_id!r}, got {got}")
        if self.backend == "native" and not self.is_lander:
            raise InputError(f"backend must be sync or async for env_id {self.env_id!r}, got native")
        for name, off in LANDER_ONLY.items():
            value = getattr(self, name)
            if value is not None and value != off and not self.is_lander:
                allowed = "off" if isinstance(off, bool) else f"{off:g}"
                got = f"{value} (it knows only {LANDER_ID})"
                raise InputError(f"{name} must be {allowed} for env_id {self.env_id!r}, got {got}")

    def _check_env_kwargs(self) -> None:
        own = [name for name in OWN_KWARGS if name in self.env_kwargs]
        if own:
            raise InputError(f"env_kwargs must be settings of the environment itself, got {own[0]}, which a run sets")
        others = [name for name in self.env_kwargs if name not in LANDER_KWARGS]
        if self.is_lander and others:
            words = ", ".join(LANDER_KWARGS)
            raise InputError(f"env_kwargs must be of {words} for {LANDER_ID}, got {shown(others[0])}")

    @property
    def is_lander(self) -> bool:
        """Whether the environment is LunarLander with discrete actions, Gymnasium's or this package's."""
        return is_lander(self.env_id)

    @property
    def is_native(self) -> bool:
        """Whether the environment is this package's own lander."""
        return self.is_lander and self.backend in (None, "native")

    @property
    def mirrors(self) -> bool:
        """Whether updates reflect half of each batch. A `mirror_augmentation` of None means yes for the lander.

        Wind changes nothing in that: observations do not show it, and it blows left as often as right. Its force at
        index k is odd in k, and k begins anywhere in a range around 0; 1,100 steps later it is the reverse within 1%.
        """
        return self.is_lander if self.mirror_augmentation is None else self.mirror_augmentation

    @property
    def required_landings(self) -> float:
        """The share of landings that counts as solved. None in `solved_landings` asks for them of the lander only."""
        if self.solved_landings is not None:
            return self.solved_landings
        return LANDINGS if self.is_lander and self.solved_by != "training" else 0.0

    @property
    def separate_target(self) -> bool:
        """Whether the target network is another one than the online network."""
        return self.tau < 1 or self.target_update_freq > 1

    @classmethod
    def preset(cls, name: str = "default", **changes: Any) -> Self:
        """The settings of a preset, some of them changed.

        Args:
            name: default, best, finest or lecture. An environment in `ENV_DEFAULTS` has its own default, and no other
                preset.
            **changes: settings, `env_id` among them.

        Raises:
            ValueError: there is no such preset for this environment, or no such setting.
        """
        if name not in PRESETS:
            raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        own = env_defaults(changes.get("env_id", LANDER_ID))
        if own is not None and name != "default":
            env_id = changes["env_id"]
            raise InputError(f"preset must be default for env_id {env_id!r}, got {name!r} (which is for {LANDER_ID})")
        settings = dict(own or PRESETS[name])
        if not is_lander(changes.get("env_id", LANDER_ID)):
            settings = {name: value for name, value in settings.items() if name not in LANDER_ONLY}
        return cls(**{**settings, **known_settings(changes)})

    def origin(self) -> str:
        """Whose defaults these settings are and which of them differ, as a line for people."""
        own = env_defaults(self.env_id)
        bases = [LANDER_ID] if own is None else [self.env_id, LANDER_ID]
        changes = {base: self._changes(type(self).preset(env_id=base)) for base in bases}
        base = min(bases, key=lambda base: len(changes[base]))
        whose = "its own defaults" if base == self.env_id else f"the defaults of {LANDER_ID}"
        changed = ", ".join(f"{name} {value}" for name, value in changes[base].items())
        line = f"{self.env_id} with {whose}{', but ' * bool(changed)}{changed}"
        if own is not None and base == LANDER_ID:
            line += f" (Config.preset(env_id={self.env_id!r}) has its own)"
        return line

    def _changes(self, base: Self) -> dict[str, Any]:
        """The settings that decide the result and are others than those of `base`, but for env_id and seed."""
        names = [name for name in setting_types() if name not in ("env_id", "seed", *WITHOUT_EFFECT)]
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(base, name)}

    def to_json(self) -> str:
        """Every setting, as a JSON object with a key per field."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def result_settings(self) -> dict[str, Any]:
        """The settings that decide the result of a run, as JSON gives them back: all but those `WITHOUT_EFFECT`.

        A model file and a checkpoint carry these, so that equal runs leave equal files wherever they are written. The
        lander's limit of steps is among them as a number, as in the files of earlier versions.
        """
        settings = json.loads(self.to_json())
        if self.is_lander and self.max_episode_steps is None:
            settings["max_episode_steps"] = TRAINING_LIMIT
        settings["solved_landings"] = self.required_landings
        left_out = [*WITHOUT_EFFECT, *(name for name, value in ADDED_LATER.items() if settings[name] == value)]
        return {name: value for name, value in settings.items() if name not in left_out}

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The Config of a JSON object. A setting that it does not name has its default, or that of `ADDED_LATER`.

        Raises:
            ValueError: the text is no JSON object, or has a setting or a value that Config does not take.
        """
        try:
            record = json.loads(text)
        except (
            ValueError,
            RecursionError,
        ) as error:  # also where numbers or nests of lists are too long
            got = f"text that is not JSON ({quoted(error)})"
            raise InputError(f"settings must be a JSON object, got {got}") from None
        if not isinstance(record, dict):
            raise InputError(f"settings must be a JSON object, got {type(record).__name__}")
        return cls(**{**ADDED_LATER, **known_settings(record)})


def is_lander(env_id: str) -> bool:
    """Whether this id is of LunarLander with discrete actions, Gymnasium's or this package's."""
    return env_id in LANDER_IDS


def env_defaults(env_id: Any) -> dict[str, Any] | None:
    """The row of `ENV_DEFAULTS` for an environment; None where it has none and begins with the lander's."""
    return ENV_DEFAULTS.get(env_id) if isinstance(env_id, str) else None


def current_env_id(env_id: str, stacklevel: int) -> str:
    """`env_id`, but LunarLander-v3 and a warning for LunarLander-v2, which Gymnasium no longer has.

    Args:
        env_id: of an environment.
        stacklevel: as for `warnings.warn`, so that the warning names the caller's line.
    """
    if env_id != "LunarLander-v2":
        return env_id
    warnings.warn(
        f"LunarLander-v2 is no longer in Gymnasium: using {LANDER_ID}, its successor",
        UserWarning,
        stacklevel=stacklevel,
    )
    return LANDER_ID


def setting_types() -> dict[str, Any]:
    """Each setting's annotated type, in the order of `Config`."""
    hints = typing.get_type_hints(Config, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(Config)}


def setting_of(settings: Mapping[str, Any], name: str) -> Any:
    """A setting in `Config.result_settings`, which leaves out one that has the value of `ADDED_LATER`."""
    return settings.get(name, ADDED_LATER.get(name))


def known_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with its lists made tuples. ValueError if Config has no field for one of them."""
    types_ = setting_types()
    for name in settings:
        if name not in types_:
            raise InputError(f"there is no setting named {shown(name)}; Config documents those there are")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
