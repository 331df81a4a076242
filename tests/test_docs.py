"""The docs: pages show the files that they include, and every path and name in the prose exists."""

import importlib.util
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PROSE = [
    *sorted(ROOT.glob("*.md")), ROOT / "NOTICE", *sorted((ROOT / "docs").glob("*.md")), ROOT / "docs" / "lecture.ipynb",
    *sorted((ROOT / "docs" / "examples").glob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py")),
    *sorted((ROOT / "tests" / "data").glob("*.md")),
]  # fmt: skip
BROKEN = '--8 < --"docs/examples/onnx_policy.py"'


def load_hook():
    spec = importlib.util.spec_from_file_location("check_includes", ROOT / "docs" / "check_includes.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    return hook


@pytest.mark.parametrize(
    ("page", "lines"),
    [
        ("<p>import sys</p>", []),
        ("<p>2 &lt; 8 -- 3</p>", []),
        ('<code>--8&lt;-- "a.py"</code>', ['--8<-- "a.py"']),
        ('<span class="o">--</span><span class="mi">8</span> <span class="o">&lt;</span> <span>--</span>"a.py"\n',
         ['--8 < --"a.py"']),
    ],
)  # fmt: skip
def test_an_include_line_is_found_in_html(page, lines):
    assert load_hook().unresolved_includes(page) == lines


SITE = """
site_name: site
docs_dir: pages
hooks: [{hook}]
plugins: []
markdown_extensions:
  - pymdownx.highlight
  - pymdownx.superfences
  - pymdownx.snippets: {{base_path: ["."], check_paths: true}}
"""


@pytest.mark.parametrize("fence", ["python", "{.python}"])
@pytest.mark.parametrize("line", ['--8<-- "program.py"', '--8 < --"program.py"'])
def test_the_build_fails_where_a_page_shows_an_include_line(in_tmp, fence, line):
    pytest.importorskip("mkdocs")
    pytest.importorskip("pymdownx")
    (in_tmp / "pages").mkdir()
    (in_tmp / "program.py").write_text("print('included')\n")
    (in_tmp / "pages" / "index.md").write_text(f"# Page\n\n```{fence}\n{line}\n```\n")
    (in_tmp / "mkdocs.yml").write_text(SITE.format(hook=ROOT / "docs" / "check_includes.py"))
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", "site"]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if "8<--" in line:
        assert done.returncode == 0, done.stderr
        assert "included" in (in_tmp / "site" / "index.html").read_text()
    else:
        assert done.returncode == 1
        assert f"index.md must include a file where it shows the line '{line}'" in done.stderr


def test_the_site_is_built_with_that_check():
    assert "\nhooks: [docs/check_includes.py]\n" in (ROOT / "mkdocs.yml").read_text()


def test_include_lines_are_spelled_as_the_site_reads_them():
    hook, count = load_hook(), 0
    for path in sorted((ROOT / "docs").glob("*.md")):
        for line in hook.INCLUDE.findall(path.read_text()):
            included = re.fullmatch(r'--8<-- "([\w./]+?)(:\d+)?"', line)
            assert included, f"{path.name}: {line}"
            assert (ROOT / included[1]).is_file(), f"{path.name}: {line}"
            count += 1
    assert count >= 6


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_path_in_the_prose_exists(path):
    text = path.read_text()
    for name in re.findall(r"\b(?:fastlander|tests|benchmarks|docs)/[\w./]*\w", text):
        if not re.fullmatch(r"fastlander/LunarLander(Continuous)?-?v?3?", name):  # environment ids
            assert (ROOT / name).exists(), f"{path.name}: {name}"


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_name_in_the_prose_exists(path):
    for name in sorted(set(re.findall(r"\bfastlander(?:\.\w+)+", path.read_text())) - {"fastlander.NAME"}):
        if ".sb3" in name:
            pytest.importorskip("stable_baselines3")
        assert pkgutil.resolve_name(name) is not None, f"{path.name}: {name}"


def test_every_test_that_contributing_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+?)(_\.\.\.\w*)?`", text)
    assert len(named) >= 9
    for path, name, _ in named:
        assert f"def {name}" in (ROOT / path).read_text(), f"{path}::{name}"
