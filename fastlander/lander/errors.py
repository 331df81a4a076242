"""Errors of the native lander. Each is also of the kind that `SyncVectorEnv` raises for the same mistake."""

import gymnasium as gym

from fastlander.validation import InputError


class WrongType(InputError, TypeError):
    """An argument is of a type that cannot be used, such as one number where N actions are needed."""


class WrongAction(InputError, AssertionError):
    """An action that is not in the action space."""


class WrongSetting(InputError, AssertionError):
    """A setting of the game that is out of its range."""


class WrongSeed(InputError, gym.error.Error):
    """A seed that is no natural number."""


class WrongSeedType(WrongSeed, TypeError):
    """A seed that is no integer."""


class NoSuchAttribute(InputError, AttributeError):
    """A lander has no attribute of this name, or none that can be set."""


class NotReset(InputError, gym.error.ResetNeeded):
    """A method was called before `reset`."""


class Closed(InputError, gym.error.ClosedEnvironmentError):
    """A method was called after `close`."""
