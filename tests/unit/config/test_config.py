"""A configuration is read whole: every problem at once, each with its place; nothing ignored."""

import textwrap

import msgspec
import pytest

from trunkline.config import (
    check_listening,
    ensure_folder,
    find_config,
    load_config,
    require_safe,
)
from trunkline.configuration.lines import check_doors
from trunkline.configuration.problems import Problems
from trunkline.configuration.sections import Server
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.maim import MAIM
from trunkline.errors import ConfigError, UnsafeConfig
from trunkline.model.segment import Image
from trunkline.pipeline.rulebook import DefaultSpec, RuleSpec

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
STRONG = "K7dXq2vN9sLw4RtYbE8mJc5h"
CORE = '[lines.core]\ndialect = "maim"\nrole = "core"\n'
RULE = '[[rules]]\nname = "a"\nkeywords = ["hi"]\n'


@pytest.fixture
def load(tmp_path):
    def load(text, env=(), **files):
        path = tmp_path / "trunkline.toml"
        path.write_text(textwrap.dedent(text), "utf-8")
        path.chmod(0o600)
        return load_config(path, dict(env))

    return load


@pytest.fixture
def problems(load):
    def problems(text, env=()):
        with pytest.raises(ConfigError) as caught:
            load(text, env)
        return caught.value.problems

    return problems


# -- what is right ---------------------------------------------------------------------------


def test_nothing_configured_is_the_defaults():
    config = load_config(None, {})
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)
    assert config.store.filename == "trunkline.db"
    assert config.store.synchronous == "full"
    assert config.log.rotate_bytes == 10 << 20
    assert config.limits.max_connections == 10_000
    assert not config.dev.failpoints
    assert config.lines == {}
    assert config.rulebook.day_offset_ms == 28_800_000


def test_the_whole_tree(load, tmp_path):
    (tmp_path / "price.png").write_bytes(PNG)
    (tmp_path / "core.token").write_text(STRONG + "\n")
    (tmp_path / "core.token").chmod(0o600)
    config = load(
        """
        [server]
        port = 0
        trusted_proxies = ["10.0.0.0/8", "127.0.0.1"]
        origins = ["https://example.org/"]
        [store]
        dir = "data"
        url = "sqlite:chat.db"
        synchronous = "normal"
        [log]
        level = "debug"
        rotate = "512KB"
        format = "json"
        [dev]
        failpoints = true
        [site]
        offline_notice = "后会有期"
        utc_offset_h = 1.5
        [lines.blog]
        dialect = "contact"
        [lines.core]
        dialect = "maim"
        bind = "127.0.0.1:8090"
        token = { file = "core.token" }
        [lines.mai]
        dialect = "maim"
        role = "adapter"
        url = "ws://127.0.0.1:8000/ws"
        token = { env = "MAI" }
        [[rules]]
        name = "price"
        lines = ["blog"]
        items = ["1"]
        keywords = "多少钱"
        except = ["批发"]
        reply = "到手价"
        image = "price.png"
        priority = 100
        then = "send"
        [[rules]]
        match = "any"
        enabled = false
        reply = ""
        [[default_replies]]
        reply = "稍等"
        limit = 1
        per = "day"
        """,
        {"MAI": "s3cret"},
    )
    assert config.folder == tmp_path / "data"
    assert config.log_file == tmp_path / "data" / "trunkline.log"
    assert config.log.rotate_bytes == 512 << 10
    assert config.server.origins == ("https://example.org",)
    assert list(config.lines) == ["blog", "core", "mai"]
    assert config.lines["blog"].role == "site"
    assert config.lines["core"].role == "core"
    assert config.lines["core"].bind == ("127.0.0.1:8090",)
    assert config.lines["core"].tokens == (STRONG,)
    assert (config.lines["mai"].link, config.lines["mai"].tokens) == ("dial", ("s3cret",))
    assert config.rules == (
        RuleSpec(
            name="price", keywords=("多少钱",), reply="到手价", lines=("blog",), items=("1",),
            excepts=("批发",), image=Image(data=PNG, name="price.png"), priority=100,
            then="send",
        ),
        RuleSpec(name="#2", match="any", is_enabled=False, order=1),
    )  # fmt: skip
    assert config.default_replies == (DefaultSpec(reply="稍等", limit=1, per="day"),)
    assert config.rulebook.offline_notice == "后会有期"
    assert config.rulebook.day_offset_ms == 5_400_000
    assert set(config.secrets()) == {STRONG, "s3cret"}


def test_secrets_are_never_shown(load):
    config = load(CORE + f'token = "{STRONG}"\n')
    assert STRONG not in repr(config)
    assert STRONG not in str(config.lines["core"])


# -- the environment -------------------------------------------------------------------------


def test_every_key_may_come_from_the_environment(load):
    config = load(
        '[server]\nport = 1\n[lines.my-blog]\ndialect = "contact"\n',
        {
            "TRUNKLINE__SERVER__PORT": "9000",
            "TRUNKLINE__SERVER__ORIGINS": '["https://a.org", "https://b.org"]',
            "TRUNKLINE__DEV__FAILPOINTS": "true",
            "TRUNKLINE__LINES__MY_BLOG__PATH": "/chat",
            "TRUNKLINE__LINES__MY_BLOG__DEBOUNCE_S": "1.5",
            "TRUNKLINE__LINES__CORE__DIALECT": "maim",
            "TRUNKLINE__LINES__CORE__TOKEN": "1234567890",
            "TRUNKLINE__RULES": '[{"name": "x", "match": "any", "reply": "{send_message}"}]',
            "TRUNKLINE_URL": "http://elsewhere",
        },
    )
    assert config.server.port == 9000
    assert config.server.origins == ("https://a.org", "https://b.org")
    assert config.dev.failpoints
    assert config.lines["my-blog"].path == "/chat"
    assert config.lines["my-blog"].debounce_s == 1.5
    assert config.lines["core"].tokens == ("1234567890",)
    assert config.rules[0].reply == "{send_message}"


def test_plain_text_that_looks_like_json_stays_text(load):
    config = load(
        CORE,
        {
            "TRUNKLINE__LINES__CORE__BIND": "[::1]:8090",
            "TRUNKLINE__SITE__OFFLINE_NOTICE": "{later}",
        },
    )
    assert config.lines["core"].bind == ("[::1]:8090",)
    assert config.site.offline_notice == "{later}"


def test_a_table_from_the_environment_joins_the_file(load):
    config = load("[server]\nport = 1\n", {"TRUNKLINE__SERVER": '{"host": "::1"}'})
    assert (config.server.host, config.server.port) == ("::1", 1)


def test_problems_of_variables_name_the_variable(problems):
    found = problems(
        "",
        {
            "TRUNKLINE__SERVER__PORT": "abc",
            "TRUNKLINE__SERVER__PROT": "1",
            "TRUNKLINE__RULES__0__REPLY": "x",
            "TRUNKLINE__SERVER____PORT": "1",
        },
    )
    assert "TRUNKLINE__SERVER__PORT: expects a whole number, not text" in found
    assert 'TRUNKLINE__SERVER__PROT: unknown key; did you mean "port"?' in found
    assert any("TRUNKLINE__SERVER____PORT names no key" in text for text in found)


# -- references ------------------------------------------------------------------------------


def test_a_secret_file_must_be_private(problems, tmp_path):
    (tmp_path / "t").write_text(STRONG)
    (tmp_path / "t").chmod(0o640)
    (found,) = problems(CORE + 'token = { file = "t" }\n')
    assert found.startswith("trunkline.toml:4 [lines.core] token: ")
    assert "can be read by others; run chmod 600" in found
    assert STRONG not in found


def test_a_text_file_need_not_be_private(load, tmp_path):
    (tmp_path / "reply.txt").write_text("  long\ntext \n\n")
    (tmp_path / "reply.txt").chmod(0o644)
    config = load(RULE + 'reply = { file = "reply.txt" }\n')
    assert config.rules[0].reply == "  long\ntext "


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ('{ env = "NOPE" }', "environment variable NOPE is not set"),
        ('{ file = "nope" }', "No such file"),
        ('{ file = "bin" }', "is not UTF-8"),
        ('[{ env = "NOPE" }]', "environment variable NOPE is not set"),
    ],
)
def test_what_cannot_be_had_is_said_once(problems, tmp_path, value, what):
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    (tmp_path / "bin").chmod(0o600)
    (found,) = problems(CORE + f"token = {value}\n")
    assert found.startswith("trunkline.toml:4 [lines.core] token: ")
    assert what in found


def test_every_value_may_be_a_reference(load):
    config = load(
        '[server]\nport = { env = "PORT" }\n[lines.a]\ndialect = { env = "D" }\n'
        'role = { env = "R" }\nurl = { env = "U" }\nheaders = { x-a = { env = "U" } }\n',
        {"PORT": "9", "D": "maim", "R": "adapter", "U": "ws://h/ws"},
    )
    assert config.server.port == 9
    assert (config.lines["a"].role, config.lines["a"].link) == ("adapter", "dial")
    assert config.lines["a"].url == "ws://h/ws"
    assert config.secrets() == ["ws://h/ws"]  # headers may hold credentials


def test_a_number_from_a_reference_must_still_be_one(problems):
    (found,) = problems('[server]\nport = { env = "PORT" }\n', {"PORT": "x"})
    assert found == "trunkline.toml:2 [server] port: expects a whole number, not text"


def test_file_values_are_read_again_when_asked(load, tmp_path):
    token = tmp_path / "t"
    token.write_text("first-token-0")
    token.chmod(0o600)
    config = load(CORE + 'token = { file = "t" }\n')
    token.write_text("second-token-1")
    assert config.lines["core"].tokens == ("first-token-0",)
    assert config.refreshed("core").tokens == ("second-token-1",)
    token.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        config.refreshed("core")


# -- what is wrong ---------------------------------------------------------------------------

ONE_PROBLEM = [
    ("[sever]", ':1 [sever]: unknown key; did you mean "server"?'),
    ("[server]\nprot = 1", ':2 [server] prot: unknown key; did you mean "port"?'),
    ("[server]\nzzzz = 1", ":2 [server] zzzz: unknown key"),
    ('[server]\nport = "8080"', ":2 [server] port: expects a whole number, not text"),
    ("[server]\nport = true", ":2 [server] port: expects a whole number, not true/false"),
    ("[server]\nport = 70000", ":2 [server] port: must be at most 65535"),
    ("[server]\nhost = 1", ":2 [server] host: expects text, not a whole number"),
    ("server = 1", ":1 [server]: expects a table, not a whole number"),
    ("[dev]\nfailpoints = 1", ":2 [dev] failpoints: expects true or false, not a whole number"),
    ('[dev]\nfailpoints = "yes"', ":2 [dev] failpoints: expects true or false, not text"),
    ('[server]\ntrusted_proxies = ["x"]', "'x' is neither an address nor a network"),
    ('[server]\norigins = ["example.org"]', "is not an origin such as https://example.org"),
    ('[server]\ntls = "off"', "must be '', 'terminated-by-proxy' or 'off-on-private-network'"),
    ('[store]\nsynchronous = "off"', ":2 [store] synchronous: must be 'full' or 'normal'"),
    ('[store]\nurl = "sqlite:///x.db"', "expects sqlite:NAME"),
    ('[store]\nurl = "sqlite:../x.db"', "expects sqlite:NAME"),
    ('[log]\nrotate = "ten"', ":2 [log] rotate: expects a size such as 10MB"),
    ('[log]\nrotate = "1KB"', ":2 [log] rotate: must be at least 4KB"),
    ("[log]\nkeep = -1", ":2 [log] keep: must be at least 0"),
    ('[log]\nlevel = "loud"', ":2 [log] level: must be 'debug', 'info', 'warning' or 'error'"),
    ('[lines."a b"]\ndialect = "contact"', "a line's name has no spaces"),
    ("[lines.a]", ":1 [lines.a]: dialect is required: one of boss, contact, maim"),
    ('[lines.a]\ndialect = "miam"', 'dialect: unknown dialect; did you mean "maim"?'),
    ('[lines.a]\ndialect = "irc"', "dialect: unknown dialect; known: boss, contact, maim"),
    ('[lines.a]\ndialect = "maim"\nrole = "kore"', "must be one of core, adapter"),
    ('[lines.a]\ndialect = "contact"\nlink = "dial"\nurl = "ws://h"', "cannot link"),
    ('[lines.a]\ndialect = "contact"\nlink = "both"', "link: must be 'listen' or 'dial'"),
    (CORE + 'bind = "8090"', ":4 [lines.core] bind: '8090' is not HOST:PORT"),
    (CORE + 'bind = ["127.0.0.1:1", "::1:8090"]', "'::1:8090' is not HOST:PORT"),
    (CORE + 'bind = "127.0.0.1:99999"', "'127.0.0.1:99999' is not HOST:PORT"),
    (CORE + 'bind = "127.0.0.1:8080"', "is the main port already; leave bind out"),
    (CORE + 'path = "ws"', "must begin with /"),
    (CORE + 'path = "/a?b"', "must begin with /"),
    (CORE + 'path = "/api/v1"', "belongs to trunkline itself"),
    (CORE + 'path = "/metrics"', "belongs to trunkline itself"),
    (CORE + 'url = "ws://h"', ':4 [lines.core] url: is only for link = "dial"'),
    (CORE + "tls_insecure = true", ':4 [lines.core] tls_insecure: is only for link = "dial"'),
    (
        '[lines.m]\ndialect = "maim"\nrole = "adapter"\nurl = "ws://h"\npath = "/x"',
        ':5 [lines.m] path: is only for link = "listen"',
    ),
    (CORE + "debounce_s = 61", ":4 [lines.core] debounce_s: must be at most 60"),
    (CORE + 'debounce_s = "1"', ":4 [lines.core] debounce_s: expects a number, not text"),
    (CORE + 'token = ["a", "b", "c"]', "token: must have at most 2"),
    (CORE + "token = 1", ":4 [lines.core] token: expects"),
    ('[lines.m]\ndialect = "maim"\nrole = "adapter"', "url: is required: where to dial"),
    ('[[rules]]\nname = "a"\nreply = "x"', ":1 [[rules]] #1 keywords: is required"),
    (RULE + 'reply = "x"\nnotice = "order"', "notice: such a rule answers what nobody said"),
    ('[[rules]]\nnotice = " "\nreply = "x"', "is empty and would match nothing"),
    (RULE, "reply: is required"),
    (RULE + 'then = "person"\nreply = "x"', "hands over and sends no reply"),
    (RULE + 'reply = "x"\nimage = "no.png"', ":5 [[rules]] #1 image: cannot read"),
    (RULE + 'reply = "x"\nmatch = "fuzzy"', "match: must be 'contains', 'exact', 'regex' or 'any'"),
    (RULE + 'reply = "x"\npriority = 1.5', "priority: expects a whole number"),
    (RULE + 'reply = "x"\nexepct = ["y"]', 'unknown key; did you mean "except"?'),
    ('[[rules]]\nkeywords = ["("]\nmatch = "regex"\nreply = ""', ":2 [[rules]] #1 keywords: "),
    ('[[rules]]\nkeywords = ["a", " "]\nreply = ""', "#1 keywords: holds an empty word"),
    ('[[rules]]\nmatch = "any"\nkeywords = ["a"]\nreply = ""', "uses no keywords"),
    (RULE + 'reply = "x"\n' + RULE + 'reply = "y"', ":6 [[rules]] #2 name: the name 'a'"),
    ("rules = 1", "expects a list of tables: [[rules]]"),
    ("[[default_replies]]\nlimit = 1", ":1 [[default_replies]] #1 reply: is required"),
    ('[[default_replies]]\nreply = "x"\nper = "week"', "per: must be"),
    ("[server\n", "not valid TOML"),
    ("[server]\nport = 1\nport = 2\n", "not valid TOML"),
]


@pytest.mark.parametrize(("text", "sentence"), ONE_PROBLEM)
def test_one_problem_is_one_sentence_with_its_place(problems, text, sentence):
    (found,) = problems(text)
    assert sentence in found
    assert found.startswith("trunkline.toml")


NOT_BUILT = [
    '[[bridges]]\nbetween = ["a", "b"]',
    '[[notify]]\nto = "x"',
    '[store]\nurl = "postgresql://h/db"',
    '[lines.a]\ndialect = "boss"\ncookies = "wt=1"\nheartbeat_timeout_s = 5.0',
    '[lines.a]\ndialect = "xianyu"\ncookies = "unb=1"\nsubprotocol = "x"',
    CORE + 'alias = "x"',
    '[lines.m]\ndialect = "maim"\nrole = "adapter"\nurl = "ws://h"\nuser_agent = "x"',
]


def test_any_line_may_have_a_pace(load, problems):
    line = load('[lines.a]\ndialect = "contact"\nevery_s = 6\ndaily = 150').lines["a"]
    assert (line.every_s, line.daily) == (6.0, 150)
    (found,) = problems('[lines.a]\ndialect = "contact"\nevery_s = 6\ndaily = -1')
    assert "[lines.a] daily" in found


def test_a_seller_needs_cookies(problems):
    (found,) = problems('[lines.shop]\ndialect = "xianyu"')
    assert "[lines.shop] cookies" in found
    assert "required" in found


BOSS = '[lines.job]\ndialect = "boss"\ncookies = "wt=1"\n'


def test_a_job_seeker_needs_cookies_and_drafts_at_the_platforms_pace(load, problems):
    line = load(BOSS).lines["job"]
    assert (line.mode, line.every_s, line.daily) == ("draft", 6.0, 150)
    (found,) = problems('[lines.job]\ndialect = "boss"')
    assert "[lines.job] cookies" in found
    (found,) = problems('[lines.job]\ndialect = "boss"\ncookies = "nothing of the kind"')
    assert "copy the whole string" in found


def test_a_resume_picture_is_read_with_the_configuration(load, problems, tmp_path):
    png = b"\x89PNG\r\n\x1a\n" + b"x" * 20
    (tmp_path / "cv.png").write_bytes(png)
    line = load(BOSS + 'send_resume_image = true\nresume_image = "cv.png"').lines["job"]
    assert line.picture == png
    (found,) = problems(BOSS + 'resume_image = "gone.png"')
    assert "[lines.job] resume_image: cannot read" in found
    (tmp_path / "cv.txt").write_text("no picture")
    (found,) = problems(BOSS + 'resume_image = "cv.txt"')
    assert "is none of PNG" in found
    (found,) = problems(BOSS + "send_resume_image = true")
    assert "[lines.job] resume_image: is required" in found or "resume_image is required" in found


@pytest.mark.parametrize("text", NOT_BUILT)
def test_keys_of_the_design_without_effect_are_refused(problems, text):
    (found,) = problems(text)
    assert "not built yet" in found


def test_a_maim_core_may_dial_and_listens_when_nothing_is_said(load):
    dialling = 'dialect = "maim"\nlink = "dial"\nurl = "ws://h/ws"\n'
    lines = load(f'[lines.a]\n{dialling}[lines.b]\ndialect = "maim"\npath = "/b"\n').lines
    assert [(lines[name].role, lines[name].link) for name in "ab"] == [
        ("core", "dial"), ("core", "listen"),
    ]  # fmt: skip


def test_a_maim_adapter_may_be_dialled_and_dials_when_nothing_is_said(load):
    listening = 'dialect = "maim"\nrole = "adapter"\nlink = "listen"\npath = "/a"\n'
    dialling = 'dialect = "maim"\nrole = "adapter"\nurl = "ws://h/ws"\n'
    lines = load(f"[lines.a]\n{listening}[lines.b]\n{dialling}").lines
    assert [lines[name].link for name in "ab"] == ["listen", "dial"]


def test_all_problems_come_at_once_in_file_order(problems):
    found = problems(
        """\
        [server]
        prot = 1
        [lines.core]
        dialect = "maim"
        debounce_s = "x"
        pth = "/x"
        [lines.two]
        dialect = "maim"
        [[rules]]
        name = "a"
        [notify]
        """
    )
    places = [text.split(": ")[0].removeprefix("trunkline.toml:") for text in found]
    assert places == [
        "2 [server] prot", "5 [lines.core] debounce_s", "6 [lines.core] pth", "7 [lines.two] path",
        "9 [[rules]] #1 keywords", "9 [[rules]] #1 reply", "11 [notify]",
    ]  # fmt: skip


def test_problems_are_said_in_chinese_to_who_reads_it(problems):
    (found,) = problems("[server]\nprot = 1\n", {"LANG": "zh_CN.UTF-8"})
    assert found == "trunkline.toml:2 [server] prot: 未知的键；是不是 port？"


def test_a_value_is_never_in_a_problem(problems):
    found = problems(CORE + 'token = ["hunter2-a", "hunter2-b", "hunter2-c"]\nmode = "hunter2"\n')
    assert len(found) == 2
    assert "hunter2" not in "".join(found)


def test_line_numbers_survive_long_strings_and_dotted_keys(problems):
    found = problems(
        '''\
        [site]
        offline_notice = """
        [server]
        prot = 1
        """
        server.x = 1
        [ "server" ]  # comment
        "prot" = 2
        '''
    )
    assert [text.split(": ")[0] for text in found] == [
        "trunkline.toml:6 [site] server", "trunkline.toml:8 [server] prot",
    ]  # fmt: skip


# -- lines against each other ----------------------------------------------------------------


TAKEN = (
    "[lines.two] path: /ws on the main port belongs to line core already; "
    "give it another path, or a bind of its own"
)


def test_one_mistake_is_one_sentence_however_many_paths_a_dialect_has(problems):
    """Two lines of frameworks were 24 problems, of a key that nobody had written."""
    (found,) = problems('[lines.a]\ndialect = "onebot11"\n[lines.b]\ndialect = "onebot11"\n')
    assert "[lines.b] path: " in found
    assert found.endswith("belongs to line a already; give it another path, or a bind of its own")


def test_two_lines_may_not_own_one_path_of_one_socket(problems):
    (found,) = problems(CORE + '[lines.two]\ndialect = "maim"\n')
    assert found.endswith(TAKEN)


def test_lines_of_two_dialects_may_own_one_path(load):
    """Source: guides 6"""
    shared = '[lines.blog]\ndialect = "contact"\npath = "/ws"\naliases = []\n'
    assert len(load(CORE + shared).lines) == 2
    bound = 'bind = ["127.0.0.1:8090", "127.0.0.1:8091"]\n'
    assert len(load(CORE + bound + shared + 'bind = "127.0.0.1:8091"\n').lines) == 2


def test_a_third_line_must_be_told_from_each(problems):
    (found,) = problems(
        CORE + '[lines.blog]\ndialect = "contact"\npath = "/ws"\naliases = []\n'
        '[lines.two]\ndialect = "maim"\n'
    )
    assert found.endswith(TAKEN)


def test_a_dialect_without_marks_shares_no_path():
    lines = {
        "core": MAIM.options(dialect="maim", role="core"),
        "blog": CONTACT.options(dialect="contact", role="site", path="/ws", aliases=()),
    }
    for changed in ("maim", "contact"):
        dialects = {"maim": MAIM, "contact": CONTACT}
        dialects[changed] = msgspec.structs.replace(dialects[changed], recognises=None)
        found = Problems("en", "x.toml")
        check_doors(lines, Server(), found, dialects)
        assert "belongs to line core already" in found.texts()[0]


def test_a_disabled_line_owns_nothing(load):
    config = load(CORE + '[lines.two]\ndialect = "maim"\nenabled = false\n')
    assert len(config.lines) == 2


def test_one_path_on_two_sockets_is_fine(load):
    config = load(
        CORE + 'bind = ["127.0.0.1:8090", "127.0.0.1:8091"]\n'
        '[lines.two]\ndialect = "maim"\nbind = "127.0.0.1:8092"\n'
    )
    assert len(config.lines) == 2


def test_lines_on_one_socket_have_one_certificate(problems, tmp_path):
    for name in ("a.crt", "a.key"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    (found,) = problems(
        CORE + 'bind = "127.0.0.1:8090"\ntls_cert = "a.crt"\ntls_key = "a.key"\n'
        '[lines.two]\ndialect = "maim"\npath = "/two"\nbind = "127.0.0.1:8090"\n'
    )
    assert "their tls_cert and tls_key must be the same" in found


# -- files -----------------------------------------------------------------------------------


def test_certificate_files_become_absolute(load, tmp_path):
    (tmp_path / "ca.crt").write_text("x")
    config = load(
        '[lines.m]\ndialect = "maim"\nrole = "adapter"\nurl = "wss://h/ws"\nca_file = "ca.crt"\n'
    )
    assert config.lines["m"].ca_file == str(tmp_path / "ca.crt")


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ('ca_file = "no.crt"', "ca_file: no file "),
        ('pin_sha256 = "abc"', "pin_sha256: expects 64 hexadecimal digits"),
        ("tls_insecure = true", "tls_insecure: works for loopback only"),
    ],
)
def test_whom_to_trust(problems, extra, sentence):
    (found,) = problems(
        f'[lines.m]\ndialect = "maim"\nrole = "adapter"\nurl = "wss://h.example/ws"\n{extra}\n'
    )
    assert sentence in found


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("tcp://h:1", "tcp://"),
        ("ftp://h", "ws://"),
        ("ws://", "must begin with ws:// or wss://"),
        ("ws://user:pw@h/ws", "keep credentials out of the address"),
        ("ws://h:99999/ws", "is not a valid address"),
    ],
)
def test_where_to_dial(problems, url, sentence):
    (found,) = problems(f'[lines.m]\ndialect = "maim"\nrole = "adapter"\nurl = "{url}"\n')
    assert sentence in found


def test_http_addresses_are_taken_for_websockets(load):
    config = load('[lines.m]\ndialect = "maim"\nrole = "adapter"\nurl = "http://h/ws"\n')
    assert config.lines["m"].url == "http://h/ws"


def test_a_certificate_needs_its_key(problems):
    found = problems('[server]\ntls_cert = "no.crt"\n')
    assert len(found) == 2
    assert "tls_key is required beside tls_cert" in found[0]
    assert "no file" in found[1]


def test_a_key_file_must_be_private(problems, tmp_path):
    for name in ("a.crt", "a.key"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    (found,) = problems('[server]\ntls_cert = "a.crt"\ntls_key = "a.key"\n')
    assert found.startswith("trunkline.toml:3 [server] tls_key: ")
    assert "can be read by others" in found


@pytest.mark.parametrize(
    ("data", "is_good"),
    [
        (PNG, True),
        (b"\xff\xd8\xff\xe0" + b"\0" * 9, True),
        (b"GIF89a" + b"\0" * 9, True),
        (b"RIFF\0\0\0\0WEBPVP8 ", True),
        (b"BM" + b"\0" * 20, True),
        (b"<svg xmlns=''>", False),
        (b"RIFF\0\0\0\0WAVE", False),
        (b"", False),
    ],
)
def test_pictures_are_known_by_their_first_bytes(load, tmp_path, data, is_good):
    (tmp_path / "p").write_bytes(data)
    text = RULE + 'image = "p"\n'
    if is_good:
        assert load(text).rules[0].image == Image(data=data, name="p")
    else:
        with pytest.raises(ConfigError, match="none of PNG, JPEG, GIF, WebP, BMP"):
            load(text)


@pytest.mark.parametrize(("extra", "is_good"), [(0, True), (1, False)])
def test_pictures_are_bounded(load, tmp_path, extra, is_good):
    with (tmp_path / "p").open("wb") as file:
        file.write(PNG)
        file.truncate((10 << 20) + extra)
    text = RULE + 'image = "p"\n'
    if is_good:
        assert len(load(text).rules[0].image.data) == 10 << 20
    else:
        with pytest.raises(ConfigError, match="larger than 10 MiB"):
            load(text)


# -- warnings --------------------------------------------------------------------------------


def test_what_only_warns(load, tmp_path):
    path = tmp_path / "trunkline.toml"
    config = load(
        '[server]\ntls = "terminated-by-proxy"\n'
        + CORE
        + 'token = "short"\n'
        + RULE
        + 'reply = "x"\nlines = ["cor", "c*"]\n'
    )
    assert [text.partition(": ")[0] for text in config.warnings] == [
        "trunkline.toml:2 [server] tls",
        "trunkline.toml:6 [lines.core] token",
        "trunkline.toml:11 [[rules]] #1 lines",
    ]
    assert 'no line is called cor; did you mean "core"?' in config.warnings[2]
    path.chmod(0o644)
    assert any("can be read by others" in text for text in load_config(path, {}).warnings)


NOTICE = """
[lines.shop]
dialect = "xianyu"
cookies = "unb=1"
[lines.job]
dialect = "boss"
cookies = "wt=1"
[[rules]]
reply = "x"
"""


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('notice = "order:payed"', 'is called order:payed; did you mean "order:paid"?'),
        ('notice = ["order:paid", "zzzz"]', "is called zzzz"),
        ('notice = "order:paid"\nlines = ["job"]', "is called order:paid"),
    ],
)
def test_a_notice_that_never_comes_is_warned_of(load, keys, said):
    (warning,) = load(NOTICE + keys + "\n").warnings
    assert warning.startswith("trunkline.toml:10 [[rules]] #1 notice: no notice of these lines")
    assert warning.endswith(said)


@pytest.mark.parametrize(
    "names",
    ["order", "order:*", "*", "system:tips", "action:37", "card", "card:job", "gap", "action:*"],
)
def test_notices_that_come_are_no_warning(load, names):
    assert load(NOTICE + f'notice = "{names}"\n').warnings == ()


def test_where_peers_make_up_names_only_what_is_very_near_is_warned_of(load):
    text = CORE + f'token = "{STRONG}"\n' + NOTICE
    assert load(text + 'notice = "notify"\n').warnings == ()  # not far from boss's "notice"
    assert "order:paid" in load(text + 'notice = "order:payed"\n').warnings[0]


def test_a_good_configuration_has_no_warnings(load):
    config = load(CORE + f'token = "{STRONG}"\n' + RULE + 'reply = "x"\nlines = ["core"]\n')
    assert config.warnings == ()


def test_lines_without_a_token_are_open(load):
    text = CORE + '[lines.blog]\ndialect = "contact"\n[lines.t]\ndialect = "maim"\npath = "/t"\n'
    config = load(text + f'token = "{STRONG}"\n')
    assert config.open_lines == ("core",)


# -- listening -------------------------------------------------------------------------------

BLOG = '[lines.blog]\ndialect = "contact"\n'
PUBLIC = '[server]\nhost = "0.0.0.0"\n'
PROXY = PUBLIC + 'tls = "terminated-by-proxy"\n'
PRIVATE = '[server]\nhost = "192.168.1.5"\ntls = "off-on-private-network"\n'
GUARDED = CORE + f'token = "{STRONG}"\n'

LISTENING = [
    ("", []),
    (CORE, []),  # loopback is open
    ('[server]\nhost = "localhost"\n' + CORE, []),
    ('[server]\nhost = "::1"\n' + CORE, []),
    (PUBLIC, ["0.0.0.0:8080: [server] tls_cert"]),
    ('[server]\nhost = "::"\n', ["[::]:8080: [server] tls_cert"]),
    ('[server]\nhost = "gateway.example"\n', ["gateway.example:8080: [server] tls_cert"]),
    (PROXY, []),
    (PROXY + BLOG, []),  # visitors have no token
    (PUBLIC + BLOG, ["[server] tls_cert"]),
    (PROXY + GUARDED, []),
    (PROXY + CORE, ["0.0.0.0:8080: [lines.core] token: none is set"]),
    (PUBLIC + CORE, ["[server] tls_cert", "[lines.core] token: none is set"]),
    (PROXY + CORE + 'token = "short"\n', ["[lines.core] token: too weak"]),
    (PROXY + CORE + f'token = ["{STRONG}", "short"]\n', ["[lines.core] token: too weak"]),
    (PROXY + CORE + "enabled = false\n", []),
    (PROXY + CORE + 'bind = "127.0.0.1:8090"\n', []),
    (PRIVATE + GUARDED, []),
    (PRIVATE + CORE, ["192.168.1.5:8080: [lines.core] token: none is set"]),
    ('[server]\nhost = "0.0.0.0"\ntls = "off-on-private-network"\n', ["is for private addresses"]),
    ('[server]\nhost = "8.8.8.8"\ntls = "off-on-private-network"\n', ["is for private addresses"]),
    (
        CORE + 'bind = "0.0.0.0:8090"\n',
        ["0.0.0.0:8090: [lines.core] tls_cert", "0.0.0.0:8090: [lines.core] token: none is set"],
    ),
    (GUARDED + 'bind = ["127.0.0.1:1", "10.0.0.1:2"]\n', ["10.0.0.1:2: [lines.core] tls_cert"]),
]


@pytest.mark.parametrize(("text", "expected"), LISTENING)
def test_the_listening_rule(load, text, expected):
    config = load(text)
    missing = check_listening(config)
    assert len(missing) == len(expected), missing
    for sentence, part in zip(missing, expected, strict=True):
        assert part in sentence
    if expected:
        with pytest.raises(UnsafeConfig) as caught:
            require_safe(config)
        assert caught.value.missing == missing
    else:
        require_safe(config)


def test_an_own_certificate_is_enough(load, tmp_path):
    for name in ("a.crt", "a.key"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    tls = 'tls_cert = "a.crt"\ntls_key = "a.key"\n'
    assert check_listening(load(PUBLIC + tls)) == []
    line = GUARDED + 'bind = "0.0.0.0:8090"\n' + tls
    assert check_listening(load(line)) == []
    # The main port's certificate does not protect a socket of a line's own.
    text = PUBLIC + tls + GUARDED + 'bind = "0.0.0.0:8090"\n'
    assert len(check_listening(load(text))) == 1


# -- the first start -------------------------------------------------------------------------


def test_the_first_start_makes_a_private_folder_with_an_open_contact_line(tmp_path):
    folder = tmp_path / "deep" / "trunkline"
    path = ensure_folder(folder)
    assert path == folder / "trunkline.toml"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    config = load_config(path, {})
    assert [(line.dialect, line.path) for line in config.lines.values()] == [
        ("contact", "/contact")
    ]
    assert check_listening(config) == []
    assert config.warnings == ()


def test_the_first_start_never_overwrites(tmp_path):
    (tmp_path / "trunkline.toml").write_text("# mine\n")
    assert ensure_folder(tmp_path).read_text() == "# mine\n"


def test_where_commands_look_for_the_configuration(tmp_path):
    assert find_config(tmp_path) is None
    inner = ensure_folder(tmp_path / "trunkline")
    assert find_config(tmp_path) == inner
    outer = ensure_folder(tmp_path)
    assert find_config(tmp_path) == outer


def test_a_weak_operator_token_is_for_this_machine_only(load):
    weak = """
[server]
host = "0.0.0.0"
tls = "terminated-by-proxy"
[lines.blog]
dialect = "contact"
operator_token = "1234"
"""
    (missing,) = check_listening(load(weak))
    assert "[lines.blog] operator_token: too weak" in missing
    assert check_listening(load(weak.replace("1234", "9f86d081884c7d659a2feaa0c55ad015"))) == []
    assert check_listening(load(weak.replace("0.0.0.0", "127.0.0.1"))) == []


SCALED = "[dev]\nclock_scale = 60\n"


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        (SCALED, True),
        (SCALED + '[server]\nhost = "0.0.0.0"\n', False),
        (SCALED + '[lines.core]\ndialect = "maim"\nbind = "192.168.1.2:8090"\n', False),
        (SCALED + '[lines.core]\ndialect = "maim"\nbind = "127.0.0.1:8090"\n', True),
        ("[dev]\nclock_scale = 0.5\n", False),
        ("[dev]\nclock_scale = 1000000\n", False),
    ],
)
def test_a_clock_that_runs_away_stays_on_this_machine(tmp_path, text, is_taken):
    (tmp_path / "trunkline.toml").write_text(text)
    if is_taken:
        assert load_config(tmp_path / "trunkline.toml", {}).dev.clock_scale == 60
    else:
        with pytest.raises(ConfigError, match="clock_scale"):
            load_config(tmp_path / "trunkline.toml", {})
