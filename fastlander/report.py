"""`python -m fastlander.report DIR`: report.html of a finished run, written again. Every run leaves one by itself."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fastlander.validation import InputError

PROG = "fastlander report"


def write_report(directory: str | Path, output: str | Path | None = None) -> Path:
    """Write the page of a run: its path.

    Args:
        directory: of a run that has ended and whose policy was judged.
        output: file to make; None is `report.html` in `directory`, which is replaced.

    Raises:
        ValueError: no run, one without evaluations, or an output that exists or cannot be written.
    """
    from fastlander.model_file import write_atomically  # here, as --help does not wait for torch and numba
    from fastlander.report_page import REPORT_FILE, report_page

    directory = Path(directory)
    path = directory / REPORT_FILE if output is None else Path(output)
    if output is not None and path.exists():
        raise InputError(f"output must be a new file, got {str(path)!r}, which exists")
    page = report_page(directory)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page.encode())
    except OSError as error:
        raise InputError(f"output must be writable, got {str(path)!r} ({error.strerror or error})") from None
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Command line to a page; exit status 0, or 2 for bad input."""
    from fastlander.command_line import Directory, exit_status, parse

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
