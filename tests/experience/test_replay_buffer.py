import collections
import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastlander import ReplayBuffer
from fastlander.experience.replay_buffer import sample_together
from fastlander.experience.transition import Transition

SCALAR = (np.int64, ())
PAIR = {"state": (np.float32, (2,)), "flag": (np.bool_, ())}

operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(-1000, 1000)),
        st.tuples(st.just("extend"), st.lists(st.integers(-1000, 1000), max_size=12)),
        st.tuples(st.just("extend columns"), st.lists(st.integers(-1000, 1000), max_size=12)),
        st.tuples(st.just("index"), st.integers(-9, 9)),
        st.tuples(st.just("clear"), st.none()),
    ),
    max_size=40,
)


def as_pair(number):
    return np.array([number, number / 4], np.float32), number % 2 == 0


@settings(deadline=None, max_examples=200)
@given(maxlen=st.integers(1, 7), script=operations)
def test_a_single_field_does_what_deque_does(maxlen, script):
    ring, twin = ReplayBuffer(maxlen, SCALAR), collections.deque(maxlen=maxlen)
    for what, value in script:
        if what == "append":
            ring.append(value)
            twin.append(value)
        elif what == "extend":
            ring.extend(value)
            twin.extend(value)
        elif what == "extend columns":
            ring.extend(item=np.array(value, np.int64))
            twin.extend(value)
        elif what == "clear":
            ring.clear()
            twin.clear()
        elif -len(twin) <= value < len(twin):
            assert ring[value] == twin[value]
        else:
            with pytest.raises(IndexError):
                ring[value]
        assert len(ring) == len(twin)
        assert list(ring) == list(twin)
        assert list(reversed(ring)) == list(reversed(twin))
        assert np.array_equal(np.asarray(ring), np.array(twin, np.int64))
        assert ring.maxlen == twin.maxlen


@settings(deadline=None, max_examples=100)
@given(maxlen=st.integers(1, 7), script=operations)
def test_several_fields_do_what_a_deque_of_tuples_does(maxlen, script):
    ring, twin = ReplayBuffer(maxlen, PAIR), collections.deque(maxlen=maxlen)
    for what, value in script:
        if what == "append":
            ring.append(as_pair(value))
            twin.append(as_pair(value))
        elif what == "extend":
            ring.extend(as_pair(v) for v in value)
            twin.extend(as_pair(v) for v in value)
        elif what == "extend columns":
            rows = [as_pair(v) for v in value]
            states = np.array([row[0] for row in rows], np.float32).reshape(-1, 2)
            ring.extend(state=states, flag=np.array([row[1] for row in rows], bool))
            twin.extend(rows)
        elif what == "clear":
            ring.clear()
            twin.clear()
        assert len(ring) == len(twin)
        for (state, flag), (twin_state, twin_flag) in zip(ring, twin, strict=True):
            assert np.array_equal(state, twin_state)
            assert flag == twin_flag
        assert np.array_equal(np.asarray(ring["flag"]), np.array([flag for _, flag in twin], bool))
        assert np.array_equal(
            np.asarray(ring["state"]), np.array([state for state, _ in twin], np.float32).reshape(-1, 2)
        )


def test_each_field_keeps_its_dtype_and_gives_back_what_was_put_in():
    ring = ReplayBuffer(3, {"a": (np.float64, ()), "b": (np.float32, (2,)), "c": (np.uint8, ()), "d": (np.bool_, ())})
    ring.append((0.1, np.array([0.1, -0.0], np.float32), 255, True))
    a, b, c, d = ring[0]
    assert a == 0.1
    assert b.tobytes() == np.array([0.1, -0.0], np.float32).tobytes()
    assert (c, d) == (255, True)
    assert [np.asarray(ring[name]).dtype for name in "abcd"] == [np.float64, np.float32, np.uint8, np.bool_]
    assert ring[0].a == 0.1  # by name too


def test_an_item_is_a_copy_both_ways():
    ring = ReplayBuffer(2, (np.float32, (2,)))
    mine = np.zeros(2, np.float32)
    ring.append(mine)
    mine[:] = 9
    got = ring[0]
    got[:] = 7
    assert ring[0].tolist() == [0, 0]


def test_it_is_a_list_rather_than_an_array():
    ring = ReplayBuffer(5, SCALAR)
    ring.extend([1, 2, 3])
    with pytest.raises(TypeError):
        ring + 1
    assert (np.array(ring) + 1).tolist() == [2, 3, 4]
    with pytest.raises(TypeError):
        ring[0:2]
    with pytest.raises(TypeError):
        ring[1.0]
    assert 2 in ring
    assert ring.index(3) == 2


def test_changing_it_while_iterating_is_an_error_as_with_deque():
    ring = ReplayBuffer(5, SCALAR)
    ring.extend([1, 2, 3])
    with pytest.raises(RuntimeError, match="mutated"):
        for item in ring:
            ring.append(item)
    twin = collections.deque(ring, maxlen=5)
    ring.extend(ring)
    twin.extend(twin)
    assert list(ring) == list(twin)


def test_what_does_not_fit_is_refused_and_nothing_changes():
    ring = ReplayBuffer(3, PAIR)
    ring.append(as_pair(1))
    for item, error in [
        ((np.zeros(3, np.float32), True), ValueError),
        ((np.zeros(2, np.float32), 0.5), TypeError),
        (np.zeros(2, np.float32), ValueError),
        ((np.zeros(2, np.float32),), ValueError),
    ]:
        with pytest.raises(error):
            ring.append(item)
    with pytest.raises(ValueError, match="state must have shape"):
        ring.extend(state=np.zeros((2, 3), np.float32), flag=np.zeros(2, bool))
    with pytest.raises(ValueError, match="extend takes the fields state, flag"):
        ring.extend(state=np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="flag must have shape"):
        ring.extend(state=np.zeros((2, 2), np.float32), flag=np.zeros(3, bool))
    with pytest.raises(TypeError, match="flag must be bool"):
        ring.extend(state=np.zeros((2, 2), np.float32), flag=np.zeros(2))
    assert len(ring) == 1


@pytest.mark.parametrize("maxlen", [0, -1, 1.5, None])
def test_maxlen_is_a_positive_integer(maxlen):
    with pytest.raises(ValueError, match="maxlen must be an integer of at least 1"):
        ReplayBuffer(maxlen, SCALAR)


def test_the_default_fields_are_a_lander_s_transition():
    ring = ReplayBuffer(maxlen=4)
    ring.append(Transition(np.zeros(8), 1, 0.5, np.ones(8), 0.99))
    assert isinstance(ring[0], Transition)
    assert isinstance(ring.sample(3), Transition)
    assert [a.shape for a in ring.sample(3)] == [(3, 8), (3,), (3,), (3, 8), (3,)]


def filled(maxlen=50, count=70, seed=3):
    ring = ReplayBuffer(maxlen, {"state": (np.float32, (2,)), "number": (np.int64, ())}, seed=seed)
    numbers = np.arange(count)
    ring.extend(state=np.stack([numbers, -numbers], axis=1).astype(np.float32), number=numbers)
    return ring


@pytest.mark.parametrize("count", [20, 50, 70])
def test_sampling_is_uniform_over_what_is_stored(count):
    ring = filled(count=count)
    stored = min(count, 50)
    draws = np.concatenate([ring.sample(64).number.copy() for _ in range(1000)])
    counts = np.bincount(draws - (count - stored), minlength=stored)
    assert len(counts) == stored
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_sample_keeps_rows_together_and_repeats_with_its_seed():
    ring, twin, other = filled(), filled(), filled(seed=4)
    for _ in range(5):
        state, number = ring.sample(16)
        assert np.array_equal(state[:, 0], number)
        assert np.array_equal(state[:, 1], -number)
        assert np.array_equal(number, twin.sample(16).number)
        assert not np.array_equal(number, other.sample(16).number)


def test_a_sample_fills_the_same_arrays_again():
    ring = filled()
    first = ring.sample(16)
    second = ring.sample(16)
    assert first.state is second.state
    assert ring.sample(8).state.shape == (8, 2)


def test_sampling_draws_from_no_global_stream():
    before = np.random.get_state()[1].copy()
    filled().sample(16)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(("count", "oldest"), [(70, 50), (70, 10), (30, 30), (30, 7)])
def test_sampling_together_keeps_rows_together_and_to_the_oldest(count, oldest):
    numbers, states = ReplayBuffer(50, SCALAR, seed=1), ReplayBuffer(50, (np.float32, (2,)))
    numbers.extend(range(count))
    states.extend(np.array([i, -i], np.float32) for i in range(count))
    first = max(0, count - 50)
    drawn = []
    for _ in range(300):
        number, state = sample_together((numbers, states), oldest, 16)
        assert np.array_equal(state, np.stack([number, -number], axis=1))
        drawn += number.tolist()
    counts = np.bincount(np.array(drawn) - first, minlength=oldest)
    assert len(counts) == oldest
    assert stats.chisquare(counts).pvalue > 1e-3


def test_an_empty_buffer_gives_no_sample():
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer(4, SCALAR).sample(2)
    with pytest.raises(ValueError, match="batch_size must be"):
        filled().sample(0)


def test_copies_and_pickles_go_on_alike():
    ring = filled()
    for twin in (copy.deepcopy(ring), pickle.loads(pickle.dumps(ring))):
        expected = ring.sample(8).number.tolist()
        ring = filled()
        assert twin.sample(8).number.tolist() == expected
        twin.append((np.zeros(2), 5))
        assert twin[-1].number == 5
        assert ring[-1].number == 69
