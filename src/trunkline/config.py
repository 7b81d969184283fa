"""One frozen tree, loaded once, validated whole: every problem at once, nothing opened.

    config = load_config(Path("trunkline.toml"), os.environ)

The file is TOML; every key may also come from `TRUNKLINE__SECTION__KEY`; every value may be
`{ env = "NAME" }` or `{ file = "PATH" }`. The rooms get their own part as an argument; only
`app.py` and `cli` see the tree. How a configuration is read is in `configuration/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel, SecretStr

from trunkline.configuration import notbuilt
from trunkline.configuration.carrying import check_carrying
from trunkline.configuration.language import Language, language_of
from trunkline.configuration.lines import (
    check_doors,
    check_tls_files,
    is_loopback,
    read_line,
    read_lines,
)
from trunkline.configuration.listening import find_missing, is_open, warn_of_tokens
from trunkline.configuration.logins import check_logins, find_stranger, find_twin
from trunkline.configuration.problems import Problems
from trunkline.configuration.rules import (
    check_notices,
    check_patterns,
    read_defaults,
    read_rules,
)
from trunkline.configuration.schemas import read_schemas
from trunkline.configuration.sections import (
    Assistant,
    Dev,
    Limits,
    LogSection,
    Plugins,
    Server,
    Site,
    StoreSection,
    parse_bind,
)
from trunkline.configuration.source import Source, is_private, is_reference, read_source
from trunkline.configuration.tables import as_table, read_table, refuse_key
from trunkline.configuration.templates import FILE_NAME, ensure_folder
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import ConfigError, UnsafeConfig
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec

__all__ = [
    "Config",
    "check_listening",
    "ensure_folder",
    "find_config",
    "is_loopback",
    "load_config",
    "parse_bind",
    "require_safe",
    "schemas_of",
]

_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "server": Server,
    "store": StoreSection,
    "log": LogSection,
    "limits": Limits,
    "dev": Dev,
    "site": Site,
    "plugins": Plugins,
    "assistant": Assistant,
}
S = TypeVar("S", bound=BaseModel)
_TABLES: Final = (*_SECTIONS, "lines", "rules", "default_replies")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was configured.

    Args:
        path: the file, absolute; None when there is none.
        folder: the data folder, absolute.
        lines: options of each line by name, in file order; the type is the dialect's own.
        rules, default_replies: as the pipeline wants them, pictures included.
        warnings: sentences for a person; nothing is refused because of them.
        source: what it was read from, for values that are read again.
    """

    path: Path | None
    folder: Path
    server: Server
    store: StoreSection
    log: LogSection
    limits: Limits
    dev: Dev
    site: Site
    plugins: Plugins
    assistant: Assistant
    lines: Mapping[str, LineOptions]
    rules: tuple[RuleSpec, ...]
    default_replies: tuple[DefaultSpec, ...]
    warnings: tuple[str, ...]
    source: Source

    @property
    def rulebook(self) -> RulebookSpec:
        """What `compile_rulebook` takes."""
        return RulebookSpec(
            rules=self.rules,
            defaults=self.default_replies,
            offline_notice=self.site.offline_notice,
            day_offset_ms=round(self.site.utc_offset_h * 3_600_000),
            model=self.assistant.spec,
        )

    @property
    def log_file(self) -> Path | None:
        """Where the log goes, absolute, or None."""
        return self.folder / self.log.file if self.log.file else None

    @property
    def open_lines(self) -> tuple[str, ...]:
        """Machine lines that listen without a token (`guides 1`)."""
        return tuple(name for name, options in self.lines.items() if is_open(options, DIALECTS))

    def credential_file(self, name: str) -> Path | None:
        """Return the file that a line's credential is read from; None when it is in none."""
        key = self.lines[name].credential_key
        raw: dict[str, Any] = self.source.table["lines"][name]
        value: Any = raw.get(key) if key else None
        if not is_reference(value) or "file" not in value:
            return None
        return self.source.folder / str(value["file"])

    def secrets(self) -> list[str]:
        """Return every credential in clear, for the redactor only."""
        found = [secret for options in self.lines.values() for secret in secrets_of(options)]
        found += _clear(self.assistant.api_key)
        return list(dict.fromkeys(found))

    def refreshed(self, name: str, **given: str) -> LineOptions:
        """Return a line's options with its `{ file }` values read again (`design 5`).

        Args:
            name: of the line.
            given: values to use instead of those that the configuration names.

        Raises:
            ConfigError: a value cannot be had or does not fit any more.
        """
        source = self.source
        problems = _problems(source.path, language_of(source.env))
        raw = {**as_table(source.table["lines"][name], ("lines", name), problems), **given}
        options = read_line(source, name, raw, problems, DIALECTS)
        if options is None or len(problems):
            raise ConfigError(problems.texts())
        return options

    def refuse_login(
        self, name: str, options: LineOptions, lines: Mapping[str, LineOptions]
    ) -> str:
        """Return why a line cannot log in with new options, "" when it can.

        Args:
            name: of the line.
            options: with the new credential.
            lines: as they run now, this one included.
        """
        wording = find_stranger(lines[name], options) or find_twin(name, options, lines)
        if wording is None:
            return ""
        return wording[language_of(self.source.env) != "zh"]


def secrets_of(options: LineOptions) -> Iterator[str]:
    """Yield the credentials of one line. Where its key file lies is no secret."""
    for key in type(options).model_fields:
        value: object = getattr(options, key)
        if key != "tls_key":
            yield from _clear(value)


def _clear(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        if text := value.get_secret_value():
            yield text
    elif isinstance(value, tuple):
        for item in value:  # pyright: ignore[reportUnknownVariableType] - any tuple
            yield from _clear(item)  # pyright: ignore[reportUnknownArgumentType] - any tuple
    elif isinstance(value, Mapping):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType] - any mapping
            yield from _clear(item)  # pyright: ignore[reportUnknownArgumentType] - any mapping


def find_config(folder: Path) -> Path | None:
    """Return the configuration that commands use without `-c`, or None when there is none yet.

    It is `trunkline.toml` here, else the one in the folder that the first start makes.
    """
    for path in (folder / FILE_NAME, folder / "trunkline" / FILE_NAME):
        if path.is_file():
            return path
    return None


def load_config(path: Path | None, env: Mapping[str, str]) -> Config:
    """Read and check everything.

    Args:
        path: the file; None = environment and defaults only.
        env: the environment: values, and the language of the report.

    Raises:
        ConfigError: with every problem, in file order.
    """
    problems = _problems(path, language_of(env))
    source = read_source(path, env, problems)
    for key in source.table:
        if key not in _TABLES:
            refuse_key(key, (key,), _TABLES, notbuilt.TABLES, problems)
    server = _resolve_server(_read_section(Server, source, problems), source, problems)
    store = _read_section(StoreSection, source, problems)
    config = Config(
        path=source.path,
        folder=(source.folder / store.dir).absolute(),
        server=server,
        store=store,
        log=_read_section(LogSection, source, problems),
        limits=_read_section(Limits, source, problems),
        dev=_read_section(Dev, source, problems),
        site=_read_section(Site, source, problems),
        plugins=_read_section(Plugins, source, problems),
        assistant=_read_section(Assistant, source, problems),
        lines=read_lines(source, problems, DIALECTS),
        rules=read_rules(source, problems),
        default_replies=read_defaults(source, problems),
        warnings=(),
        source=source,
    )
    check_doors(config.lines, server, problems, DIALECTS)
    check_carrying(config.lines, problems, DIALECTS)
    check_logins(config.lines, problems)
    _check_clock(config, problems)
    if len(problems):
        raise ConfigError(problems.texts())
    _warn(config, problems)
    return msgspec.structs.replace(config, warnings=problems.warnings())


def check_listening(config: Config) -> list[str]:
    """Return what is missing on binds that strangers can reach; empty = safe."""
    problems = _problems(config.path, language_of(config.source.env))
    return find_missing(config.server, config.lines, DIALECTS, problems)


def require_safe(config: Config) -> None:
    """Refuse a configuration that lets strangers in. To be called before a socket opens.

    Raises:
        UnsafeConfig: naming everything that is missing (exit 78).
    """
    if missing := check_listening(config):
        raise UnsafeConfig(missing)


def schemas_of(config: Config) -> dict[str, bytes]:
    """Return the compiled schema of each line that does not use its dialect's built-in one.

    May run the compiler, so it is no part of `load_config`; `check` and the start ask.

    Raises:
        ConfigError: a schema that a line names, or that was imported, cannot be used.
    """
    problems = _problems(config.path, language_of(config.source.env))
    folder = config.source.folder
    found = read_schemas(config.lines, DIALECTS, base=folder, data=config.folder, problems=problems)
    if len(problems):
        raise ConfigError(problems.texts())
    return found


def _problems(path: Path | None, language: Language) -> Problems:
    return Problems(language, path.name if path else "configuration")


def _read_section(model: type[S], source: Source, problems: Problems) -> S:
    name = next(key for key, section in _SECTIONS.items() if section is model)
    raw = as_table(source.table.get(name, {}), (name,), problems)
    unbuilt = notbuilt.KEYS.get(name, frozenset())
    return read_table(model, raw, (name,), source, problems, unbuilt) or model()


def _resolve_server(server: Server, source: Source, problems: Problems) -> Server:
    changes: dict[str, object] = {}
    if server.tls_cert:
        changes["tls_cert"] = str(source.folder / server.tls_cert)
    if server.tls_key is not None:
        changes["tls_key"] = SecretStr(str(source.folder / server.tls_key.get_secret_value()))
    server = server.model_copy(update=changes)
    check_tls_files(server.tls_cert, server.tls_key, ("server",), problems)
    if server.tls and server.tls_cert:
        problems.add(
            ("server", "tls"),
            "已有 tls_cert，不能再写",
            "says TLS is elsewhere, but tls_cert is set",
        )
    return server


def _check_clock(config: Config, problems: Problems) -> None:
    """A clock that runs away is for tests: strangers' messages must not meet it."""
    binds = [bind for options in config.lines.values() for bind in options.bind]
    # What is no address at all has a problem of its own.
    hosts = [config.server.host, *(bind.rpartition(":")[0].strip("[]") for bind in binds)]
    if config.dev.clock_scale != 1 and not all(map(is_loopback, hosts)):
        problems.add(
            ("dev", "clock_scale"),
            "只用于测试：所有监听地址须为 127.0.0.1",
            "is for tests: every address to listen on must be 127.0.0.1",
        )


def _warn(config: Config, problems: Problems) -> None:
    warn_of_tokens(config.lines, DIALECTS, problems)
    check_patterns("rules", config.rules, config.lines, problems)
    dialect_of = {name: options.dialect for name, options in config.lines.items()}
    check_notices(config.rules, dialect_of, DIALECTS, problems)
    check_patterns("default_replies", config.default_replies, config.lines, problems)
    if config.server.tls == "terminated-by-proxy" and not config.server.trusted_proxies:
        problems.warn(
            ("server", "tls"),
            "没有 trusted_proxies：带 X-Forwarded-For 的请求会被拒绝",
            "without trusted_proxies requests with X-Forwarded-For are refused",
        )
    path = config.path
    if path is not None and config.secrets() and not is_private(path):
        problems.warn(
            (),
            f"可被其他用户读取；若写有口令，运行 chmod 600 {path}",
            f"can be read by others; if it holds a token, run chmod 600 {path}",
        )
