import numpy as np

from fastlander.streams import draw_seeds, spawn_streams


def test_streams_are_independent_of_each_other_and_reproducible():
    a, b = spawn_streams(7), spawn_streams(7)
    words = [tuple(stream.generate_state(4)) for stream in a]
    assert words == [tuple(stream.generate_state(4)) for stream in b]
    assert len(set(words)) == len(words)


def test_neighbouring_runs_share_no_environment_seeds():
    seeds = [set(draw_seeds(np.random.default_rng(spawn_streams(s).environment), 64)) for s in range(20)]
    assert len(set.union(*seeds)) == sum(len(s) for s in seeds)
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds[0])
