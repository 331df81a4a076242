"""The race of a batch of trials: all begin with a few paired seeds, and after each round the worse half leaves."""

from collections.abc import Callable, Mapping, Sequence

History = dict[int, list[tuple[int, float]]]
"""By trial: the value after each of its rounds, as (seeds, value)."""


def race(
    trials: Sequence[int], rounds: Sequence[int], measure: Callable[[Sequence[int], int], Mapping[int, float]]
) -> tuple[History, list[int]]:
    """The values that trials have after each of their rounds, and which of them have done all rounds.

    A trial that fails leaves too, and counts as one of the worse half.

    Args:
        trials: their numbers.
        rounds: seeds that a trial has done after each round, in increasing order.
        measure: the values of these trials with so many seeds. Lower is better. A trial that failed has none.
    """
    history: History = {trial: [] for trial in trials}
    going = list(trials)
    for seeds in rounds:
        values = measure(going, seeds)
        for trial, value in values.items():
            history[trial].append((seeds, value))
        if seeds != rounds[-1]:
            going = better_half(values, len(going))
        else:
            going = [trial for trial in going if trial in values]
        if not going:
            break
    return history, going


def better_half(values: Mapping[int, float], count: int) -> list[int]:
    """The better half of `count` trials, rounded up, of those that have a value. Of equal ones the earlier stays."""
    order = sorted(values, key=lambda trial: (values[trial], trial))
    return sorted(order[: (count + 1) // 2])


def most_jobs(trials: int, rounds: Sequence[int]) -> int:
    """Seeds that a race of so many trials trains, if none fails."""
    jobs, before = 0, 0
    for seeds in rounds:
        jobs += trials * (seeds - before)
        before, trials = seeds, (trials + 1) // 2
    return jobs
