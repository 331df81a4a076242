"""The version of this package, for everything that says which fastlander wrote it."""

__version__ = "0.1.0"
