"""`python -m fastlander`: the `fastlander` command."""

import sys

from fastlander.cli import main

sys.exit(main())
