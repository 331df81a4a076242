"""Adam (Kingma and Ba 2015) as a kernel over flat vectors."""

import numpy as np

from fastlander.kernels.jit import kernel

NEGLIGIBLE = np.float32(1e-30)
"""Moments below this become 0. Beside Adam's eps (1e-8) they are too small to move a parameter.

The moments of a dead unit shrink at every step until they are subnormal numbers, with which processors are slow: an
update took up to twice as long with them.
"""


@kernel
def flat_adam_step(parameters, gradient, exp_avg, exp_avg_sq, step_size, beta1, beta2, inverse_root_correction2, eps):
    """One step: float32[P] four times, changed in place; the other arguments are float32.

    step_size: the learning rate / (1 - beta1**t). inverse_root_correction2: 1 / sqrt(1 - beta2**t).
    """
    one, zero = np.float32(1), np.float32(0)
    for i in range(len(parameters)):
        g = gradient[i]
        m = exp_avg[i] + (one - beta1) * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + (one - beta2) * g * g
        exp_avg[i] = zero if abs(m) < NEGLIGIBLE else m
        exp_avg_sq[i] = zero if v < NEGLIGIBLE else v
        parameters[i] -= step_size * exp_avg[i] / (np.sqrt(exp_avg_sq[i]) * inverse_root_correction2 + eps)
