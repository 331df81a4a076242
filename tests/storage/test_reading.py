"""Reading anybody's files: what is no plain file, too large, too deep or too clever gets a reason of a few words."""

import io
import json
import os
import random
import struct
import zipfile

import numpy as np
import pytest

from fastlander.storage.reading import machine_memory, opened, parse_json, parse_npz, read_file


def reason(path, most=100):
    with pytest.raises(OSError, match=".") as caught:
        read_file(path, most)
    return caught.value.strerror


def test_a_plain_file_is_read_up_to_the_size_that_is_allowed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_file(path, 100) == b"x" * 100
    assert reason(path, 99) == "it has 0 MB, at most 0"
    with open(path, "wb") as file:
        file.truncate(10**12)  # takes no room on the disk
    assert reason(path, 10**9) == "it has 1,000,000 MB, at most 1,000"
    with opened(path, 10**12) as (file, size):
        assert (file.read(3), size) == (b"\0\0\0", 10**12)
    path.write_bytes(b"")
    assert read_file(path, 0) == b""


def test_what_is_no_plain_file_is_not_read_and_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "link") == reason(tmp_path / "dangling") == "it is a link, which is not followed"
    assert reason(tmp_path / "directory") == "Is a directory"
    assert reason(tmp_path / "pipe") == "Not a file"
    assert reason(tmp_path / "nowhere") == "No such file or directory"
    assert reason(tmp_path / "a\0b") == "Invalid path"
    assert reason(tmp_path / ("x" * 300)) == "File name too long"

    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", forbidden)  # root may read everything
    assert reason(tmp_path / "file") == "Permission denied"


def test_the_memory_of_this_machine_is_known():
    assert 10**8 < machine_memory() < 10**14


def test_json_comes_back():
    record = {"a": [1, 2.5, None, True, "é"], "b": {"c": {"d": [[[]]]}}, "big": 2**100}
    assert parse_json(json.dumps(record).encode()) == record


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is no JSON: Expecting value"),
        (b'{"a": 1', "it is no JSON: Expecting ',' delimiter"),
        (b"\xff\xfe{}", "it is no text in UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "it is no text in UTF-8"),
        (b"[" * 21 + b"]" * 21, "it is nested too deep"),
        (b"[" * 100_000, "it is nested too deep"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "it is nested too deep"),
        (b'{"a": %s}' % (b"9" * 5_000), "it has a number of too many digits"),
    ],
    ids=["nothing", "cut", "bytes", "utf-16", "21 deep", "100,000 deep", "500 objects", "5,000 digits"],
)
def test_what_is_no_json_has_a_reason(content, why):
    with pytest.raises(ValueError, match=".") as caught:
        parse_json(content)
    assert str(caught.value).startswith(why)


ARRAYS = {
    "float32": np.array([[1.5, -0.0], [np.nan, np.inf]], np.float32),
    "none": np.zeros((0, 3), np.int64),
    "number": np.array(2**64 - 1, np.uint64),
    "bool": np.array([True, False]),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_arrays_come_back_as_numpy_reads_them():
    content = npz(**ARRAYS)
    with np.load(io.BytesIO(content)) as file:
        expected = {name: file[name] for name in file.files}
    read = parse_npz(content)
    assert list(read) == list(expected)
    for name, array in expected.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()
        assert read[name].flags.f_contiguous == array.flags.f_contiguous
        assert read[name].flags.writeable


def zipped(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array, header=None):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    if header is None:
        return file.getvalue()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def bomb():
    """A few kilobytes that claim ten megabytes."""
    return zipped({"a.npy": npy(np.zeros(10_000_000, np.uint8))}, zipfile.ZIP_DEFLATED)


def overlapping():
    """Two members that are the same bytes of the file."""
    content = bytearray(zipped({"a.npy": npy(np.arange(50)), "b.npy": npy(np.arange(50))}))
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = bytes(4)  # where the second one begins
    return bytes(content)


def encrypted():
    content = bytearray(zipped({"a.npy": npy(np.arange(5))}))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


HEADERS = {
    "a trillion numbers": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n",
    "a negative size": b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n",
    "objects": b"{'descr': '|O', 'fortran_order': False, 'shape': (0,), }\n",
    "fields": b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (0,), }\n",
    "a call": b"{'descr': __import__('os').system('touch trap'), 'fortran_order': False, 'shape': (1,), }\n",
    "a deep nest": b"(" * 5_000 + b")" * 5_000 + b"\n",
    "no dict": b"3\n",
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        bomb(),
        overlapping(),
        encrypted(),
        zipped({"a.npy": b"no array"}),
        zipped({"a.npy": npy(np.array([object()], dtype=object))}),
        zipped({"a.npy": npy(np.arange(5))[:-1]}),
        zipped({"a.npy": npy(np.arange(5)) + b"x"}),
        *(zipped({"a.npy": npy(None, header)}) for header in HEADERS.values()),
    ],
    ids=["nothing", "a start", "a bomb", "overlapping", "encrypted", "text", "an object", "short", "long", *HEADERS],
)
def test_other_archives_are_refused_and_inflated_by_nobody(in_tmp, content):
    with pytest.raises(ValueError, match="it is no npz file of plain arrays: ") as caught:
        parse_npz(content)
    assert "\n" not in str(caught.value)
    assert os.listdir(in_tmp) == []


def test_a_thousand_altered_archives_are_read_or_refused():
    rng, content = random.Random(0), npz(**ARRAYS)
    refused = 0
    for _ in range(1_000):
        altered = bytearray(content)
        for _ in range(rng.randrange(1, 4)):
            altered[rng.randrange(len(altered))] = rng.randrange(256)
        try:
            assert all(isinstance(array, np.ndarray) for array in parse_npz(bytes(altered)).values())
        except ValueError:
            refused += 1
    assert 500 < refused < 1_000
