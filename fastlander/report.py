"""`python -m fastlander.report DIR`: write report.html of a finished run again. Every run writes one at its end."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fastlander.storage.files import REPORT_FILE, check_new, write_output
from fastlander.storage.hub import hub_id
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import InputError, check_path

PROG = "fastlander report"


def write_report(directory: str | Path, output: str | Path | None = None, *, imports: Sequence[str] = ()) -> Path:
    """Write the report of a run as an HTML page; its path.

    Args:
        directory: of a run that has ended and whose policy was judged.
        output: new file to make. None is `report.html` in `directory`, which is replaced.
        imports: modules that may be imported, where the run's environment is "module:id". They are imported.

    Raises:
        ValueError: the directory has no run or no evaluations, or damaged ones; the run's environment needs a module
            that is not in `imports`; or the output exists or cannot be written.
    """
    from fastlander.viewing.report_page import report_page  # here, so that --help does not wait for torch and numba

    directory = check_path("directory", directory)
    if hub_id(directory) is not None:
        raise InputError(
            f"directory must be a run directory, as a model on a hub has no tables, got {str(directory)!r}"
        )
    path = directory / REPORT_FILE if output is None else check_new(check_path("output", output))
    write_output(path, report_page(directory, imports).encode())
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; exit status as of `exit_status`."""
    from fastlander.arguments import Directory, Imports, parse

    def command(directory: Directory, output: str | None = None, imports: Imports = ()) -> int:
        """Write report.html of a finished run: learning curve, returns, and its best, median and worst landing to play.

        Args:
            directory: Run directory.
            output: New file to make. None is report.html in the directory, which is replaced.
            imports: Python module that the run's environment may import, and so run. May be given several times.
        """
        print_lines(f"Saved in {write_report(directory, output, imports=imports)}")
        return 0

    return exit_status(PROG, lambda: parse(command, argv, PROG, {}))


if __name__ == "__main__":
    sys.exit(main())
