"""What a saved state of `LunarLanderVectorEnv` may contain. `set_state` takes nothing else.

Kernels check nothing: an edge or a body that does not exist, or more contacts than there are pairs, makes them read and
write memory that is not theirs. So every number has its range here. What follows from other numbers (observations,
ended episodes, the rounded terrain) must also be what follows. This file is not beside the rows (`physics.state`),
because then each change of a range would compile all kernels again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode

import fastlander.physics.state as rows
from fastlander.lander.exchange import OBSERVATION_SIZE
from fastlander.lander.game import H, observe
from fastlander.lander.interface import SEED_DIGITS
from fastlander.lander.pcg64 import start_stream
from fastlander.lander.settings import NUM_COLUMNS, WIND_KNOWN, LanderSettings
from fastlander.lander.variant import Variant, pack_variant
from fastlander.physics.bodies import LANDER_CENTER_Y, MAX_CONTACTS, NUM_BODIES, NUM_EDGES
from fastlander.physics.constants import MAX_SUB_STEPS
from fastlander.physics.state import State, memory_size, unpack
from fastlander.states import Array, Form, check_state
from fastlander.validation import InputError

UNKNOWN_SEED = "-1"
"""As Gymnasium's `np_random_seed` for a generator that the user set."""


class SavedState(NamedTuple):
    """A checked state of N landers."""

    memory: np.ndarray  # uint8[memory_size(N)]
    obs: np.ndarray  # float32[N, OBSERVATION_SIZE]
    ended: np.ndarray  # bool[N]
    ready: bool
    seeds: list[int] | None
    settings: LanderSettings | None


class Rows(NamedTuple):
    """Rows of an array that have one range."""

    name: str
    first: int
    count: int
    low: float
    high: float


# A contact point is on the moon (20 m wide) or on a body, a normal has length 1. The speeds are those at which Box2D's
# limits of a step end (100 m/s, 79 rad/s) and much more, as an impact within a step is solved without these limits.
_ANY = float(np.finfo(np.float32).max)
_POINTS = [
    row
    for k in range(2)
    for row in (
        Rows("contact point", rows.POINT + 4 * k, 2, -1e3, 1e3),
        Rows("contact impulse", rows.POINT + 4 * k + 2, 2, -_ANY, _ANY),
    )
]
F32 = [
    Rows("POSITION", rows.POSITION, 9, -_ANY, _ANY),  # their limit depends on the length of the episode: _check_reach
    Rows("PREVIOUS", rows.PREVIOUS, 9, -_ANY, _ANY),
    Rows("VELOCITY", rows.VELOCITY, 9, -1e5, 1e5),
    Rows("ROTATION", rows.ROTATION, 6, -1, 1),
    Rows("ORIGIN", rows.ORIGIN, 6, -_ANY, _ANY),
    Rows("FAT_AABB", rows.FAT_AABB, 12, -_ANY, _ANY),
    Rows("SLEEP_TIME", rows.SLEEP_TIME, 3, 0, _ANY),
    Rows("IMPULSE", rows.IMPULSE, 8, -_ANY, _ANY),
    Rows("FORCE", rows.FORCE, 3, 0, 0),
    Rows("HEIGHT", rows.HEIGHT, 11, 0, H),
    Rows("TOP", rows.TOP, 1, 0, H),
    Rows("LEG_CONTACT", rows.LEG_CONTACT, 18, -_ANY, _ANY),
]
I32 = [
    Rows("AWAKE", rows.AWAKE, 3, 0, 1),
    Rows("LIMIT_STATE", rows.LIMIT_STATE, 2, 0, 2),
    Rows("GROUND_CONTACT", rows.GROUND_CONTACT, 2, 0, 1),
    Rows("CRASHED", rows.CRASHED, 1, 0, 1),
    Rows("NUM_CONTACTS", rows.NUM_CONTACTS, 1, 0, MAX_CONTACTS),
    Rows("ELAPSED", rows.ELAPSED, 1, 0, 2**31 - 2),
    Rows("MOVED", rows.MOVED, 3, 0, 0),
    Rows("LEG_TOUCHES", rows.LEG_TOUCHES, 2, 0, MAX_CONTACTS),
]
F64 = [
    Rows("SHAPING", rows.SHAPING, 1, -np.inf, np.inf),
    Rows("GROUND", rows.GROUND, 11, 0, H),
]
CONTACT_F32 = [
    Rows("LOCAL_NORMAL", rows.LOCAL_NORMAL, 2, -1.001, 1.001),
    Rows("LOCAL_POINT", rows.LOCAL_POINT, 2, -1e3, 1e3),
    *_POINTS,
    Rows("TOI", rows.TOI, 1, 0, 1),
]
CONTACT_I32 = [
    Rows("BODY", rows.BODY, 1, 0, NUM_BODIES - 1),
    Rows("EDGE", rows.EDGE, 1, 0, NUM_EDGES - 1),
    Rows("TOUCHING", rows.TOUCHING, 1, 0, 1),
    Rows("ENABLED", rows.ENABLED, 1, 0, 1),
    Rows("IN_ISLAND", rows.IN_ISLAND, 1, 0, 1),
    Rows("TOI_VALID", rows.TOI_VALID, 1, 0, 1),
    Rows("TOI_COUNT", rows.TOI_COUNT, 1, 0, int(MAX_SUB_STEPS) + 1),
    Rows("POINT_COUNT", rows.POINT_COUNT, 1, 0, 2),
    Rows("FACE_B", rows.FACE_B, 1, 0, 1),
    Rows("POINT_ID", rows.POINT_ID, 2, 0, 0x01010505),
]


class Bounds:
    """The ranges of an array's rows, for all landers or all contacts at once."""

    def __init__(self, table: list[Rows], of_contacts: bool = False) -> None:
        self.of_contacts = of_contacts
        self.names = [row.name for row in table for _ in range(row.count)]
        self.low = np.array([row.low for row in table for _ in range(row.count)])
        self.high = np.array([row.high for row in table for _ in range(row.count)])

    def check(self, array: np.ndarray) -> None:
        """ValueError unless every number of [rows, landers or contacts] is in its row's range. NaN is in none."""
        fits = (array >= self.low[:, None]) & (array <= self.high[:, None])
        if not fits.all():
            row, i = np.argwhere(~fits)[0]
            low, high = self.low[row], self.high[row]
            where = f"contact {i % MAX_CONTACTS} of lander {i // MAX_CONTACTS}" if self.of_contacts else f"lander {i}"
            raise InputError(
                f"the state of the landers must have {self.names[row]} from {low:.9g} to {high:.9g}, "
                f"got {array[row, i]} for {where}"
            )


_BOUNDS = [Bounds(table) for table in (F32, I32, F64)]
_CONTACT_BOUNDS = [Bounds(table, of_contacts=True) for table in (CONTACT_F32, CONTACT_I32)]


class Seeds(NamedTuple):
    """Text that holds a seed for each lander, or for none. `unknown`: also -1, for a stream of no known seed."""

    num_envs: int
    unknown: bool = False

    def __str__(self) -> str:
        return f"{self.num_envs} natural numbers of at most {SEED_DIGITS} digits as text, or none"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such text. Every number is written as `str` writes it."""
        if not isinstance(value, np.ndarray) or value.dtype.kind != "U" or value.shape not in ((0,), (self.num_envs,)):
            return False
        if self.unknown and value.tolist() == [UNKNOWN_SEED]:
            return True
        if not value.dtype.isnative or value.dtype.itemsize > 4 * SEED_DIGITS:
            return False
        # A number that is no character would make NumPy's text raise errors of its own.
        codes = np.array(value).view(np.uint32)
        if not (((codes >= ord("0")) & (codes <= ord("9"))) | (codes == 0)).all():
            return False
        return all(seed.isdigit() and (seed == "0" or seed[0] != "0") for seed in value.tolist())


class Mode(NamedTuple):
    """The value of an AutoresetMode as text."""

    def __str__(self) -> str:
        return f"one of {', '.join(mode.value for mode in AutoresetMode)}"

    def takes(self, value: Any, sizes: dict[str, int]) -> bool:
        """Whether `value` is such text."""
        return (
            isinstance(value, np.ndarray)
            and value.shape == ()
            and any(np.array_equal(value, np.array(mode.value)) for mode in AutoresetMode)
        )


def settings_of(variant: Variant, mode: AutoresetMode, settings: LanderSettings | None) -> dict[str, np.ndarray]:
    """The part of a state that says which landers it is of; `settings` only where `set_attr` was used."""
    known = {"variant": pack_variant(variant), "autoreset_mode": np.array(mode.value)}
    return known if settings is None else {**known, "settings": settings.table.copy()}


def checked_state(
    state: Any, num_envs: int, variant: Variant, mode: AutoresetMode, unknown_seeds: bool = False
) -> SavedState:
    """A copy of what `get_state` of an environment with these settings gave.

    States of version 0.1.0 have no settings in them. They are taken as states of these settings.

    Args:
        state: to be checked.
        num_envs: number of landers.
        variant: of the environment.
        mode: of the environment.
        unknown_seeds: for one lander, whose random stream may be one that the user set: its seed is then -1.

    Raises:
        ValueError: it is another state, or none.
    """
    form: Form = {
        "memory": Array(np.uint8, (memory_size(num_envs),)),
        "obs": Array(np.float32, (num_envs, OBSERVATION_SIZE), finite=True),
        "ended": Array(np.bool_, (num_envs,)),
        "ready": Array(np.bool_, ()),
        "seeds": Seeds(num_envs, unknown_seeds),
    }
    if isinstance(state, Mapping):
        settings: Form = {"variant": Array(np.float64, (len(Variant._fields),)), "autoreset_mode": Mode()}
        if any(name in state for name in settings):
            form |= settings
            if "settings" in state:
                form["settings"] = Array(np.float64, (num_envs, NUM_COLUMNS), finite=True)
        # A file's other arrays are not read.
        state = {name: state[name] if name in form else None for name in state}
        _check_number(state.get("obs"), num_envs)
    check_state("landers", state, form)
    if "variant" in form:
        _check_settings(state, variant, mode)
    own = None
    if "settings" in form:
        own = LanderSettings(variant, float(variant.gravity), num_envs)
        own.table = np.array(state["settings"])
        own.check()
    memory, obs, ended, ready = (np.array(state[name]) for name in ("memory", "obs", "ended", "ready"))
    for name, flags in (("ended", ended), ("ready", ready)):
        if (flags.view(np.uint8) > 1).any():
            raise InputError(f"the state of the landers must have True or False as {name}, got another byte")
    seeds = [int(seed) for seed in state["seeds"]] or None
    _check_memory(memory, obs, ended, bool(ready), seeds, variant, own)
    return SavedState(memory, obs, ended, bool(ready), seeds, own)


def _refusal(rule: str, i: int | None = None) -> InputError:
    where = "" if i is None else f" for lander {i}"
    return InputError(f"the state of the landers must have {rule}{where}")


def _check_number(obs: Any, num_envs: int) -> None:
    if isinstance(obs, np.ndarray) and obs.ndim == 2 and len(obs) != num_envs:
        raise InputError(f"the state must be of {num_envs} landers (num_envs), got one of {len(obs)}")


def _check_settings(state: dict[str, np.ndarray], variant: Variant, mode: AutoresetMode) -> None:
    if str(state["autoreset_mode"]) != mode.value:
        raise InputError(f"the state must be of autoreset_mode {mode.value}, got one of {state['autoreset_mode']}")
    for name, own, got in zip(Variant._fields, pack_variant(variant), state["variant"], strict=True):
        if own != got:
            raise InputError(f"the state must be of {name} {own:g}, got one of {got:g}")


def _check_memory(
    memory: np.ndarray,
    obs: np.ndarray,
    ended: np.ndarray,
    ready: bool,
    seeds: list[int] | None,
    variant: Variant,
    settings: LanderSettings | None,
) -> None:
    """ValueError unless the memory is of landers that have these observations, flags and seeds."""
    state, n = unpack(memory, len(obs)), len(obs)
    arrays = state.f32, state.i32, state.f64
    if any(array[:, n:].view(np.uint8).any() for array in (*arrays, state.stream)):
        raise _refusal(f"zeros in the memory beyond its {n} landers")
    results = *arrays, state.contact_f32, state.contact_i32, obs, ended
    if not ready and any(array.view(np.uint8).any() for array in results):
        raise _refusal("zeros only, as it is not ready (reset was not called)")
    elapsed = state.i32[rows.ELAPSED, :n].astype(np.int64)
    windy = np.full(n, variant.enable_wind) if settings is None else settings.table[:, WIND_KNOWN] == 1
    # A wind that was switched off and on may have begun episodes ago.
    blown = elapsed if settings is None else np.full(n, 2**62)
    _check_streams(state.stream[:, :n], np.where(windy & ready, blown, -10_000), seeds, ready)
    if not ready:
        return
    for bounds, array in zip(_BOUNDS, arrays, strict=True):
        bounds.check(array[:, :n])
    for bounds, array in zip(_CONTACT_BOUNDS, (state.contact_f32, state.contact_i32), strict=True):
        bounds.check(array.reshape(-1, array.shape[2]).T)
    f32, f64, i32 = (array[:, :n] for array in (state.f32, state.f64, state.i32))
    _check_terrain(f32, f64)
    _check_bodies(f32, i32[rows.ELAPSED])
    _check_contacts(state.contact_i32, i32)
    _check_results(state, obs, ended, variant.max_episode_steps if settings is None else None)


def _check_streams(stream: np.ndarray, blown: np.ndarray, seeds: list[int] | None, ready: bool) -> None:
    """The random streams are those of the seeds. Draws from another stream might never end.

    blown: int64[N], steps for which the wind may have blown; negative for landers that never had wind.
    """
    if seeds is None:
        if ready or stream.any():
            raise _refusal("a seed for each lander, as their random streams were started")
        return
    started = np.zeros(rows.NUM_STREAM, np.uint64)
    for i, seed in enumerate(seeds):
        if seed < 0:
            if not stream[rows.INCREMENT_LOW, i] & np.uint64(1):
                raise _refusal("an odd increment of the random stream", i)
            continue
        start_stream(started, seed)
        increment = slice(rows.INCREMENT_HIGH, rows.INCREMENT_LOW + 1)
        if (stream[increment, i] != started[increment]).any():
            raise _refusal(f"the random stream of the seed {seed}", i)
    buffered = stream[rows.BUFFERED]
    if not ((buffered == 0) | (buffered >> np.uint64(32) == 1)).all():
        raise _refusal("half a draw or none in BUFFERED")
    wind = stream[[rows.WIND_INDEX, rows.TORQUE_INDEX]].view(np.int64)
    most, least = np.where(blown < 0, 0, 9_999 + blown), np.where(blown < 0, 0, -9_999)
    if ((wind < least) | (wind > most)).any():
        raise _refusal(f"time indices of the wind from {np.min(least)} to {np.max(most)}")


def _check_terrain(f32: np.ndarray, f64: np.ndarray) -> None:
    ground = f64[rows.GROUND : rows.GROUND + 11].astype(np.float32)
    if not np.array_equal(f32[rows.HEIGHT : rows.HEIGHT + 11], ground):
        raise _refusal("GROUND, rounded, as HEIGHT")
    if not np.array_equal(f32[rows.TOP], ground.max(axis=0)):
        raise _refusal("the highest HEIGHT as TOP")


def _check_bodies(f32: np.ndarray, elapsed: np.ndarray) -> None:
    """Bodies have moved no farther than they can, and their transforms and boxes are those of their positions."""
    # A step moves a body by at most 2 m and pi/2 rad (b2_maxTranslation, b2_maxRotation). Joints may correct that.
    reach = 100 + 4 * (elapsed + 1.0)
    if (np.abs(f32[rows.POSITION : rows.VELOCITY]) > reach).any() or (
        np.abs(f32[rows.FAT_AABB : rows.SLEEP_TIME]) > reach + 100
    ).any():
        raise _refusal("bodies no farther than 100 m and 4 m per step (100 rad, 4 rad) from the start")
    if (f32[rows.SLEEP_TIME : rows.SLEEP_TIME + 3] > 0.03 * (elapsed + 2.0)).any():
        raise _refusal("bodies at rest for no longer than the episode (SLEEP_TIME)")
    for body in range(NUM_BODIES):
        x, y, angle = f32[rows.POSITION + 3 * body : rows.POSITION + 3 * body + 3].astype(np.float64)
        s, c = f32[rows.ROTATION + 2 * body : rows.ROTATION + 2 * body + 2].astype(np.float64)
        if np.maximum(np.abs(s - np.sin(angle)), np.abs(c - np.cos(angle))).max() > 1e-6:
            raise _refusal("sine and cosine of the angles as ROTATION")
        center = float(LANDER_CENTER_Y) if body == 0 else 0.0
        origin = f32[rows.ORIGIN + 2 * body : rows.ORIGIN + 2 * body + 2]
        off = np.maximum(np.abs(x + s * center - origin[0]), np.abs(y - c * center - origin[1]))
        if (off > 1e-6 * (10 + reach)).any():
            raise _refusal("the bodies' positions, without their centres of mass, as ORIGIN")
        left, low, right, high = f32[rows.FAT_AABB + 4 * body : rows.FAT_AABB + 4 * body + 4]
        if not ((left <= x) & (x <= right) & (low <= y) & (y <= high)).all():
            raise _refusal("the bodies in their boxes (FAT_AABB)")


def _check_contacts(contact: np.ndarray, i32: np.ndarray) -> None:
    """Contacts are different pairs, and a leg that counts as on the ground touches it."""
    count = i32[rows.NUM_CONTACTS]
    used = np.arange(MAX_CONTACTS) < count[:, None]
    pair = contact[:, :, rows.EDGE] * NUM_BODIES + contact[:, :, rows.BODY]
    pair = np.sort(np.where(used, pair, -1 - np.arange(MAX_CONTACTS)), axis=1)
    twice = (pair[:, 1:] == pair[:, :-1]).any(axis=1)
    if twice.any():
        raise _refusal("one contact for each edge and body", int(np.argmax(twice)))
    ids = contact[:, :, [rows.POINT_ID, rows.POINT_ID + 1]]
    if ((ids & 255) > 5).any() or ((ids >> 8 & 255) > 5).any() or ((ids >> 16 & 255) > 1).any():
        raise _refusal("features of an edge and a body in POINT_ID")
    touching = used & (contact[:, :, rows.TOUCHING] == 1)
    if (touching != (used & (contact[:, :, rows.POINT_COUNT] > 0))).any():
        raise _refusal("points in POINT_COUNT exactly where contacts are TOUCHING")
    for leg in range(2):
        touches = (touching & (contact[:, :, rows.BODY] == leg + 1)).any(axis=1)
        if (i32[rows.GROUND_CONTACT + leg] > touches).any():
            raise _refusal("a contact of each leg in GROUND_CONTACT")


def _check_results(state: State, obs: np.ndarray, ended: np.ndarray, limit: int | None) -> None:
    """Observations, shaping and ended episodes are those of the landers as they are now (`lander.game`).

    Without a `limit`, which `set_attr` may have changed since, an episode may also have ended by one.
    """
    n = len(obs)
    seen, shaping, x = np.zeros_like(obs), np.zeros(n), np.zeros(n)
    for i in range(n):
        x[i], shaping[i] = observe.py_func(state, i, seen)
    wrong = (seen.view(np.uint32) != obs.view(np.uint32)).any(axis=1)
    if wrong.any():
        raise _refusal("the observation of the landers as obs", int(np.argmax(wrong)))
    if not np.array_equal(state.f64[rows.SHAPING, :n], shaping):
        raise _refusal("the potential of the observation as SHAPING")
    i32 = state.i32[:, :n]
    over = (i32[rows.CRASHED] != 0) | (np.abs(x) >= 1.0) | (i32[rows.AWAKE] == 0)
    over |= ended if limit is None else i32[rows.ELAPSED] >= limit
    if not np.array_equal(over, ended):
        raise _refusal("True as ended where, and only where, an episode is over", int(np.argmax(over != ended)))
