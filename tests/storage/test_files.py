"""Writing: whole files or none, and paths that are checked before."""

import os
import pathlib
import subprocess
import sys

import pytest

from fastlander.storage.files import (
    check_new,
    clear_temporaries,
    fresh_path,
    make_empty_directory,
    open_to_append,
    remove_empty,
    replacing,
    write_atomically,
    write_output,
    write_synced,
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


def test_what_a_killed_process_left_is_removed_when_the_same_is_written_again(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    left = [".frames.tmp", ".frames.0123456789abcdef.tmp"]  # of an earlier version, and of this one
    for name in left:
        (tmp_path / name).mkdir()
        (tmp_path / name / "000000.png").write_text("of then")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".frames.1111111111111111.tmp").symlink_to(precious)
    os.utime(tmp_path / ".frames.1111111111111111.tmp", (0, 0), follow_symlinks=False)
    others = [".frames.tmp.gif", ".frames.xyz", ".other.0123456789abcdef.tmp", "frames.tmp"]  # of other things
    for name in others:
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".frames.2222222222222222.tmp").write_text("of a process that writes it now")
    with replacing(tmp_path / "frames") as temporary:
        temporary.mkdir()
        (temporary / "000001.png").write_text("of now")
    assert sorted(os.listdir(tmp_path)) == sorted(["frames", "precious", ".frames.2222222222222222.tmp", *others])
    assert os.listdir(tmp_path / "frames") == ["000001.png"]
    assert os.listdir(precious) == ["file"]
    clear_temporaries(tmp_path, ["frames", "other"])
    assert sorted(os.listdir(tmp_path)) == sorted(
        ["frames", "precious", *[name for name in others if "other" not in name]]
    )
    clear_temporaries(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".frames.xyz", "frames", "frames.tmp", "precious"]


def test_no_temporary_name_can_be_foreseen_and_none_is_written_through(tmp_path):
    (tmp_path / "victim").write_text("precious")
    names = set()
    for _ in range(20):
        with replacing(tmp_path / "report.html") as temporary:
            names.add(temporary.name)
            temporary.symlink_to(tmp_path / "victim")
            with pytest.raises(FileExistsError):
                write_synced(temporary, b"page")
            temporary.unlink()
            write_synced(temporary, b"page")
    assert len(names) == 20
    assert (tmp_path / "victim").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["report.html", "victim"]


def test_a_name_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("x" * 250 + ".gif")
    write_output(path, b"frames")
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(ValueError, match="output must be writable, got .*File name too long") as caught:
        write_output(tmp_path / ("x" * 256), b"frames")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["victim", "nowhere", "."])
def test_a_link_in_the_place_of_an_output_is_refused_and_not_followed(tmp_path, target):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "page.html").symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match=r"output must be writable, got .*page\.html' \(it is a link"):
        write_output(tmp_path / "page.html", b"page")
    with pytest.raises(ValueError, match="output must be a new file, got .*, which exists"):
        check_new(tmp_path / "page.html")
    with pytest.raises(OSError, match="symbolic links"):
        open_to_append(tmp_path / "page.html")
    assert (tmp_path / "victim").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["page.html", "victim"]


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
    with pytest.raises(ValueError, match=r"output_dir must be writable, got .* \(embedded null byte\)"):
        make_empty_directory(tmp_path / "b\0" / "c")
    assert os.listdir(tmp_path) == ["a"]
