"""`python -m fastlander.compare A B ...`: runs and several seeds beside each other, as a page, a CSV and a table."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastlander.storage.files import check_new, write_output
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import InputError, check_path

if TYPE_CHECKING:
    from fastlander.viewing.comparison import Comparison, Estimate

PROG = "fastlander compare"
PAGE = "comparison.html"
LEGEND = (
    "Interquartile means over seeds with 95% intervals. A seed that was not solved takes forever (inf). "
    "Open: seeds that have not ended or have failed."
)
PAIRS_PRINTED = 10
"""More pairs than that are not printed, but for those of the first method."""


def compare(directories: Sequence[str | Path] | Mapping[str, str | Path | Sequence[str | Path]]) -> "Comparison":
    """The figures of several methods beside each other. Nothing is written, and nothing in the directories is executed.

    Args:
        directories: of runs that have ended and of several seeds, each of them a method with the name of the directory.
            A text "NAME=DIR" gives another name, "NAME=DIR,DIR" takes several directories as one method. Or a mapping
            of names to a directory or several.

    Returns:
        The `Comparison`: `figures` per method, `pairs`, `differences` of the settings, and `to_csv`.

    Raises:
        ValueError: a directory is neither of a run nor of several seeds, has no run that ended, or is damaged; a method
            has runs of other settings, or a seed twice; two methods have one name, or other environments.
    """
    from fastlander.storage.methods import check_same_environment, read_method  # here, for a quick --help
    from fastlander.viewing.comparison import compare_methods

    named = _of_mapping(directories) if isinstance(directories, Mapping) else _of_texts(directories)
    if not named:
        raise InputError("directories must be one or more, got none")
    methods = [read_method(label, paths) for label, paths in named]
    check_same_environment(methods)
    return compare_methods(methods)


def write_comparison(
    directories: Sequence[str | Path] | Mapping[str, str | Path | Sequence[str | Path]], output: str | Path = PAGE
) -> "Comparison":
    """Write the figures of several methods as an HTML page and, beside it, as a CSV file.

    Args:
        directories: as of `compare`.
        output: new file to make, whose name ends with ".html". That of the CSV file ends with ".csv".

    Raises:
        ValueError: as from `compare`; or a file exists or cannot be written.
    """
    from fastlander.viewing.compare_page import compare_page

    page, csv = new_files(output)
    comparison = compare(directories)
    text = compare_page(comparison)
    write_output(csv, comparison.to_csv())
    write_output(page, text.encode())
    return comparison


def new_files(output: str | Path) -> tuple[Path, Path]:
    """The paths of the page and of the CSV file. ValueError if one exists or the name does not end with ".html"."""
    page = check_new(check_path("output", output))
    if page.suffix != ".html":
        raise InputError(f"output must have a name that ends with .html, got {str(page)!r}")
    return page, check_new(page.with_suffix(".csv"))


def summary(comparison: "Comparison", columns: int = 80) -> str:
    """The figures as tables of text that are at most so many columns wide."""
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fastlander.viewing.compare_page import shown

    def cell(estimate: "Estimate | None", form: str) -> Text:
        return Text("-" if estimate is None else "\n".join(filter(None, shown(estimate, form))))

    def table(names: int, *headers: str) -> Table:
        made = Table(box=box.ASCII2, show_edge=False, pad_edge=False)
        for i, header in enumerate(headers):  # in 80 columns, all but the names stay whole
            made.add_column(header, overflow="fold", no_wrap=i >= names and columns >= 80)
        return made

    figures = table(1, "method", "solved", "steps to solve", "seconds", "greedy mean", "worst")
    for one in comparison.figures:
        missing = f"\n{one.asked - one.seeds} open" if one.seeds < one.asked else ""
        solved = f"-/{one.seeds}" if one.solved is None else f"{one.solved}/{one.seeds}"
        estimates = cell(one.steps, ",.0f"), cell(one.seconds, ",.1f"), cell(one.greedy, ",.1f")
        figures.add_row(Text(one.label), Text(solved + missing), *estimates, Text(f"{one.worst:,.1f}"))
    pairs = table(2, "probability that", "is better than", "in greedy mean", "in steps")
    chosen = comparison.pairs
    if len(chosen) > PAIRS_PRINTED:
        chosen = [pair for pair in chosen if pair.method == comparison.figures[0].label]
    for pair in chosen:
        pairs.add_row(Text(pair.method), Text(pair.other), cell(pair.greedy, ".2f"), cell(pair.steps, ".2f"))
    text = io.StringIO()
    console = Console(file=text, width=columns, color_system=None, legacy_windows=False)
    console.print(figures)
    console.print(LEGEND, markup=False, highlight=False)
    if chosen:
        console.print()
        console.print(pairs)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().split("\n"))


def _of_mapping(directories: Mapping[str, str | Path | Sequence[str | Path]]) -> list[tuple[str, list[Path]]]:
    named = []
    for label, value in directories.items():
        several = [value] if isinstance(value, str | os.PathLike) else list(value)
        if not several:
            raise InputError(f"directories must have one or more for each name, got none for {label!r}")
        named.append((label, [check_path("directory", path) for path in several]))
    return named


def _of_texts(directories: Sequence[str | Path]) -> list[tuple[str, list[Path]]]:
    """Label and paths of each argument. What exists as a path is one, whatever is in its name."""
    named: list[tuple[str | None, list[Path]]] = []
    for one in directories:
        label, equals, paths = os.fspath(one).partition("=")
        if not equals or os.path.lexists(check_path("directory", one)):
            named.append((None, [check_path("directory", one)]))
        elif not label:
            raise InputError(f"directory must have a name before the =, got {str(one)!r}")
        else:
            named.append((label, [check_path("directory", path) for path in paths.split(",")]))
    names = [label or path[0].resolve().name for label, path in named]
    # Directories of one name are told apart by their paths.
    labels = [
        str(path[0]) if label is None and names.count(name) > 1 else name
        for name, (label, path) in zip(names, named, strict=True)
    ]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise InputError(f"directories must have different names, got {twice[0]!r} twice; NAME=DIR gives a name")
    return [(label, paths) for label, (_, paths) in zip(labels, named, strict=True)]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the comparison; exit status as of `exit_status`."""
    import tyro

    from fastlander.arguments import parse

    Directories = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME=]DIR")]

    def command(directories: Directories, output: str = PAGE) -> int:
        """Compare runs, or several seeds, of different settings: learning curves, intervals, and who is better.

        Args:
            directories: Run directory or directory of --seeds. Each is a method. NAME=DIR,DIR makes one of several.
            output: New page to make, ending with .html. A table of the figures is written beside it, ending with .csv.
        """
        comparison = write_comparison(directories, output)
        print_lines(summary(comparison))
        print_lines(f"Saved in {output} and {Path(output).with_suffix('.csv')}")
        return 0

    return exit_status(PROG, lambda: parse(command, argv, PROG, {}))


if __name__ == "__main__":
    sys.exit(main())
