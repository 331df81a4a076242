"""Self-contained HTML pages: a template, styles and scripts of `fastlander/web` in one file that loads nothing else."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any


def build_page(template: str, styles: Sequence[str], scripts: Sequence[str], values: Mapping[str, Any]) -> str:
    """The HTML of a page.

    Args:
        template: name of the Jinja template; it shows `values`, and `data` among them goes to the scripts as JSON.
        styles: names of style sheets, put in as `style`.
        scripts: names of scripts, put in as `script` in this order.
        values: what the template shows; text in it is escaped.
    """
    import jinja2  # here, as only who writes a page has to wait for it
    from markupsafe import Markup

    web = resources.files("fastlander") / "viewing" / "web"

    def joined(names: Sequence[str]) -> Markup:
        return Markup("\n".join((web / name).read_text(encoding="utf-8") for name in names))

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string((web / template).read_text(encoding="utf-8"))
    return page.render(**values, style=joined(styles), script=joined(scripts))
