"""The reply service of the running program, as a caller without a token meets it.

Source: issue 8 "Reply service", guides 1
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import product

SHOP = """\
[lines.shop]
dialect = "maim"
path = "/shop"

[lines.closed]
dialect = "maim"
path = "/closed"
enabled = false

[[rules]]
lines = ["shop"]
items = ["9"]
keywords = ["价格"]
reply = "{send_user_name}，商品 {item_id} 页面价"

[[rules]]
keywords = ["照片"]
image = "https://img.example/a.jpg"

[[default_replies]]
lines = ["shop"]
reply = "稍等"
limit = 1
"""


def body(words: str, *, line: str = "shop", chat: str = "c1") -> dict[str, str]:
    return {
        "cookie_id": line, "msg_time": "2026-01-01 08:00:00", "user_url": "", "item_id": "9",
        "send_user_id": "2", "send_user_name": "买家甲", "send_message": words, "chat_id": chat,
    }  # fmt: skip


async def test_it_answers_by_rule_picture_and_default_once_also_after_a_restart(
    tmp_path: Path,
) -> None:
    with product.serving(tmp_path, SHOP) as running:

        def said(words: str, **more: str) -> tuple[int, Any]:
            answer = running.ask("/xianyu/reply", body(words, **more))  # without a token
            good = answer.status == 200
            return answer.status, answer.body["data"]["send_msg"] if good else list(answer.body)

        assert said("价格多少") == (200, "买家甲，商品 9 页面价")
        assert said("有照片吗", line="nobody") == (200, "__IMAGE_SEND__https://img.example/a.jpg")
        assert said("有照片吗", line="closed") == (404, ["detail"])
        at_once = await asyncio.gather(
            *(asyncio.to_thread(said, "在吗", chat="c7") for _ in range(4))
        )
        assert sorted(status for status, _ in at_once) == [200, 404, 404, 404]
        assert said("在吗", chat="c8") == (200, "稍等")
    with product.serving(tmp_path, SHOP) as running:
        assert running.ask("/xianyu/reply", body("在吗", chat="c8")).status == 404
        assert running.ask("/xianyu/reply", body("价格", chat="c8")).status == 200
