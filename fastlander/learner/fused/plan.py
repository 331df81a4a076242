"""`Plan`: where the fused kernels keep a network's matrices in one float32 array."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined, shared
from fastlander.kernels.simd_memory import load1, store1, transpose16
from fastlander.learner.fused.matmul import LANES, padded


class Plan(NamedTuple):
    """Where the matrices of a network with L layers and a batch of R rows start; int64[L] or int64[L + 1] each.

    Every row is padded with zeros to whole vectors. sizes: numbers per observation, widths of the hidden layers, number
    of values. widths: the same, padded. first: where a layer's weight [out, in] starts in the flat parameters; its bias
    [out] follows.
    """

    sizes: np.ndarray
    widths: np.ndarray
    first: np.ndarray
    forward: np.ndarray  # the weight transposed, [in, out padded]
    bias: np.ndarray  # [out padded]
    target_forward: np.ndarray  # forward of the target network
    target_bias: np.ndarray  # bias of the target network
    backward: np.ndarray  # the weight, [out, in padded]
    inputs: np.ndarray  # [R, width]: the observations, each layer's output, the values
    others: np.ndarray  # the same for the next observations
    grads: np.ndarray  # [R, width]: the derivative of the loss by the inputs
    weight_grad: np.ndarray  # [out, in padded]
    target_values: np.ndarray  # int64[1]: [R, values padded]
    bias_sums: np.ndarray  # int64[1]: [LANES], sums of a bias's gradient
    zeros: np.ndarray  # int64[1]: [the widest width], zeros


def make_plan(sizes: tuple[int, ...], rows: int) -> tuple[np.ndarray, int]:
    """A Plan as int64[fields, L + 1], for a network of these sizes and so many rows, and the floats it takes."""
    layers = range(len(sizes) - 1)
    widths = [padded(size) for size in sizes]
    end = 0

    def place(shapes: list[tuple[int, int]]) -> list[int]:
        nonlocal end
        starts = []
        for height, width in shapes:
            starts.append(end)
            end += height * width
        return starts

    transposed = [(sizes[k], widths[k + 1]) for k in layers]
    plain = [(sizes[k + 1], widths[k]) for k in layers]
    biases = [(1, widths[k + 1]) for k in layers]
    batch = [(rows, width) for width in widths]
    counts = [sizes[k + 1] * (sizes[k] + 1) for k in layers]
    fields = Plan(
        sizes=sizes,
        widths=widths,
        first=[sum(counts[:k]) for k in layers],
        forward=place(transposed),
        bias=place(biases),
        target_forward=place(transposed),
        target_bias=place(biases),
        backward=place(plain),
        inputs=place(batch),
        others=place(batch),
        grads=place(batch),
        weight_grad=place(plain),
        target_values=place(batch[-1:]),
        bias_sums=place([(1, LANES)]),
        zeros=place([(1, max(widths))]),
    )
    table = np.zeros((len(fields), len(sizes)), np.int64)
    for row, values in zip(table, fields, strict=True):
        row[: len(values)] = values
    return table, end


def make_chunks(sizes: tuple[int, ...], table: np.ndarray, end: int, rows: int, count: int) -> tuple[np.ndarray, int]:
    """The Plans of `count` chunks of a batch's first `rows` rows, and the floats that the memory takes with them.

    The chunks share the weights of the Plan in `table` and have each their own rows of its matrices. Their gradients
    could be computed at the same time: the room for these is their own too.

    Args:
        sizes, table, end: of a Plan with at least so many rows, as `make_plan` gives them.

    Returns:
        int64[count, fields, L + 1], and the end.
    """
    tables = np.repeat(table[None], count, axis=0)
    for k in range(count):
        plan, first = Plan(*tables[k]), chunk_start(k, rows, count)  # views
        for matrices in (plan.inputs, plan.others, plan.grads):
            matrices += first * plan.widths
        plan.target_values[0] += first * plan.widths[-1]
        if k:
            for layer, (height, width) in enumerate(zip(sizes[1:], plan.widths, strict=False)):
                plan.weight_grad[layer], end = end, end + height * width
            plan.bias_sums[0], end = end, end + LANES
    return tables, end


@shared
def chunk_start(k, rows, count):
    """The first row of chunk k of `count`."""
    return k * rows // count


def make_memory(size: int) -> np.ndarray:
    """float32[size] of zeros, aligned to a vector of sixteen."""
    room = np.zeros(size + LANES, np.float32)
    start = -room.ctypes.data % (4 * LANES) // 4
    return room[start : start + size]


@inlined
def unpack_plan(table):
    """The Plan that a table holds."""
    n = table.shape[1]
    return Plan(
        table[0],
        table[1],
        table[2, : n - 1],
        table[3],
        table[4],
        table[5],
        table[6],
        table[7],
        table[8],
        table[9],
        table[10],
        table[11],
        table[12],
        table[13],
        table[14],
    )


@inlined
def pack_transposed(memory, plan, flat, weights, biases):
    """Copy flat parameters to where a forward pass reads them."""
    for k in range(len(plan.first)):
        size_in, size_out, width = plan.sizes[k], plan.sizes[k + 1], plan.widths[k + 1]
        first, to = plan.first[k], weights[k]
        for block in range(0, size_out, LANES):
            last = min(block + LANES, size_out)
            whole = size_in - size_in % LANES if last == block + LANES else 0
            for i in range(0, whole, LANES):
                transpose16(memory, to + i * width + block, width, flat, first + block * size_in + i, size_in)
            for j in range(block, last):
                for i in range(whole, size_in):
                    store1(memory, to + i * width + j, load1(flat, first + j * size_in + i))
        for j in range(size_out):
            memory[biases[k] + j] = flat[first + size_out * size_in + j]


@inlined
def pack_plain(memory, plan, flat):
    """Copy flat parameters to where the backward pass reads them (all but the first layer's)."""
    for k in range(1, len(plan.first)):
        size_in, width = plan.sizes[k], plan.widths[k]
        for j in range(plan.sizes[k + 1]):
            row, to = plan.first[k] + j * size_in, plan.backward[k] + j * width
            for i in range(size_in):
                store1(memory, to + i, load1(flat, row + i))
