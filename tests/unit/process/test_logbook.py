"""What the log says of the process, and that what is to be hidden is."""

from __future__ import annotations

import json
from pathlib import Path

from trunkline.config import load_config
from trunkline.process.logbook import Logbook
from trunkline.reload import Reloaded


def test_the_rooms_reports_are_written_without_what_is_hidden(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.toml"
    path.write_text('[lines.blog]\ndialect = "contact"\n[log]\nformat = "json"\n')
    logbook = Logbook()
    config = load_config(path, {})
    logbook.open(config, lambda lines: None)
    logbook.hide(["topsecret"])
    logbook.learn("blog", ["cookie-of-blog"])
    logbook.trouble("disk low", None)
    logbook.trouble("store store", OSError("gone"))
    logbook.plugin_failed("on_message", "topsecret was there")
    logbook.credential_given("blog", "")
    logbook.credential_given("blog", "cookie-of-blog is too old")
    logbook.reloaded(Reloaded(rules=2, default_replies=1, restart_needed=("server",)))
    logbook.reloaded(Reloaded(problems=("rules[0]: no reply",)))
    logbook.close()
    assert config.log_file is not None
    text = config.log_file.read_text("utf-8")
    said = [json.loads(line)["action"] for line in text.splitlines()]
    assert said == [
        "disk low",
        "store store",
        "plugin failed",
        "credential taken up",
        "credential edit refused",
        "rules reloaded",
        "restart needed",
        "configuration edit refused",
    ]
    assert "topsecret" not in text
    assert "cookie-of-blog" not in text
