"""Which files of a configuration belong to a backup."""

from __future__ import annotations

from pathlib import Path

from trunkline.config import load_config
from trunkline.configuration.belongings import find_files

CONFIG = """\
[server]
tls_cert = "certs/server.crt"
tls_key = "certs/server.key"

[plugins]
paths = ["plugins/*.py", "../shared/*.py"]

[lines.core]
dialect = "maim"
bind = "127.0.0.1:0"
token = {{ file = "core.token" }}

[lines.other]
dialect = "maim"
path = "/other"
token = {{ file = "{outside}" }}

[[rules]]
keywords = ["a", "core.token.txt"]
reply = "just\\nwords, no file"
"""


def test_what_the_configuration_names_is_found_inside_and_outside(tmp_path: Path):
    home, outside = tmp_path / "home", tmp_path / "outside.token"
    for path in (
        home / "certs/server.crt", home / "certs/server.key", home / "core.token", outside,
        home / "plugins/a.py", home / "plugins/sub/b.py", home / "unnamed.txt",
    ):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0123456789abcdef0123456789abcdef")
        path.chmod(0o600)
    (home / "trunkline.toml").write_text(CONFIG.format(outside=outside))
    config = load_config(home / "trunkline.toml", {})
    inside, left = find_files(config.source, config.plugins.paths)
    assert sorted(map(str, inside)) == [
        "certs/server.crt", "certs/server.key", "core.token", "plugins/a.py", "trunkline.toml",
    ]  # fmt: skip
    assert left == [str(outside), "../shared/*.py"]


def test_without_a_file_there_is_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(None, {})
    assert find_files(config.source, config.plugins.paths) == ([], [])
