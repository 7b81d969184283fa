"""`check`, `init`, `try`, `migrate`: real files, no server."""

import asyncio
import contextlib
import json
import runpy
import sqlite3
from types import SimpleNamespace

import pytest

from trunkline import Router
from trunkline.cli.main import run
from trunkline.clock import SystemClock
from trunkline.store.sqlite import SqliteStore

RULES = """
[[rules]]
name = "price"
keywords = ["多少钱"]
reply = "{send_user_name} 到手价 {item_id}"
[[rules]]
name = "human"
lines = ["core"]
keywords = ["转人工"]
then = "person"
"""
CORE = '[lines.core]\ndialect = "maim"\nbind = "127.0.0.1:8090"\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return tmp_path


@pytest.fixture
def write(here):
    def write(text, name="trunkline.toml"):
        (here / name).write_text(text, "utf-8")
        (here / name).chmod(0o600)

    return write


def call(capsys, *args):
    code = run(list(args))
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


# -- check -----------------------------------------------------------------------------------


def test_check_of_nothing(capsys):
    code, out, err = call(capsys, "check")
    assert (code, out) == (2, "")
    assert "there is no trunkline.toml here" in err
    assert "trunkline init" in err


def test_check_of_a_good_file(write, capsys):
    write(CORE + RULES)
    code, out, err = call(capsys, "check")
    assert (code, err) == (0, "")
    assert "core  maim     core  listen  127.0.0.1:8090/ws  open, no token" in out
    assert "lines 1, rules 2, default replies 0" in out


def test_check_shows_warnings_and_is_good(write, capsys):
    write(CORE + 'token = "short"\n')
    code, out, _ = call(capsys, "check")
    assert code == 0
    assert "! trunkline.toml:4 [lines.core] token: has less than 128 bits" in out


def test_check_lists_all_problems(write, capsys):
    write("[server]\nprot = 1\n[notify]\n")
    code, out, err = call(capsys, "check")
    assert (code, out) == (2, "")
    assert 'did you mean "port"?' in err
    assert "[notify]: not built yet" in err


def test_check_of_an_unsafe_file(write, capsys):
    write('[server]\nhost = "0.0.0.0"\n' + CORE.replace("127.0.0.1", "0.0.0.0"))
    code, out, err = call(capsys, "check")
    assert (code, out) == (78, "")
    assert "[lines.core] token: none is set" in err
    assert "[server] tls_cert" in err


@pytest.mark.parametrize(
    ("text", "code", "key"),
    [
        (CORE, 0, "lines"),
        ("[notify]\n", 2, "problems"),
        ('[server]\nhost = "0.0.0.0"\n', 78, "missing"),
    ],
)
def test_check_as_json(write, capsys, text, code, key):
    write(text)
    got, out, err = call(capsys, "check", "--json")
    report = json.loads(out)
    assert (got, err) == (code, "")
    assert report["is_good"] is (code == 0)
    assert report[key]


def test_check_in_chinese(write, capsys, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    write("[server]\nprot = 1\n")
    code, _, err = call(capsys, "check")
    assert code == 2
    assert "未知的键；是不是 port？" in err
    assert "下一步" in err


def test_check_of_a_named_file(write, capsys):
    write(CORE, "other.toml")
    assert call(capsys, "check", "-c", "other.toml")[0] == 0
    code, _, err = call(capsys, "check", "-c", "absent.toml")
    assert code == 2
    assert "cannot read absent.toml" in err


# -- init ------------------------------------------------------------------------------------


def test_init_guides_writes_the_certificate_too(capsys, here):
    code, out, _ = call(capsys, "init", "my", "--template", "guides")
    assert code == 0
    for name in ("trunkline.toml", "xianyu.cookies", "ssl/server.crt", "ssl/server.key"):
        assert f"my/{name}" in out
        assert (here / "my" / name).is_file()
    code, out, err = call(capsys, "check", "-c", "my/trunkline.toml")
    assert (code, err) == (0, "")
    assert "127.0.0.1:8090/ws" in out
    assert "!" not in out


def test_init_guides_never_overwrites_a_certificate(capsys, here):
    (here / "ssl").mkdir()
    (here / "ssl" / "server.key").write_text("mine")
    code, _, err = call(capsys, "init", "--template", "guides")
    assert code == 1
    assert "server.key exists; nothing was changed" in err
    assert [path.name for path in here.iterdir()] == ["ssl"]


@pytest.mark.parametrize("template", ["blog", "job", "maim", "qq"])
def test_what_init_writes_is_good_and_private(capsys, here, template):
    code, out, _ = call(capsys, "init", "my", "--template", template)
    assert code == 0
    assert "cd my && trunkline serve" in out
    for path in (here / "my").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    code, out, err = call(capsys, "check", "-c", "my/trunkline.toml")
    assert (code, err) == (0, "")
    assert "!" not in out


def test_init_job_says_what_is_to_be_done_first(capsys, here):
    _, out, _ = call(capsys, "init", "my", "--template", "job")
    first, then = out.splitlines()[-2:]
    assert "into job.cookies, then set enabled = true in trunkline.toml" in first
    assert "trunkline serve" in then
    assert "job.cookies, then" not in call(capsys, "init", "you", "--template", "blog")[1]


def test_init_shop_needs_the_cookies_and_nothing_else(capsys, here):
    code, out, _ = call(capsys, "init", "my", "--template", "shop")
    assert code == 0
    assert "put the account's cookies into shop.cookies, chmod 600" in out
    for name in ("trunkline.toml", "plugins/hello.py"):
        assert (here / "my" / name).stat().st_mode & 0o777 == 0o600
    code, _, err = call(capsys, "check", "-c", "my/trunkline.toml")
    assert code == 2
    assert next(line for line in err.splitlines() if "trunkline.toml:" in line).endswith(
        "shop.cookies: No such file or directory"
    )
    (here / "my" / "shop.cookies").touch(mode=0o600)
    (here / "my" / "shop.cookies").write_text("unb=2200000000001; cookie2=x")
    code, out, err = call(capsys, "check", "-c", "my/trunkline.toml")
    assert (code, err) == (0, "")
    assert "!" not in out
    for said, rule in (("老板在吗", "hello"), ("几天到", "shipping"), ("能刀吗", "price")):
        code, out, _ = call(capsys, "try", said, "-c", "my/trunkline.toml", "--line", "shop")
        assert rule in out, out


def test_the_plugin_of_the_shop_template_works(capsys, here):
    assert call(capsys, "init", "--template", "shop")[0] == 0
    plugin = runpy.run_path(str(here / "plugins" / "hello.py"))
    assert isinstance(plugin["router"], Router)
    for item, said in (("7", "商品编号是 7"), ("", "商品编号是 未知")):
        assert asyncio.run(plugin["number"](SimpleNamespace(item=item))) == said


def test_init_never_overwrites_and_writes_nothing_then(capsys, here):
    (here / "mai.token").write_text("mine")
    code, _, err = call(capsys, "init", "--template", "maim")
    assert code == 1
    assert "mai.token exists; nothing was changed" in err
    assert [path.name for path in here.iterdir()] == ["mai.token"]
    assert (here / "mai.token").read_text() == "mine"


def test_an_unknown_template(capsys):
    code, _, err = call(capsys, "init", "--template", "blgo")
    assert code == 2
    assert "there are: blog, maim, qq, shop, job, guides" in err


# -- try -------------------------------------------------------------------------------------


def test_try_shows_the_answer_and_why(write, capsys):
    write(CORE + RULES)
    code, out, _ = call(capsys, "try", "这个多少钱", "--item", "77")
    assert code == 0
    assert out.splitlines()[0] == "  → rule price: visitor 到手价 77"
    assert "多少钱" in out.split("\n", 1)[1]


def test_try_without_an_answer(write, capsys):
    write(CORE + RULES)
    code, out, _ = call(capsys, "try", "你好")
    assert code == 0
    assert out.splitlines()[0] == "  – no answer (pass)"


def test_a_rule_that_decided_is_no_near_miss(write, capsys):
    write(CORE + RULES)
    _, out, _ = call(capsys, "try", "转人工")
    assert out.splitlines()[0] == "  – no answer (person)"
    assert "nearest human" not in out


def test_try_on_a_line(write, capsys):
    write(CORE + '[lines.blog]\ndialect = "contact"\nmode = "draft"\n' + RULES)
    _, out, _ = call(capsys, "try", "多少钱", "--line", "blog")
    assert out.startswith("  → rule price [draft]: ")
    _, out, _ = call(capsys, "try", "转人工", "--line", "blog")
    assert "offline notice" in out  # the rule is for another line; visitors always get an answer
    code, _, err = call(capsys, "try", "x", "--line", "blgo")
    assert code == 2
    assert "no line 'blgo'" in err


def test_try_as_json(write, capsys):
    write(CORE + RULES)
    code, out, _ = call(capsys, "try", "多少钱", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["verdict"] == "reply"
    assert report["replies"][0]["name"] == "price"
    assert report["trace"][-1]["stage"] == "rules"


def test_try_takes_odd_text(write, capsys):
    write(CORE + RULES)
    assert call(capsys, "try", "\udcff多少钱")[0] == 0


# -- migrate ---------------------------------------------------------------------------------


def test_migrate_without_data(write, capsys, here):
    write(CORE)
    code, out, _ = call(capsys, "migrate")
    assert code == 0
    assert "nothing to migrate" in out
    assert [path.name for path in here.iterdir()] == ["trunkline.toml"]


@pytest.fixture
def data(here, write):
    """Make a data file as a first start does, and give a way to open it."""
    write(CORE)

    def make():
        return SqliteStore(here, clock=SystemClock())

    async def touch():
        store = make()
        await store.open()
        await store.close()

    asyncio.run(touch())
    return make


def test_migrate_brings_data_up_to_date(data, capsys, here):
    code, out, _ = call(capsys, "migrate")
    assert code == 0
    assert f"{here / 'trunkline.db'} is up to date" in out


def test_migrate_never_touches_data_in_use(data, capsys):
    async def hold():
        store = data()
        await store.open()
        try:
            return await asyncio.to_thread(call, capsys, "migrate")
        finally:
            await store.close()

    code, _, err = asyncio.run(hold())
    assert code == 73
    assert "is in use by" in err


def test_data_of_a_newer_version_is_refused(data, capsys, here):
    with contextlib.closing(sqlite3.connect(here / "trunkline.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    code, _, err = call(capsys, "migrate")
    assert code == 1
    assert "newer" in err


# -- what ends with a sentence ----------------------------------------------------------------


def test_emulate_names_the_line_of_a_script_that_is_no_event(capsys, write):
    write('# two\n\nhello\n{"post_type": \n', "s.txt")
    code, _, err = call(
        capsys, "emulate", "onebot11", "--dial", "ws://127.0.0.1:1/", "--script", "s.txt"
    )
    assert code == 2
    assert "s.txt:4: no JSON object" in err


@pytest.mark.parametrize(
    ("dialect", "fault"),
    [
        ("boss", "wrong-id"),
        ("contact", "malformed"),
        ("maim", "cut"),
        ("onebot11", "reorder"),
        ("xianyu", "demand"),
    ],
)
def test_emulate_lists_the_faults_of_a_dialect(capsys, dialect, fault):
    code, out, _ = call(capsys, "emulate", dialect, "--fault", "help")
    assert code == 0
    assert fault in out.splitlines()


@pytest.mark.parametrize("chance", ["2", "-0.1", "nan", "often"])
def test_emulate_wants_a_probability(capsys, chance):
    code, _, err = call(capsys, "emulate", "boss", "--port", "0", "--fault", f"half={chance}")
    assert code == 2
    assert "P within 0 … 1" in err


def test_emulate_wants_a_line_to_say(capsys, write):
    write("# nothing\n", "s.txt")
    args = ("emulate", "onebot11", "--dial", "ws://127.0.0.1:1/", "--script", "s.txt")
    assert call(capsys, *args)[0] == 2


def test_outbox_all_is_told_how_states_are_chosen(capsys):
    code, _, err = call(capsys, "outbox", "--all")
    assert code == 2
    assert "trunkline outbox list --state draft" in err
