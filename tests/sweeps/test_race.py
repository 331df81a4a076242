"""The race against a plain retelling of its rule."""

import numpy as np

from fastlander.sweeps.race import better_half, most_jobs, race


def retold(table, rounds, failing):
    """Who is measured in each round, by looking at all pairs: a trial stays if fewer than half are better."""
    going, seen = set(range(len(table))), []
    for k, seeds in enumerate(rounds):
        seen.append((seeds, sorted(going)))
        alive = {t for t in going if failing.get(t, 10**9) > seeds}
        value = {t: sum(table[t][:seeds]) / seeds for t in alive}
        better = {t: sum(value[o] < value[t] or (value[o] == value[t] and o < t) for o in alive) for t in alive}
        going = alive if k == len(rounds) - 1 else {t for t in alive if better[t] < len(going) / 2}
        if not going:
            break
    return seen, sorted(going)


def test_races_go_as_the_rule_says():
    rng = np.random.default_rng(1)
    for _ in range(300):
        count, rounds = int(rng.integers(1, 12)), sorted({int(n) for n in rng.integers(1, 17, size=4)})
        table = rng.integers(0, 4, size=(count, 16)).tolist()  # with many equal values
        failing = {int(t): int(rng.integers(1, 17)) for t in rng.integers(0, count, size=rng.integers(0, 3))}
        seen = []

        def measure(going, seeds, table=table, failing=failing, seen=seen):
            seen.append((seeds, list(going)))
            return {t: sum(table[t][:seeds]) / seeds for t in going if failing.get(t, 10**9) > seeds}

        history, complete = race(range(count), rounds, measure)
        assert (seen, complete) == retold(table, rounds, failing)
        for trial, values in history.items():
            own = [seeds for seeds, going in seen if trial in going and failing.get(trial, 10**9) > seeds]
            assert [seeds for seeds, _ in values] == own
        if not failing:
            before, jobs = 0, 0
            for seeds, going in seen:
                jobs, before = jobs + len(going) * (seeds - before), seeds
            assert most_jobs(count, rounds) == jobs


def test_of_equal_trials_the_earlier_stays():
    assert better_half({4: 1.0, 2: 1.0, 3: 1.0}, 3) == [2, 3]
    assert better_half({4: 0.5, 2: 1.0}, 4) == [2, 4]  # the others have failed
