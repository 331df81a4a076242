"""Box2D's constants, from `b2Settings.h` and the step that Gymnasium's lander asks for.

All are float32: a float64 literal in a kernel would widen the expression and change its rounding.
Lengths in m, angles in rad, times in s.
"""

import numpy as np

ZERO, HALF, ONE, TWO = (np.float32(x) for x in (0, 0.5, 1, 2))
MINUS_ZERO = np.float32(-0.0)  # what can be added to any number without changing a bit of it
PI = np.float32(3.14159265359)
EPSILON = np.float32(np.finfo(np.float32).eps)
MAX_FLOAT = np.float32(np.finfo(np.float32).max)

LINEAR_SLOP = np.float32(0.005)
ANGULAR_SLOP = TWO / np.float32(180) * PI
POLYGON_RADIUS = TWO * LINEAR_SLOP
TOTAL_RADIUS = TWO * POLYGON_RADIUS  # of the two shapes in a contact
AABB_EXTENSION = np.float32(0.1)
AABB_MULTIPLIER = np.float32(2)
MAX_LINEAR_CORRECTION = np.float32(0.2)
MAX_ANGULAR_CORRECTION = np.float32(8) / np.float32(180) * PI
MAX_TRANSLATION = np.float32(2)
MAX_TRANSLATION_SQUARED = MAX_TRANSLATION * MAX_TRANSLATION
MAX_ROTATION = HALF * PI
MAX_ROTATION_SQUARED = MAX_ROTATION * MAX_ROTATION
BAUMGARTE = np.float32(0.2)
TOI_BAUMGARTE = np.float32(0.75)
TIME_TO_SLEEP = np.float32(0.5)
LINEAR_SLEEP_TOLERANCE_SQUARED = np.float32(0.01) * np.float32(0.01)
ANGULAR_SLEEP_TOLERANCE_SQUARED = ANGULAR_SLOP * ANGULAR_SLOP
MINIMUM_SEPARATION = np.float32(-3) * LINEAR_SLOP  # SolvePositionConstraints is content with it
MAX_POLYGON_VERTICES = 16  # pybox2d's build; Box2D's own default is 8
MAX_SUB_STEPS = 8
MAX_CONDITION_NUMBER = np.float32(1000)

TIME_STEP = np.float32(1 / 50)
VELOCITY_ITERATIONS = 180
POSITION_ITERATIONS = 60
TOI_POSITION_ITERATIONS = 20

INACTIVE, AT_LOWER, AT_UPPER = np.int32(0), np.int32(1), np.int32(2)  # b2LimitState

NO, YES = np.int32(0), np.int32(1)  # how int32 rows hold a flag
