"""What a package index shows of this package."""

import importlib.util
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def metadata():
    pytest.importorskip("hatchling")
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    return ProjectMetadata(str(ROOT), PluginManager())


@pytest.fixture(scope="module")
def hatch_build():
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def links(text):
    return re.findall(r"\]\(([^)]*)\)|(?:src|href|srcset)=\"([^\"]*)\"|^ *\[[^]]+\]: (\S+)", text, re.MULTILINE)


def test_no_link_of_the_description_leads_into_the_repository(metadata):
    """A package index knows no other file than the description."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    core = metadata.core
    assert core.readme_content_type == "text/markdown"
    absolute = re.compile("https://|mailto:")
    kept = [link for link in links(readme) if absolute.match("".join(link))]
    assert len(kept) < len(links(readme))
    assert links(core.readme) == kept
    assert len(core.readme.splitlines()) == len(readme.splitlines())


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("see [docs/runs.md](docs/runs.md#many-seeds).", "see docs/runs.md."),
        ("[`fastlander/config.py`](fastlander/config.py)", "`fastlander/config.py`"),
        ("[a note](docs/runs.md) of two", "a note (docs/runs.md) of two"),
        ("![a picture](docs/report.png)", "a picture (docs/report.png)"),
        ("[above](#train)", "above"),
        ('a <img src="docs/landing.gif" alt="b"> c', "a  c"),
        ("```\na[0](1)\n```\n[b](c)", "```\na[0](1)\n```\nb (c)"),
        ("[there](https://example.org/x#y) and `f(x)[0](1)`", "[there](https://example.org/x#y) and `f(x)[0](1)`"),
    ],
)
def test_relative_links_become_text(hatch_build, markdown, text):
    assert hatch_build.without_relative_links(markdown) == text
