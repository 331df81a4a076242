"""`python -m fastlander`: the `fastlander` command."""

from fastlander.cli import run

run()
