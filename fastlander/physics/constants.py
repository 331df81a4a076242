"""Box2D's constants (2.3, `b2Settings.h`), and the step that Gymnasium's lander asks for.

All numbers are float32. A float64 in a kernel would widen the expression around it and change how it is rounded.
"""

import numpy as np

ZERO, HALF, ONE, TWO = (np.float32(x) for x in (0, 0.5, 1, 2))
MINUS_ZERO = np.float32(-0.0)  # added to any number, it changes no bit of it; 0 would turn -0 into 0
INFINITY = np.float32(np.inf)
PI = np.float32(3.14159265359)  # b2_pi
EPSILON = np.float32(np.finfo(np.float32).eps)  # b2_epsilon
MAX_FLOAT = np.float32(np.finfo(np.float32).max)  # b2_maxFloat

LINEAR_SLOP = np.float32(0.005)  # m: overlap or gap that counts as none, too small to be seen
ANGULAR_SLOP = TWO / np.float32(180) * PI  # rad, 2 degrees: the same for angles
POLYGON_RADIUS = TWO * LINEAR_SLOP  # m: skin around every polygon, so that shapes touch before they overlap
TOTAL_RADIUS = TWO * POLYGON_RADIUS  # m: the skins of both shapes of a contact
AABB_EXTENSION = np.float32(0.1)  # m: a proxy's box is larger by this, so that small motion does not move the proxy
AABB_MULTIPLIER = np.float32(2)  # a proxy's box is extended ahead by so many times the motion of the step
MAX_LINEAR_CORRECTION = np.float32(0.2)  # m: most that one position iteration corrects, against overshoot
MAX_ANGULAR_CORRECTION = np.float32(8) / np.float32(180) * PI  # rad, 8 degrees: the same for angles
MAX_TRANSLATION = np.float32(2)  # m: farthest that a body moves in a step, against numerical trouble
MAX_TRANSLATION_SQUARED = MAX_TRANSLATION * MAX_TRANSLATION  # m^2
MAX_ROTATION = HALF * PI  # rad: most that a body turns in a step, against numerical trouble
MAX_ROTATION_SQUARED = MAX_ROTATION * MAX_ROTATION  # rad^2
BAUMGARTE = np.float32(0.2)  # share of the overlap that one position iteration resolves; 1 would overshoot
TOI_BAUMGARTE = np.float32(0.75)  # the same after a time of impact (b2_toiBaugarte)
TIME_TO_SLEEP = np.float32(0.5)  # s: bodies at rest for so long fall asleep
LINEAR_SLEEP_TOLERANCE_SQUARED = np.float32(0.01) * np.float32(0.01)  # (m/s)^2: a faster body is not at rest
ANGULAR_SLEEP_TOLERANCE_SQUARED = ANGULAR_SLOP * ANGULAR_SLOP  # (rad/s)^2: 2 degrees per second, the same for turning
# Position iterations leave an overlap of LINEAR_SLOP, so they cannot be asked to end at a separation of -LINEAR_SLOP.
MINIMUM_SEPARATION = np.float32(-3) * LINEAR_SLOP  # m: b2ContactSolver::SolvePositionConstraints ends there
TOI_MINIMUM_SEPARATION = np.float32(-1.5) * LINEAR_SLOP  # m: b2ContactSolver::SolveTOIPositionConstraints ends there
MAX_POLYGON_VERTICES = 16  # as pybox2d is built; Box2D's own value is 8
MAX_SUB_STEPS = 8  # times of impact of one contact in one step; the contact is ignored after that
MAX_CONDITION_NUMBER = np.float32(1000)  # of a two-point contact's matrix: above it only one point is solved

TIME_STEP = np.float32(1 / 50)  # s: Gymnasium's 1 / FPS
VELOCITY_ITERATIONS = 180  # Gymnasium's 6 * 30
POSITION_ITERATIONS = 60  # Gymnasium's 2 * 30
TOI_POSITION_ITERATIONS = 20  # b2World::SolveTOI: subStep.positionIterations

INACTIVE, AT_LOWER, AT_UPPER = np.int32(0), np.int32(1), np.int32(2)  # b2LimitState

NO, YES = np.int32(0), np.int32(1)  # a flag in a row of int32
