"""Large messages are read without holding up the loop: by machine code, not step by step.

Times are of the processor and compared with the straightforward way on the same machine.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable

from trunkline.dialects.onebot11.frames import check_depth
from trunkline.dialects.onebot11.translate import decode_base64

_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def fastest_s(call: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(4):
        begun_s = time.process_time()
        call()
        times.append(time.process_time() - begun_s)
    return min(times)


def test_the_depth_of_four_megabytes_of_brackets_in_a_text() -> None:
    data = b'{"message":"' + b"[x]{" * (1 << 20) + b'"}'
    slow_s = fastest_s(lambda: _STRINGS.sub("", data.decode("utf-8", "replace")))
    assert fastest_s(lambda: check_depth(data)) < slow_s


def test_a_picture_of_ten_megabytes() -> None:
    text = b64encode(bytes(range(256)) * (40 << 10)).decode()
    slow_s = fastest_s(lambda: a2b_base64("".join(text.split()), strict_mode=True))
    assert fastest_s(lambda: decode_base64("base64://" + text)) < 0.8 * slow_s
