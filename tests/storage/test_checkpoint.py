"""Checkpoints on disk: states go out and come back, and nothing that was damaged is taken."""

import hashlib
import io
import json
import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file

from fastlander.states import Vector, vector
from fastlander.storage.checkpoint import checkpoints, load_checkpoint, save_checkpoint

FILES = ["arrays.npz", "state.json", "weights.safetensors"]


def a_state():
    return {
        "network": {"flat": vector(np.arange(5, dtype=np.float32)), "half": vector(np.ones((2, 3), np.float16))},
        "buffer": {"obs": np.arange(12, dtype=np.float32).reshape(3, 4), "position": 7},
    }


def test_states_come_back_as_they_were(tmp_path):
    state = {
        "a": {
            "tensor": vector(np.arange(3, dtype=np.float32)),
            "array": np.arange(4, dtype=np.uint64),
            "empty": np.zeros((0, 2), np.float32),
        },
        "number": 0.1 + 0.2,
        "big": 2**100,
        "none": None,
        "nan": float("nan"),
        "nested": {"deep": {"text": "é", "list": [1, 2]}},
    }
    path = save_checkpoint(tmp_path, 7, state)
    back = load_checkpoint(path)
    assert back["a"]["tensor"].tolist() == [0, 1, 2]
    assert isinstance(back["a"]["tensor"], Vector)
    assert load_file(path / "weights.safetensors").keys() == {"a/tensor"}
    assert back["a"]["array"].dtype == np.uint64
    assert back["a"]["empty"].shape == (0, 2)
    assert np.isnan(back.pop("nan"))
    for name in ("number", "big", "none", "nested"):
        assert back[name] == state[name]


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.zeros((2, 0, 3), np.int8),
        np.array([True, False]),
        np.arange(6, dtype=np.int64).reshape(2, 3).T,
        np.array([np.inf, -0.0, np.nan], np.float32),
        np.array([2**64 - 1], np.uint64),
    ],
    ids=["no axis", "empty", "bool", "transposed", "float32", "uint64"],
)
def test_an_array_keeps_dtype_shape_and_bits(tmp_path, array):
    back = load_checkpoint(save_checkpoint(tmp_path, 1, {"part": {"array": array}}))["part"]["array"]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_a_vector_that_is_a_view_comes_back_as_what_it_shows(tmp_path):
    whole = np.arange(12, dtype=np.float32).reshape(3, 4).view(Vector)
    views = {"column": whole[:, 1], "transposed": whole.T, "row": whole[2]}
    back = load_checkpoint(save_checkpoint(tmp_path, 1, {"views": views}))["views"]
    for name, view in views.items():
        assert np.array_equal(back[name], view)


def test_a_part_without_any_state_comes_back_too(tmp_path):
    assert load_checkpoint(save_checkpoint(tmp_path, 1, {"idle": {}, "x": 1})) == {"idle": {}, "x": 1}


def test_the_newest_two_are_kept_in_the_order_of_their_steps(tmp_path):
    for step in (5, 900, 1_000, 10_000):
        save_checkpoint(tmp_path, step, {"step": step})
    assert [load_checkpoint(path)["step"] for path in checkpoints(tmp_path)] == [1_000, 10_000]
    assert sorted(os.listdir(tmp_path)) == ["000000001000", "000000010000"]
    assert sorted(os.listdir(tmp_path / "000000001000")) == FILES


def test_what_is_no_checkpoint_is_none(tmp_path):
    assert checkpoints(tmp_path / "nowhere") == []
    (tmp_path / ".000000000003.tmp").mkdir()
    (tmp_path / "000000000004").write_text("a file")
    (tmp_path / "notes").mkdir()
    assert checkpoints(tmp_path) == []


def test_a_failed_write_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path, 1, {"x": 1})

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for step in (2, 1):  # a finished run that is resumed writes the same step again
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(tmp_path, step, {"x": 2})
        assert os.listdir(tmp_path) == [path.name]
        assert load_checkpoint(path) == {"x": 1}


def test_the_same_step_is_replaced_and_what_a_killed_process_left_is_overwritten(tmp_path):
    save_checkpoint(tmp_path, 1, {"x": 1})
    (tmp_path / ".000000000001.tmp").mkdir()
    (tmp_path / ".000000000001.tmp" / "weights.safetensors").write_text("half a file")
    assert load_checkpoint(save_checkpoint(tmp_path, 1, {"x": 2})) == {"x": 2}
    assert os.listdir(tmp_path) == ["000000000001"]


class Trap:
    """Unpickling it leaves a mark."""

    sprung = False

    def __reduce__(self):
        return spring, ()


def spring():
    Trap.sprung = True


def truncated(content):
    return content[: len(content) // 2]


def altered(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def pickled(content):
    return pickle.dumps(Trap())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [truncated, altered, pickled, None], ids=["truncated", "altered", "pickle", "gone"])
def test_a_damaged_file_is_refused_by_name_and_reason(tmp_path, name, damage):
    path = save_checkpoint(tmp_path, 3, a_state()) / name
    if damage is None:
        path.unlink()
    elif (name, damage) == ("state.json", altered):
        path.write_bytes(path.read_bytes().replace(b'"sha256"', b'"sha257"'))
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="a checkpoint must be as it was written, got .*" + name) as caught:
        load_checkpoint(path.parent)
    assert "\n" not in str(caught.value)
    assert not Trap.sprung


def object_array():
    file = io.BytesIO()
    np.savez(file, trap=np.array([Trap()], dtype=object))
    return file.getvalue()


def with_checksum(path, name, content):
    """Replace a file of a checkpoint, with the checksum that belongs to it."""
    (path / name).write_bytes(content)
    record = json.loads((path / "state.json").read_text())
    record["sha256"][name] = hashlib.sha256(content).hexdigest()
    rewrite(path, record)


def rewrite(path, record):
    """Write the state.json of a checkpoint anew, with the checksum that belongs to it."""
    record["sha256"].pop("state.json", None)
    record["sha256"]["state.json"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    (path / "state.json").write_text(json.dumps(record))


@pytest.mark.parametrize("content", [pickle.dumps(Trap()), object_array(), b"PK\x03\x04"], ids=["pickle", "npz", "zip"])
def test_a_pickle_with_the_right_checksum_is_not_unpickled_either(tmp_path, content):
    path = save_checkpoint(tmp_path, 3, a_state())
    with_checksum(path, "arrays.npz", content)
    with pytest.raises(ValueError, match=r"arrays\.npz' \(it is no npz file of plain arrays: "):
        load_checkpoint(path)
    assert not Trap.sprung


def test_another_kind_of_weights_with_the_right_checksum_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, 3, a_state())
    with_checksum(path, "weights.safetensors", b"\x80\x04K\x01.")
    with pytest.raises(ValueError, match=r"weights\.safetensors' \(it is no safetensors file: "):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "it is no record of a checkpoint"),
        ({"format": 1, "sha256": {}}, "it is no record of a checkpoint"),
        ({"format": 1, "sha256": [], "values": {}}, "it is no record of a checkpoint"),
        ({"format": 1, "sha256": {}, "values": 3}, "it is no record of a checkpoint"),
        (
            {"format": 99, "sha256": {}, "values": {}, "fastlander_version": "9.0"},
            "fastlander 9.0 wrote it, and this is",
        ),
    ],
    ids=["a list", "no values", "no checksums", "values of another kind", "a later format"],
)
def test_another_record_is_refused(tmp_path, record, reason):
    path = save_checkpoint(tmp_path, 3, a_state())
    (path / "state.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=reason):
        load_checkpoint(path)


def test_a_value_in_the_place_of_a_part_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, 3, a_state())
    record = json.loads((path / "state.json").read_text())
    record["values"] = {"buffer": 3, **record["values"]}
    (path / "state.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"a checkpoint must be as it was written, got .*state\.json"):
        load_checkpoint(path)
