"""Writing: whole files or none, and paths that are checked before."""

import os
import pathlib
import subprocess
import sys

import pytest

from fastlander.storage.files import (
    check_new,
    fresh_path,
    make_empty_directory,
    remove_empty,
    replacing,
    write_atomically,
    write_output,
)


def test_it_needs_nothing_slow():
    code = "import sys, fastlander.storage.files; print([m for m in ('torch', 'numba', 'scipy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def full(handle):
    raise OSError(28, "No space left on device")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_block_that_fails_leaves_nothing_whatever_it_made(tmp_path):
    def make_directory(path):
        path.mkdir()
        (path / "000000.png").write_text("a frame")

    for make in (make_directory, lambda path: path.write_text("half"), lambda path: None):
        with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "flight.gif") as temporary:
            make(temporary)
            raise KeyboardInterrupt
        assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_in_nobody_s_way(tmp_path):
    (tmp_path / ".frames.tmp").mkdir()
    (tmp_path / ".frames.tmp" / "000000.png").write_text("of then")
    with replacing(tmp_path / "frames") as temporary:
        temporary.mkdir()
        (temporary / "000001.png").write_text("of now")
    assert os.listdir(tmp_path) == ["frames"]
    assert os.listdir(tmp_path / "frames") == ["000001.png"]


@pytest.mark.parametrize("name", ["flight.mp4", "flight.gif", "frames", "v1.2.onnx"])
def test_the_temporary_path_lies_beside_and_ends_as_the_path_does(tmp_path, name):
    path = tmp_path / name
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == (path.suffix or ".tmp")
        temporary.write_text("x")
    assert os.listdir(tmp_path) == [name]


def test_an_output_s_directory_is_made_and_what_is_in_the_way_gets_one_line(tmp_path):
    write_output(tmp_path / "deep" / "down" / "page.html", b"page")
    assert (tmp_path / "deep" / "down" / "page.html").read_bytes() == b"page"
    with pytest.raises(ValueError, match=r"output must be writable, got .*page\.html/x' \(") as caught:
        write_output(tmp_path / "deep" / "down" / "page.html" / "x", b"page")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="output must be a new file, got .*deep', which exists"):
        check_new(tmp_path / "deep")


def test_a_fresh_path_is_one_that_nothing_has(in_tmp, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form: "20260102-030405")
    env_id = "fastlander:fastlander/LunarLander-v3"
    first = fresh_path(env_id, "seed3")
    assert first == pathlib.Path("runs/fastlander-LunarLander-v3-seed3-20260102-030405")
    for number in ("-2", "-3"):
        fresh_path(env_id, "seed3").mkdir(parents=True)
        assert fresh_path(env_id, "seed3") == first.with_name(first.name + number)
    assert fresh_path(env_id, "seed4") == pathlib.Path("runs/fastlander-LunarLander-v3-seed4-20260102-030405")


def test_the_directories_that_were_made_are_removed_up_to_one_in_use(tmp_path):
    made = make_empty_directory(tmp_path / "a" / "b" / "c")
    assert made == [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert make_empty_directory(tmp_path / "a" / "b" / "c") == []
    (tmp_path / "a" / "notes").write_text("precious")
    remove_empty(made)
    assert os.listdir(tmp_path / "a") == ["notes"]
    with pytest.raises(ValueError, match="output_dir must be a new or empty directory, got .*a', which is in use"):
        make_empty_directory(tmp_path / "a")
    with pytest.raises(ValueError, match=r"output_dir must be writable, got .*notes/x/y' \(Not a directory\)"):
        make_empty_directory(tmp_path / "a" / "notes" / "x" / "y")
