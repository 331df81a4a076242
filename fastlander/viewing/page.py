"""Self-contained HTML pages: a template, styles and scripts of `viewing/web` in one file that loads nothing else."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import gymnasium as gym
import numpy as np

from fastlander.version import __version__


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

    loader = jinja2.FunctionLoader(lambda name: (web / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.get_template(template)
    return page.render(**values, style=joined(styles), script=joined(scripts))


def footer() -> str:
    """What wrote a page, and where."""
    return (
        f"Written by fastlander {__version__} with Python {platform.python_version()}, "
        f"numpy {np.__version__}, Gymnasium {gym.__version__} on {platform.system()} {platform.machine()}."
    )


def rounded(values: Iterable[float], digits: int = 2) -> list[float]:
    """Numbers for a page's data, where the digits that nobody sees would be most of its bytes."""
    return [round(float(value), digits) for value in values]
