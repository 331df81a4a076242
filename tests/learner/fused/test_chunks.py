"""A batch in chunks: where they lie, and that they do not disturb each other."""

import numpy as np
import pytest
import torch

from fastlander import DQN, Config
from fastlander.kernels.jit import uncounted_kernel
from fastlander.learner.fused.chunks import CHUNKS, Chunks, chunks_of, compute_chunk
from fastlander.learner.fused.plan import Plan, make_chunks, make_plan
from fastlander.learner.fused.update import unpack_shared
from tests.twins import filled_buffer


@uncounted_kernel
def compute(shared, k):
    """`compute_chunk` as a kernel."""
    memory, hyper, ring, batch, chunks = unpack_shared(shared)
    compute_chunk(memory, chunks, hyper, ring, batch, k)


def after_an_update(batch_size, **changes):
    """What a learner that has made an update computes with, and its chunks."""
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
def test_chunks_in_any_order_have_the_same_gradients(batch_size):
    """Once more the chunks of the update that was made last, which moved no parameter."""
    shared, chunks = after_an_update(batch_size, learning_rate=1e-30)
    gradients, losses = chunks.gradients.copy(), chunks.losses.copy()
    assert len(set(chunks.slots)) > batch_size / 2
    assert abs(gradients).sum(axis=1).all()
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        chunks.gradients[:], chunks.losses[:] = 7, 7
        for k in order:
            compute(shared, k)
        assert np.array_equal(chunks.losses, losses)
        assert np.array_equal(chunks.gradients, gradients)


@pytest.mark.parametrize("batch_size", [128, 200])
def test_a_learner_in_a_thread_learns_the_same(batch_size):
    config = Config(batch_size=batch_size, hidden_sizes=(40, 30), loss="mse", double_dqn=False)
    alone, threaded = DQN(config, processors=1), DQN(config, processors=2)
    buffers, (other, twin) = (filled_buffer(), filled_buffer()), (filled_buffer(rows=90), filled_buffer(rows=90))
    for updates in (1, 2, 3, 150, 0, 1, 40):
        alone.learn(buffers[0], updates)
        with threaded.learning(buffers[1], updates):
            pass
        assert torch.equal(alone.q_network.flat, threaded.q_network.flat)
        assert torch.equal(alone.target, threaded.target)
        assert torch.equal(alone.q_network.flat_grad, threaded.q_network.flat_grad)
        assert not updates or alone.loss == threaded.loss
        for dqn, buffer in ((alone, other), (threaded, twin)):
            dqn.learn(buffer, 1)  # from another buffer, in this thread
    threaded.close()
