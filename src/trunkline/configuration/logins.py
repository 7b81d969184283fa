"""Who logs in where: no two enabled lines as one account, no line as somebody else than before.

Two connections of one account would both receive what its people say, and both answer. A line's
rows – positions, conversations, what waits to be sent – are those of one account. Knows what a line
logs in with only by `login` and `owner` of its options; neither is ever said.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.dialects.options import LineOptions

from .problems import Problems, Wording


def check_logins(lines: Mapping[str, LineOptions], problems: Problems) -> None:
    """Check that no two enabled lines log in as the same account."""
    before: dict[str, LineOptions] = {}
    for name, options in lines.items():
        key = options.credential_key
        if (wording := find_twin(name, options, before)) is not None:
            problems.add(("lines", name, key) if key else ("lines", name), *wording)
        before[name] = options


def find_twin(name: str, options: LineOptions, lines: Mapping[str, LineOptions]) -> Wording | None:
    """Return what to say when another enabled line logs in as the same account, else None."""
    if not options.enabled or not options.login:
        return None
    for other, theirs in lines.items():
        is_same = theirs.dialect == options.dialect and theirs.login == options.login
        if other != name and theirs.enabled and is_same:
            return (
                f"线路 {name} 与线路 {other} 登录的是同一个账号，每句话会被答两次；"
                "一个账号只用一条线路，停用其中一条（enabled = false）",
                f"lines {name} and {other} log in as the same account, and everything would be "
                "answered twice; an account has one line: switch one off (enabled = false)",
            )
    return None


def find_stranger(before: LineOptions, after: LineOptions) -> Wording | None:
    """Return what to say when new credentials are of another account than before, else None."""
    if not before.owner or not after.owner or before.owner == after.owner:
        return None
    return (
        "这是另一个账号的凭证；给它写一条自己的线路 [lines.名字]，"
        "或在浏览器里登录这条线路原来的账号再复制",
        "these are the credentials of another account; give that account a line of its own "
        "([lines.NAME]), or sign in as this line's account and copy them again",
    )
