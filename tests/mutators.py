"""The changes that tests/mutations.py makes to a file of a run directory."""

import json
import os
import pathlib
import random
import re
import shutil
from collections.abc import Callable

HUGE = [
    "1e400",
    "-1e308",
    "1" + "0" * 400,
    "9" * 5000,
    "NaN",
    "Infinity",
    "-1",
    "1e18",
    str(2**63),
    str(2**53 + 1),
    "null",
]


def mutate(rng: random.Random, directory: pathlib.Path, other: pathlib.Path) -> tuple[str, str]:
    """Change one thing of the run in directory/"run": (its path in the run directory, what was done).

    Args:
        rng: random stream; the same one makes the same change.
        directory: holds "run" and the file "victim", which nobody may touch.
        other: directory of a run of the same kind with another seed.
    """
    run = directory / "run"
    paths = sorted(path for path in run.rglob("*"))
    # A path that no run has is for what a command might write there.
    new = [run / name for name in ("report.html", "flight.gif", "model.onnx", "checkpoint/.lock", "tensorboard")]
    path = rng.choice(paths * 4 + [path for path in new if not path.exists()])
    name = str(path.relative_to(run))
    if path.is_file():
        kind = rng.choice([*BYTES, *BYTES, *TEXT, *PLACES] if path.suffix in (".json", ".csv") else [*BYTES, *PLACES])
    elif path.exists():
        kind = rng.choice([delete, become_file, become_link, become_dangling_link, lose_a_file])
    else:
        kind = rng.choice([become_file, become_directory, become_link, become_dangling_link, become_pipe])
    if kind in BYTES:
        path.write_bytes(kind(rng, path.read_bytes()))
    elif kind in TEXT:
        path.write_bytes(kind(rng, path.read_bytes().decode()).encode())
    else:
        kind(rng, path, directory, other)
    return name, f"{name}: {kind.__name__}"


def truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) or 1)]


def flip_a_bit(rng: random.Random, content: bytes) -> bytes:
    place = rng.randrange(len(content) or 1)
    return (
        content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :] if content else b"\1"
    )


def change_a_byte(rng: random.Random, content: bytes) -> bytes:
    place = rng.randrange(len(content) or 1)
    return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]


def swap_blocks(rng: random.Random, content: bytes) -> bytes:
    a, b, c = sorted(rng.randrange(len(content) + 1) for _ in range(3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def zero_a_block(rng: random.Random, content: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:a] + bytes(b - a) + content[b:]


def cut_out_a_block(rng: random.Random, content: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:a] + content[b:]


def insert_bytes(rng: random.Random, content: bytes) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.choice([1, 10, 10_000])) + content[place:]


def extend(rng: random.Random, content: bytes) -> bytes:
    return content + rng.choice([b"\0", b"\n", b" ", content, rng.randbytes(100)])


def empty(rng: random.Random, content: bytes) -> bytes:
    return b""


def become_random(rng: random.Random, content: bytes) -> bytes:
    return rng.randbytes(len(content))


def change_a_digit(rng: random.Random, text: str) -> str:
    digits = [match.start() for match in re.finditer("[0-9]", text)]
    if not digits:
        return text
    place = rng.choice(digits)
    return text[:place] + rng.choice([d for d in "0123456789" if d != text[place]]) + text[place + 1 :]


def put_a_huge_number(rng: random.Random, text: str) -> str:
    numbers = [match.span() for match in re.finditer(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", text)]
    if not numbers:
        return text
    start, end = rng.choice(numbers)
    return text[:start] + rng.choice(HUGE) + text[end:]


def swap_lines(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return "".join(lines)


def lose_a_line(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    del lines[rng.randrange(len(lines))]
    return "".join(lines)


def repeat_a_line(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    place = rng.randrange(len(lines))
    return "".join([*lines[:place], lines[place], *lines[place:]])


def nest_deeply(rng: random.Random, text: str) -> str:
    depth = rng.choice([30, 500, 100_000])
    nest = "[" * depth + "]" * depth
    numbers = [match.span() for match in re.finditer("[0-9]+", text)]
    if not numbers:
        return nest
    start, end = rng.choice(numbers)
    return text[:start] + nest + text[end:]


def change_a_value(rng: random.Random, text: str) -> str:
    """Give a key of a JSON object a value of another type. Of a table: put text into a cell."""
    try:
        record = json.loads(text)
    except ValueError:
        return re.sub("[0-9]", "x", text, count=rng.randrange(1, 5))
    inner = record
    while isinstance(inner, dict) and inner:
        name = rng.choice(sorted(inner))
        if not isinstance(inner[name], dict) or rng.random() < 0.3:
            inner[name] = rng.choice([None, True, "x", "", -1, 0, 1.5, [], [1], {}, {"a": 1}, "\n", "x" * 10_000])
            break
        inner = inner[name]
    return json.dumps(record)


def delete(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def become_file(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    if path.exists():
        delete(rng, path, directory, other)
    path.write_bytes(rng.randbytes(20))


def become_directory(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    if path.exists():
        delete(rng, path, directory, other)
    path.mkdir()
    if rng.random() < 0.5:
        (path / "file").write_text("in the way")


def become_link(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    """Move it away, if it is there, and put a link to it, or to the victim, in its place."""
    if path.exists() and rng.random() < 0.5:
        shutil.move(path, directory / "moved")
        path.symlink_to(directory / "moved")
        return
    if path.exists():
        delete(rng, path, directory, other)
    path.symlink_to(directory / "victim")


def become_dangling_link(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    if path.exists():
        delete(rng, path, directory, other)
    path.symlink_to(directory / "nowhere")


def become_pipe(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    if path.exists():
        delete(rng, path, directory, other)
    os.mkfifo(path)


def become_another_file(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    """Another file of the same run."""
    files = sorted(one for one in (directory / "run").rglob("*") if one.is_file() and one != path)
    shutil.copy(rng.choice(files), path)


def become_another_run_s(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    """The same file of another run, or any checkpoint's file of the same name."""
    same = sorted(one for one in other.rglob(path.name) if one.is_file())
    if same:
        shutil.copy(rng.choice(same), path)
    else:
        path.write_bytes(b"")


def have_another_name(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    """Be there under a second name outside, too, where nothing may be written."""
    os.link(path, directory / "second name")


def lose_a_file(rng: random.Random, path: pathlib.Path, directory: pathlib.Path, other: pathlib.Path) -> None:
    files = sorted(one for one in path.rglob("*") if one.is_file())
    if files:
        rng.choice(files).unlink()


Bytes = Callable[[random.Random, bytes], bytes]
BYTES: list[Bytes] = [
    truncate, flip_a_bit, change_a_byte, swap_blocks, zero_a_block, cut_out_a_block, insert_bytes, extend, empty,
    become_random,
]  # fmt: skip
TEXT: list[Callable[[random.Random, str], str]] = [
    change_a_digit, change_a_digit, put_a_huge_number, put_a_huge_number, swap_lines, lose_a_line, repeat_a_line,
    nest_deeply, change_a_value, change_a_value,
]  # fmt: skip
PLACES: list[Callable[[random.Random, pathlib.Path, pathlib.Path, pathlib.Path], None]] = [
    delete, become_directory, become_link, become_dangling_link, become_pipe, become_another_file,
    become_another_run_s, become_another_run_s, have_another_name,
]  # fmt: skip
