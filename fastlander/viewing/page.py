"""Self-contained HTML pages: a template, styles and scripts of `viewing/web` in one file that loads nothing else."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any


def build_page(template: str, styles: Sequence[str], scripts: Sequence[str], values: Mapping[str, Any]) -> str:
    """The HTML of a page.

    Args:
        template: name of the Jinja template.
        styles: names of style sheets; the template puts them in as `style`.
        scripts: names of scripts; the template puts them in as `script`, in this order.
        values: what the template shows. Text is escaped. `data` is for the scripts, as JSON.
    """
    import jinja2  # here, so that only writing a page waits for it
    from markupsafe import Markup

    web = resources.files("fastlander") / "viewing" / "web"

    def joined(names: Sequence[str]) -> Markup:  # our own text, which is not escaped
        return Markup("\n".join((web / name).read_text(encoding="utf-8") for name in names))

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string((web / template).read_text(encoding="utf-8"))
    return page.render(**values, style=joined(styles), script=joined(scripts))
