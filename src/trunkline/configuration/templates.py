"""Configurations that trunkline writes itself: at the first start, and by `init`.

Nothing is ever overwritten. Files with secrets are 0600, folders 0700.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from .guides import (
    COOKIES_FILE,
    JOB_COOKIES_FILE,
    write_cookies,
    write_guides,
    write_job_cookies,
)

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
# To try it without an account / 没有账号也能试：
#   trunkline emulate onebot11 --dial ws://127.0.0.1:8080/onebot/v11/ws --token-file qq.token

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

_SHOP = """\
# A seller's account on 闲鱼. Copy the whole `Cookie` header of the platform's web page into
# shop.cookies, one line, then: chmod 600 shop.cookies
# 闲鱼卖家账号：把网页请求里的整个 Cookie 请求头写进 shop.cookies（一行），再执行上面的 chmod。
# The platform asks for verification? The line stops and says so: docs/xianyu.md
# 平台要求验证时线路会停下并提示：见 docs/xianyu.zh-CN.md

[server]
host = "127.0.0.1"
port = 8080

[lines.shop]
dialect = "xianyu"
cookies = { file = "shop.cookies" }
mode = "draft"                 # nothing leaves before `trunkline outbox approve`; "auto" answers
# To try it without an account: trunkline emulate xianyu --port 18091 --messages 0
# 没有账号也能试：先运行上面的命令，再取消下面三行的注释
# url = "ws://127.0.0.1:18091/"
# http_url = "http://127.0.0.1:18091"
# upload_url = "http://127.0.0.1:18091"

[[rules]]
name = "hello"
lines = ["shop"]
keywords = ["在吗", "你好", "还在吗"]
reply = "{send_user_name} 您好，在的，请直接说。"

[[rules]]
name = "shipping"
lines = ["shop"]
keywords = ["什么时候发", "发货", "几天到"]
reply = "付款后 48 小时内发货。"

[[rules]]
name = "postage"
lines = ["shop"]
keywords = ["包邮", "邮费", "运费"]
reply = "运费以页面为准，偏远地区请先问一下。"

[[rules]]
name = "condition"
lines = ["shop"]
keywords = ["几成新", "成色", "瑕疵"]
reply = "成色如图，页面没有写到的问题请直接问。"

[[rules]]
name = "return"
lines = ["shop"]
keywords = ["退货", "退款"]
reply = "收到后 24 小时内如有问题请留言，附上照片。"

[[rules]]
name = "price"
lines = ["shop"]
keywords = ["便宜", "能刀", "最低", "优惠"]
then = "person"                # what it costs is decided by you

[[rules]]
name = "complaint"
lines = ["shop"]
keywords = ["投诉", "骗子", "假货"]
then = "person"

[[rules]]
name = "person"
lines = ["shop"]
keywords = ["转人工", "human"]
then = "person"                # no automatic answer: the message waits for you

[[default_replies]]
lines = ["shop"]
reply = "稍等，马上回复您。"
limit = 1
per = "conversation"
"""

_HELLO = '''\
"""A plugin: edit and save, it is loaded anew at once. docs/rules.md says what else there is."""

from trunkline import Message, Router

router = Router()


@router.keyword("编号", "货号", lines=["shop"])
async def number(msg: Message) -> str:
    return f"商品编号是 {msg.item or '未知'}"
'''


_JOB = """\
# Your chats on Boss直聘. Copy the cookies of a logged-in browser into job.cookies, then set
# enabled = true. The platform forbids automation: your own account, your own risk.
# Boss直聘 的聊天：把已登录浏览器的 Cookie 写进 job.cookies，再把 enabled 改为 true。
# 平台禁止自动化：只用自己的账号，风险自负。

[server]
host = "127.0.0.1"
port = 8080

[lines.job]
dialect = "boss"
enabled = false
cookies = { file = "job.cookies" }
mode = "draft"                 # every answer waits for you: trunkline outbox approve
every_s = 6.0                  # at most one message in six seconds …
daily = 150                    # … and 150 a day
# send_resume_image = true     # answer a request for the resume with this picture at once
# resume_image = "resume.png"

[[rules]]
name = "hello"
lines = ["job"]
keywords = ["你好", "您好", "方便聊"]
reply = "您好，我对这个职位感兴趣，方便介绍一下吗？"
"""


def _token() -> str:
    return secrets.token_urlsafe(24) + "\n"


# template → file name → what makes its content
TEMPLATES: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "blog": {FILE_NAME: lambda: _BLOG},
    "maim": {FILE_NAME: lambda: _MAIM, "mai.token": _token},
    "qq": {FILE_NAME: lambda: _QQ, "qq.token": _token},
    "shop": {FILE_NAME: lambda: _SHOP, "plugins/hello.py": lambda: _HELLO},
    "job": {FILE_NAME: lambda: _JOB, "job.cookies": lambda: ""},
    "guides": {
        FILE_NAME: write_guides,
        COOKIES_FILE: write_cookies,
        JOB_COOKIES_FILE: write_job_cookies,
    },
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
