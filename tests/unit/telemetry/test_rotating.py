"""A log file is private, bounded, and keeps what it should."""

import stat

from trunkline.telemetry.rotating import RotatingFile


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_is_private_also_when_it_was_not(tmp_path):
    path = tmp_path / "t.log"
    path.write_text("old\n")
    path.chmod(0o644)
    file = RotatingFile(path, 1000, 2)
    file.write("new\n")
    file.close()
    assert path.read_text() == "old\nnew\n"
    assert mode(path) == 0o600


def test_full_files_move_up_and_the_oldest_goes(tmp_path):
    path = tmp_path / "t.log"
    file = RotatingFile(path, 10, 2)
    for word in ("aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"):
        file.write(word + "\n")
    file.close()
    assert path.read_text() == "dddddddd\n"
    assert (tmp_path / "t.log.1").read_text() == "cccccccc\n"
    assert (tmp_path / "t.log.2").read_text() == "bbbbbbbb\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["t.log", "t.log.1", "t.log.2"]
    assert mode(tmp_path / "t.log.1") == 0o600


def test_size_counts_bytes_and_what_was_there(tmp_path):
    path = tmp_path / "t.log"
    path.write_text("12345678\n")
    file = RotatingFile(path, 12, 1)
    file.write("好\n")  # 4 bytes: 13 in all
    file.close()
    assert path.read_text() == "好\n"
    assert (tmp_path / "t.log.1").read_text() == "12345678\n"


def test_keep_nothing(tmp_path):
    path = tmp_path / "t.log"
    file = RotatingFile(path, 4, 0)
    file.write("aaa\n")
    file.write("bbb\n")
    file.close()
    assert path.read_text() == "bbb\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_line_longer_than_the_file_is_written_once(tmp_path):
    path = tmp_path / "t.log"
    file = RotatingFile(path, 4, 3)
    file.write("much longer than that\n")
    file.close()
    assert path.read_text() == "much longer than that\n"
    assert len(list(tmp_path.iterdir())) == 1
