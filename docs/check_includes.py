"""A hook of mkdocs that fails the build where a page shows an include line instead of the file that the line names.

pymdownx.snippets takes only its own spelling of such a line. Any other (a formatter once put blanks into it) is shown
as it stands, without a warning.
"""

import html
import re

INCLUDE = re.compile(r"--\s*8\s*<\s*--.*")


def unresolved_includes(page: str) -> list[str]:
    """The include lines that a reader of this HTML would see."""
    return INCLUDE.findall(html.unescape(re.sub(r"<[^>]+>", "", page)))


def on_post_page(output: str, *, page, **_) -> str:
    """The built page unchanged, for mkdocs, which calls this for every page. A broken page ends the build."""
    from mkdocs.exceptions import PluginError

    lines = unresolved_includes(output)
    if lines:
        raise PluginError(f"{page.file.src_uri} must include a file where it shows the line {lines[0]!r}")
    return output
