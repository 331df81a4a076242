"""A batch in chunks: the same update, whoever computes which of them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from fastlander import DQN, Config
from fastlander.kernels.jit import uncounted_kernel
from fastlander.learner.fused.chunks import (
    ASKED,
    BEGUN,
    CHUNKS,
    DONE,
    ENDED,
    LEARNING,
    NEXT,
    Chunks,
    chunks_of,
    compute_one,
)
from fastlander.learner.fused.plan import Plan, make_chunks, make_plan
from fastlander.learner.fused.update import help_updates, unpack_shared
from tests.twins import filled_buffer


@uncounted_kernel
def take_one(shared):
    """`compute_one` as a kernel."""
    memory, hyper, ring, batch, chunks = unpack_shared(shared)
    return compute_one(memory, chunks, hyper, ring, batch)


def after_an_update(batch_size, **changes):
    """What the threads share of a learner that has made an update, and its chunks."""
    dqn, buffer = DQN(Config(batch_size=batch_size, hidden_sizes=(40, 30), **changes), processors=1), filled_buffer()
    dqn.learn(buffer, 1)
    shared = dqn.learner._arguments(buffer)[-1]
    return shared, Chunks(*shared[-1])


@pytest.mark.parametrize(("batch_size", "count"), [(1, 1), (64, 1), (127, 1), (128, 4), (131, 4), (512, 4)])
def test_how_many_chunks_a_batch_has(batch_size, count):
    assert chunks_of(batch_size) == count


@pytest.mark.parametrize("batch_size", [128, 131])
def test_chunks_share_the_weights_and_nothing_that_is_written(batch_size):
    sizes = (8, 40, 20, 4)
    table, size = make_plan(sizes, 200)
    tables, end = make_chunks(sizes, table, size, batch_size, CHUNKS)
    assert np.array_equal(make_chunks(sizes, table, size, batch_size, 1)[0], table[None])
    written = np.zeros(end, int)
    for k in range(CHUNKS):
        plan = Plan(*tables[k])
        rows = (k + 1) * batch_size // CHUNKS - k * batch_size // CHUNKS
        for name in ("forward", "bias", "target_forward", "target_bias", "backward", "zeros"):
            assert np.array_equal(getattr(plan, name), getattr(Plan(*table), name))
        for layer, width in enumerate(plan.widths):
            for matrices in (plan.inputs, plan.others, plan.grads):
                written[matrices[layer] : matrices[layer] + rows * width] += 1
        written[plan.target_values[0] : plan.target_values[0] + rows * plan.widths[-1]] += 1
        for layer in range(len(sizes) - 1):
            start = plan.weight_grad[layer]
            written[start : start + sizes[layer + 1] * plan.widths[layer]] += 1
        written[plan.bias_sums[0] : plan.bias_sums[0] + 16] += 1
    weights = slice(Plan(*table).forward[0], Plan(*table).inputs[0])
    assert written.max() == 1
    assert not written[weights].any()
    assert written[size:].all()  # no room is left over


@pytest.mark.parametrize("batch_size", [128, 150])
def test_chunks_computed_by_two_threads_in_turn_add_up_to_the_same_gradient(batch_size):
    """Once more the chunks of the update that was made last, which moved no parameter."""
    shared, chunks = after_an_update(batch_size, learning_rate=1e-30)
    gradients, losses = chunks.gradients.copy(), chunks.losses.copy()
    assert len(set(chunks.slots)) > batch_size / 2
    assert abs(gradients).sum(axis=1).all()
    with ThreadPoolExecutor(1) as other:
        for first in (0, 1, 0):
            chunks.gradients[:], chunks.losses[:], chunks.board[:] = 7, 7, 0
            turns = [k % 2 == first for k in range(CHUNKS + 2)]
            taken = [take_one(shared) if here else other.submit(take_one, shared).result() for here in turns]
            assert taken == [True] * CHUNKS + [False] * 2
            assert chunks.board.tolist() == [0, CHUNKS, 1, 1, 1, 1]
            assert np.array_equal(chunks.losses, losses)
            assert np.array_equal(chunks.gradients, gradients)


@pytest.mark.parametrize("batch_size", [128, 200])
def test_a_helped_learner_learns_the_same(batch_size):
    config = Config(batch_size=batch_size, hidden_sizes=(40, 30), loss="mse", double_dqn=False)
    alone, helped = DQN(config, processors=1), DQN(config, processors=2)
    buffers, (other, twin) = (filled_buffer(), filled_buffer()), (filled_buffer(rows=90), filled_buffer(rows=90))
    for updates in (1, 2, 3, 150, 0, 1, 40):
        alone.learn(buffers[0], updates)
        with helped.learning(buffers[1], updates):
            pass  # and so the main thread is there to help from the first one on
        assert torch.equal(alone.q_network.flat, helped.q_network.flat)
        assert torch.equal(alone.target, helped.target)
        assert torch.equal(alone.q_network.flat_grad, helped.q_network.flat_grad)
        assert not updates or torch.equal(alone.loss, helped.loss)
        for dqn, buffer in ((alone, other), (helped, twin)):
            dqn.learn(buffer, 1)  # from another buffer, without help
    helped.close()


@pytest.mark.parametrize("learning", [ENDED, ASKED])
def test_helping_ends_where_nobody_learns(learning):
    shared, chunks = after_an_update(128)
    chunks.board[LEARNING] = learning
    before = chunks.board.copy()
    help_updates(shared)
    assert np.array_equal(chunks.board, before)


def test_help_takes_nothing_of_a_batch_that_is_not_opened():
    """The learning thread has begun, and samples its first batch."""
    dqn, buffer = DQN(Config(batch_size=128, hidden_sizes=(40, 30)), processors=1), filled_buffer()
    shared = dqn.learner._arguments(buffer)[-1]
    chunks = Chunks(*shared[-1])
    chunks.board[LEARNING], before = BEGUN, chunks.board.tolist()
    with ThreadPoolExecutor(1) as helper:
        helping = helper.submit(help_updates, shared)
        with pytest.raises(TimeoutError):
            helping.result(0.2)
        chunks.board[LEARNING] = ENDED
        helping.result(60)
    assert chunks.board.tolist() == [ENDED, *before[1:]]
    assert not chunks.gradients.any()


def test_help_takes_what_the_learning_thread_leaves():
    """The thread that learns is not there: the helper computes every chunk, and ends when learning does."""
    shared, chunks = after_an_update(128)
    chunks.gradients[:], chunks.board[:] = 7, 0
    chunks.board[LEARNING] = BEGUN
    with ThreadPoolExecutor(1) as helper:
        helping = helper.submit(help_updates, shared)
        while chunks.board[DONE:].sum() < CHUNKS:
            pass
        assert chunks.board[NEXT] == CHUNKS
        assert not helping.done()
        chunks.board[LEARNING] = ENDED
        helping.result(60)
    assert (chunks.gradients != 7).all()
