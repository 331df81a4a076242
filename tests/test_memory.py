import os

from fastlander import memory


def test_control_groups_of_any_name_are_found(tmp_path):
    name = b"g\xf6\xeb\x82\x98"  # two encodings in one name
    group = os.path.join(os.fsencode(tmp_path), name)
    os.mkdir(group)
    for file, text in ((b"memory.max", b"5000"), (b"memory.current", b"3000"), (b"memory.stat", b"inactive_file 100")):
        with open(os.path.join(group, file), "wb") as stream:
            stream.write(text + b"\n")
    membership = tmp_path / "cgroup"
    membership.write_bytes(b"0::/" + name + b"\n")
    assert list(memory._of_control_groups(tmp_path, membership)) == [2100]
