"""`python -m fastlander.report DIR`: report.html of a finished run, written again. Every run leaves one by itself."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fastlander.storage.files import check_new, writing

PROG = "fastlander report"


def write_report(directory: str | Path, output: str | Path | None = None) -> Path:
    """Write the page of a run: its path.

    Args:
        directory: of a run that has ended and whose policy was judged.
        output: file to make; None is `report.html` in `directory`, which is replaced.

    Raises:
        ValueError: no run, one without evaluations, or an output that exists or cannot be written.
    """
    from fastlander.storage.files import write_atomically  # here, as --help does not wait for torch and numba
    from fastlander.storage.run_directory import REPORT_FILE
    from fastlander.viewing.report_page import report_page

    directory = Path(directory)
    path = directory / REPORT_FILE if output is None else check_new(Path(output))
    page = report_page(directory)
    with writing(path):
        write_atomically(path, page.encode())
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Command line to a page; exit status 0, or 2 for bad input."""
    from fastlander.arguments import Directory, exit_status, parse

    def command(directory: Directory, output: str | None = None) -> int:
        """Write report.html of a finished run: learning curve, returns, and replays of its best and worst landings.

        Args:
            directory: Run directory.
            output: File to make; None is report.html in the directory, which is replaced.
        """
        print(f"Saved in {write_report(directory, output)}")
        return 0

    return exit_status(PROG, lambda: parse(command, argv, PROG, {}))


if __name__ == "__main__":
    sys.exit(main())
