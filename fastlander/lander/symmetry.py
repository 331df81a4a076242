"""The lander's left-right symmetry: what a mirror does to an observation and to an action.

Kernels can read these tuples, too.
"""

MIRROR_SIGNS = (-1, 1, -1, 1, -1, -1, 1, 1)  # x, vx, angle and angular velocity change their sign
MIRROR_ORDER = (0, 1, 2, 3, 4, 5, 7, 6)  # the contacts of the two legs change places
MIRROR_ACTIONS = (0, 3, 2, 1)  # the left and the right engine change places
