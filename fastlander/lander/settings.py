"""Settings of single landers, after `set_attr` has made them differ from each other."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastlander.lander.interface import checked_variant
from fastlander.lander.variant import Variant
from fastlander.validation import InputError

NAMES = ("gravity", "enable_wind", "wind_power", "turbulence_power", "_max_episode_steps")
"""The settings that a lander can have of its own, under the names of Gymnasium's `LunarLander` and `TimeLimit`."""
GRAVITY_NOW, WIND_KNOWN, NUM_COLUMNS = 5, 6, 7
"""Columns of the table after those of NAMES: the gravity of the lander's present world, and if it ever had wind."""


class LanderSettings:
    """The settings of N landers of one environment.

    They act when they would in Gymnasium. `LunarLander.reset` makes a new world, so a new gravity acts from a lander's
    next reset on. It also draws where in its pattern the wind begins, so wind acts at once only if the lander has had
    wind before, and from its next reset on otherwise. (There, Gymnasium's own lander fails in its next step.)
    All others act at once.

    Args:
        variant: with which the environment was made.
        gravity: of that variant, not rounded.
        num_envs: N.
    """

    def __init__(self, variant: Variant, gravity: float, num_envs: int) -> None:
        self.continuous = variant.continuous
        row = [gravity, *variant[2:], variant.gravity, variant.enable_wind]
        self.table = np.tile(np.array(row, np.float64), (num_envs, 1))
        """float64[N, NUM_COLUMNS]: the settings of NAMES, then GRAVITY_NOW and WIND_KNOWN."""

    def get(self, name: str) -> tuple[Any, ...]:
        """A setting of each lander."""
        kind = {"enable_wind": bool, "_max_episode_steps": int}.get(name, float)
        return tuple(map(kind, self.table[:, NAMES.index(name)].tolist()))

    def set(self, name: str, values: list[Any]) -> None:
        """Give each lander its value of a setting. ValueError if one is out of range; then nothing changes."""
        table, columns = self.table.copy(), {other: self.get(other) for other in NAMES}
        for i, value in enumerate(values):
            now = {other: column[i] for other, column in columns.items()} | {name: value}
            variant = checked_variant(self.continuous, *now.values())
            table[i, : len(NAMES)] = [now["gravity"], *variant[2:]]
        self.table = table

    def begin(self, fresh: np.ndarray) -> None:
        """Let the settings act that begin with a reset, for the landers in `fresh`, bool[N]."""
        self.table[fresh, GRAVITY_NOW] = self.table[fresh, 0].astype(np.float32)
        self.table[fresh, WIND_KNOWN] = np.maximum(self.table[fresh, WIND_KNOWN], self.table[fresh, 1])

    def groups(self, todo: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The landers in `todo`, bool[N], that have the same settings now: (packed Variant float64[6], bool[N])."""
        packed = np.empty((len(self.table), 6))
        packed[:, 0], packed[:, 1] = self.continuous, self.table[:, GRAVITY_NOW]
        packed[:, 2] = self.table[:, 1] * self.table[:, WIND_KNOWN]
        packed[:, 3:] = self.table[:, 2:5]
        variants, group = np.unique(packed[todo], axis=0, return_inverse=True)
        places = np.flatnonzero(todo)
        for k, variant in enumerate(variants):
            members = np.zeros(len(todo), bool)
            members[places[group.reshape(-1) == k]] = True
            yield variant, members

    def check(self) -> None:
        """ValueError unless `set` and `begin` could have made this table."""
        table = self.table
        flags = table[:, [1, WIND_KNOWN]]
        now = table[:, GRAVITY_NOW]
        falls = (now > -12) & (now < 0) & (now == now.astype(np.float32))
        if not np.isin(flags, (0.0, 1.0)).all() or not falls.all():
            raise InputError("the state of the landers must have settings that landers can have, got others")
        for name in NAMES:
            self.set(name, list(self.get(name)))


def as_list(values: Any, num_envs: int) -> list[Any]:
    """The argument of `set_attr` as one value for each lander. ValueError for a list or tuple of another length."""
    if not isinstance(values, list | tuple):
        return [values] * num_envs
    if len(values) != num_envs:
        raise InputError(
            "Values must be a list or tuple with length equal to the number of environments. "
            f"Got `{len(values)}` values for {num_envs} environments."
        )
    return list(values)
