"""Configurations that trunkline writes itself: at the first start, and by `init`.

Nothing is ever overwritten. Files with secrets are 0600, folders 0700.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from .guides import write_guides

FILE_NAME: Final = "trunkline.toml"

_FIRST = """\
# trunkline: what is connected and what is answered. `trunkline check` reads it.
# trunkline：连接什么，回答什么。改完运行 trunkline check。

[server]
host = "127.0.0.1"
port = 8080

[lines.blog]                   # visitors of a web page; try http://127.0.0.1:8080/demo
dialect = "contact"
path = "/contact"
"""

_BLOG = """\
# A chat bubble on your site: `trunkline serve`, then open http://127.0.0.1:8080/demo
# 网站上的聊天气泡：运行 trunkline serve，再打开上面的地址。

[server]
host = "127.0.0.1"
port = 8080

[lines.blog]
dialect = "contact"
path = "/contact"
# origins = ["https://example.org"]   # pages that may connect; empty = any

[[rules]]
name = "hours"
lines = ["blog"]
keywords = ["营业时间", "几点", "opening hours"]
reply = "{send_user_name} 您好，我们每天 9:00–18:00 在线。"

[[rules]]
name = "person"
lines = ["blog"]
keywords = ["转人工", "human"]
then = "person"                # no automatic answer: the message waits for you

[[default_replies]]
lines = ["blog"]
reply = "稍等，马上回复您。"
limit = 1
per = "conversation"
"""

_MAIM = """\
# A core for maim_message adapters: they dial ws://127.0.0.1:8090/ws with the token in mai.token.
# maim_message 的核心端：适配器用 mai.token 里的口令连接上面的地址。

[server]
host = "127.0.0.1"
port = 8080

[lines.core]
dialect = "maim"
role = "core"
link = "listen"
bind = "127.0.0.1:8090"
path = "/ws"
token = { file = "mai.token" }

[[rules]]
name = "weather"
lines = ["core"]
keywords = ["天气"]
reply = "{send_user_name}，今天晴。"

[[rules]]
name = "echo"
lines = ["core"]
match = "any"
priority = -100
reply = "收到：{send_message}"
"""

_QQ = """\
# A QQ bot: NapCat, Lagrange or LLOneBot dial ws://127.0.0.1:8080/onebot/v11/ws (reverse WebSocket)
# with the token in qq.token.
# QQ 机器人：在 NapCat 等程序中新建反向 WebSocket，填上面的地址和 qq.token 里的口令。

[server]
host = "127.0.0.1"
port = 8080

[lines.qq]
dialect = "onebot11"
role = "framework"
link = "listen"
token = { file = "qq.token" }

# NoneBot, AstrBot … as further bots of the same trunkline: docs/onebot11.md
# 让 NoneBot、AstrBot 等框架接入：见 docs/onebot11.zh-CN.md

[[rules]]
name = "hello"
lines = ["qq"]
keywords = ["你好", "在吗", "hello"]
reply = "{send_user_name}，你好，我在。"

[[rules]]
name = "help"
lines = ["qq"]
keywords = ["帮助", "help"]
match = "exact"
reply = "发“你好”试试，或发“转人工”找主人。"

[[rules]]
name = "person"
lines = ["qq"]
keywords = ["转人工", "human"]
then = "person"                # no automatic answer: the message waits for you
"""


def _token() -> str:
    return secrets.token_urlsafe(24) + "\n"


# template → file name → what makes its content
TEMPLATES: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "blog": {FILE_NAME: lambda: _BLOG},
    "maim": {FILE_NAME: lambda: _MAIM, "mai.token": _token},
    "qq": {FILE_NAME: lambda: _QQ, "qq.token": _token},
    "guides": {FILE_NAME: write_guides},
}


def ensure_folder(folder: Path) -> Path:
    """Make the folder of a first start and return its configuration.

    Args:
        folder: made with mode 0700; a configuration in it is left as it is.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        _write(path, _FIRST)
    return path


def write_template(folder: Path, template: str) -> list[Path]:
    """Write the files of a template and return them.

    Raises:
        FileExistsError: one of them is there already; nothing was written.
    """
    files = TEMPLATES[template]
    for name in files:
        if (folder / name).exists():
            raise FileExistsError(str(folder / name))
    written: list[Path] = []
    for name, make in files.items():
        _write(folder / name, make())
        written.append(folder / name)
    return written


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
