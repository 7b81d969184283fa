"""What `serve` says of a line that answers on many paths."""

from trunkline.cli.serve import _addresses


def test_a_port_is_one_row_however_many_paths_it_has():
    rows = _addresses("qq", ["ws://h:1/ws/", "ws://h:1/ws", "ws://h:1/onebot", "ws://h:2/ws/"])

    assert len(rows) == 2
    assert "ws://h:1/ws/" in rows[0]
    assert "2" in rows[0].split("ws://h:1/ws/")[1]
    assert rows[1].endswith("ws://h:2/ws/")
