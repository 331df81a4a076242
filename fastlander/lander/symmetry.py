"""The lander's left-right symmetry: what a mirror does to an observation and to an action."""

MIRROR_SIGNS = (-1, 1, -1, 1, -1, -1, 1, 1)  # x, vx, angle and angular velocity change sign
MIRROR_ORDER = (0, 1, 2, 3, 4, 5, 7, 6)  # the legs change places
MIRROR_ACTIONS = (0, 3, 2, 1)  # and so do the side engines
