"""Forward and backward pass of a network, as parts of kernels, on the matrices of a `Plan`."""

import numpy as np

from fastlander.kernels.jit import inlined, part
from fastlander.kernels.simd import where
from fastlander.kernels.simd_memory import fill16, load1, load16, store1, store16
from fastlander.learner.fused.matmul import LANES, NO_FLOOR, product, transposed_product

_ZERO = np.float32(0)


@part
def forward_pass(memory, plan, weights, biases, inputs, last, rows):
    """The network's values for the observations in inputs[0], into `last`; hidden outputs into inputs[1:]."""
    layers = len(plan.first)
    for k in range(layers):
        out, width = inputs[k + 1] if k + 1 < layers else last, plan.widths[k + 1]
        floor = _ZERO if k + 1 < layers else NO_FLOOR
        at, wide = inputs[k], plan.widths[k]
        product(memory, memory, out, width, rows, width, at, wide, weights[k], width, plan.sizes[k], biases[k], floor)


@inlined
def best_action(memory, at, count):
    """The first of the highest of `count` values."""
    best = 0
    for a in range(1, count):
        if memory[at + a] > memory[at + best]:
            best = a
    return best


@inlined
def column_sums(memory, at, stride, rows):
    """The sums of sixteen columns of a matrix. Four sums at a time: one addition waits for the one before it."""
    sum0 = sum1 = sum2 = sum3 = fill16(_ZERO)
    whole = rows - rows % 4
    for row in range(0, whole, 4):
        start = at + row * stride
        sum0, sum1 = sum0 + load16(memory, start), sum1 + load16(memory, start + stride)
        sum2, sum3 = sum2 + load16(memory, start + 2 * stride), sum3 + load16(memory, start + 3 * stride)
    for row in range(whole, rows):
        sum0 = sum0 + load16(memory, at + row * stride)
    return (sum0 + sum1) + (sum2 + sum3)


@part
def backward_pass(memory, plan, gradient, rows):
    """From grads[L], the derivative by the values, to the gradient of all parameters."""
    for k in range(len(plan.first) - 1, -1, -1):
        size_in, size_out = plan.sizes[k], plan.sizes[k + 1]
        wide_in, wide_out = plan.widths[k], plan.widths[k + 1]
        grads, inputs, weight = plan.grads[k + 1], plan.inputs[k], plan.weight_grad[k]
        first, no_bias = plan.first[k], plan.zeros[0]
        each = (grads, wide_out, inputs, wide_in, rows, no_bias, NO_FLOOR)
        if wide_in == size_in:
            transposed_product(gradient, memory, first, size_in, size_out, wide_in, *each)
        else:
            transposed_product(memory, memory, weight, wide_in, size_out, wide_in, *each)
            for j in range(size_out):
                for i in range(size_in):
                    store1(gradient, first + j * size_in + i, load1(memory, weight + j * wide_in + i))
        for n in range(0, wide_out, LANES):
            store16(memory, plan.bias_sums[0], column_sums(memory, grads + n, wide_out, rows))
            for j in range(min(LANES, size_out - n)):
                gradient[first + size_out * size_in + n + j] = memory[plan.bias_sums[0] + j]
        if k:
            below = plan.grads[k]
            factors = (grads, wide_out, plan.backward[k], wide_in, size_out, no_bias, NO_FLOOR)
            product(memory, memory, below, wide_in, rows, wide_in, *factors)
            for at in range(0, rows * wide_in, LANES):
                passes = load16(memory, inputs + at) > _ZERO
                store16(memory, below + at, where(passes, load16(memory, below + at), fill16(_ZERO)))
