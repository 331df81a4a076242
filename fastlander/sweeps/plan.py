"""`Plan`: what a sweep was asked for, checked, and its record in sweep.json."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from fastlander.config import Config, Positive
from fastlander.memory import check_memory
from fastlander.sweeps.objective import Objective
from fastlander.sweeps.race import most_jobs
from fastlander.sweeps.space import Dimension, parse_space
from fastlander.validation import Count, InputError, Range, Seed, check

BYTES_PER_JOB = 2_000
"""Memory that a seed of a batch takes in the process that waits for it, at least."""
JudgeSeeds = Annotated[int, Range(low=2, high=10**6)]
Rounds = tuple[Count, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep does. A wrong value raises ValueError with one line when the Plan is made."""

    config: Config
    """The settings that it begins with. `config.seed` is the first seed of all trials, and that of the sampler."""
    search: Mapping[str, str]
    """The search space in words, as `read_space` gives them."""
    objective: Objective = "steps"
    """What is made better: steps or seconds until solved, or the greedy mean return (which sets solved_by to never)."""
    rounds: Rounds = (2, 4, 8, 16)
    """Seeds that a trial has done after each round of its race."""
    batch: Count = 8
    """Trials that race against each other."""
    trials: Count | None = None
    """Trials, at most."""
    minutes: Positive | None = None
    """Minutes for the search, about: a batch begins if it will probably end in time."""
    judge_seeds: JudgeSeeds = 20
    """Fresh seeds that compare the best settings with those that the sweep began with."""

    def __post_init__(self) -> None:
        for name, hint in PLAN_TYPES.items():
            object.__setattr__(self, name, check(name, hint, getattr(self, name)))
        own = dataclasses.replace(self.config, **({"solved_by": "never"} if self.objective == "return" else {}))
        object.__setattr__(self, "config", own)
        if self.trials is None and self.minutes is None:
            raise InputError("trials or minutes must say when to stop, got neither")
        if list(self.rounds) != sorted(set(self.rounds)):
            raise InputError(f"rounds must be numbers of seeds, each larger than that before, got {self.rounds}")
        if own.tensorboard:
            raise InputError("tensorboard must be off in a sweep, which keeps no files of its runs, got True")
        if own.solved_by == "never" and self.objective != "return":
            raise InputError(f"objective must be return for solved_by never, got {self.objective}")
        jobs = most_jobs(self.batch, self.rounds)
        check_memory("batch", self.batch, (jobs + self.judge_seeds) * BYTES_PER_JOB)
        check("the last seed", Seed, self.judge_from + self.judge_seeds - 1)
        object.__setattr__(self, "space", tuple(parse_space(self.search, own)))

    space: tuple[Dimension, ...] = dataclasses.field(init=False, repr=False, default=())

    @property
    def judge_from(self) -> int:
        """The first of the seeds that judge the best settings: the one after the last seed of the search."""
        return self.config.seed + self.rounds[-1]

    def to_json(self) -> str:
        """The record of sweep.json."""
        record = {name: getattr(self, name) for name in ("search", *PLAN_TYPES)}
        own = dataclasses.asdict(dataclasses.replace(self.config, output_dir=None))
        return json.dumps({**record, "config": own}, indent=2)

    @classmethod
    def from_record(cls, record: Any) -> Self:
        """The plan of a record from sweep.json. ValueError if it is none."""
        if not isinstance(record, dict) or set(record) != {"config", "search", *PLAN_TYPES}:
            raise ValueError("it has other names")
        search, config = record["search"], record["config"]
        texts = isinstance(search, dict) and all(isinstance(words, str) for words in search.values())
        if not texts or not search or not isinstance(config, dict):
            raise ValueError("it has no search space or no settings")
        own = Config.from_json(json.dumps(config))
        return cls(config=own, search=search, **{name: record[name] for name in PLAN_TYPES})


PLAN_TYPES: dict[str, Any] = {
    "objective": Objective,
    "rounds": Rounds,
    "batch": Count,
    "trials": Count | None,
    "minutes": Positive | None,
    "judge_seeds": JudgeSeeds,
}
"""The annotated types of a plan's settings, without those of `Config`."""
