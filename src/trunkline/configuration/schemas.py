"""Which schema of messages a line uses, and the ones that people imported.

    <data folder>/schemas/<dialect>/<sha256 of the text>.proto     what was imported
                                   /<sha256 of the text>.binpb     compiled
                                   /current                        the sha256 that lines use

Everything is written whole or not at all, readable by its owner alone. A line that names a file of
its own (`schema = "…"`) has that one compiled at the start, unless the same text was imported.
What a text means is the dialect's business (`dialects/schemas.py`).
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from trunkline.dialects.contract import Dialect
from trunkline.dialects.options import LineOptions
from trunkline.dialects.schemas import SchemaFault, SchemaField, SchemaSide

from .problems import Problems, Wording
from .protoc import CompilerKilled, CompilerMissing, compile_schema

FOLDER: Final = "schemas"
CURRENT: Final = "current"
MAX_BYTES: Final = 4 << 20  # of a file as it was pasted; escapes and UTF-16 take their room
_SHA: Final = re.compile(r"[0-9a-f]{64}")
_AS_SAID: Final = ("{detail}", "{detail}")
_REASONS: Final[Mapping[str, Wording]] = {
    "truncated": (
        "文本不完整，请在控制台用 copy(window.__PROTO_FILE_VAR__) 复制（{detail}）",
        "the text is truncated, use copy(window.__PROTO_FILE_VAR__) in the console ({detail})",
    ),
    "empty": ("没有内容", "there is nothing in it"),
    "too-large": ("太大（{detail}）", "too large ({detail})"),
    "unsupported": ("需要 proto2，而不是 {detail}", "expects proto2, not {detail}"),
    "incomplete": ("缺少 {detail}", "{detail} is missing"),
    "changed": ("编号、名称或类型变了：{detail}", "number, name or type has changed: {detail}"),
    "no-compiler": (
        '没有编译器；运行 pip install "trunkline[boss]"',
        'the compiler is not installed; run pip install "trunkline[boss]"',
    ),
    "killed": ("编译中止（{detail}）", "the compiler was stopped ({detail})"),
}


class Made(msgspec.Struct, frozen=True):
    """What became of a text.

    Args:
        text: cleaned; "" when it could not be.
        data: compiled, and good for lines; b"" when there are faults.
        faults: why not.
    """

    text: str = ""
    data: bytes = b""
    faults: tuple[SchemaFault, ...] = ()

    @property
    def sha256(self) -> str:
        """The name that the text is kept under."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Schemas:
    """The imported schemas of one dialect.

    Args:
        folder: the data folder; it is made when something is kept.
        dialect: by name.
    """

    def __init__(self, folder: Path, dialect: str) -> None:
        self._root = folder / FOLDER
        self.folder = self._root / dialect

    def current_name(self) -> str:
        """The sha256 of the text that lines use; "" = the built-in one."""
        with suppress(FileNotFoundError):
            name = (self.folder / CURRENT).read_text("ascii", "replace").strip()
            return name if _SHA.fullmatch(name) else ""
        return ""

    def current(self) -> bytes | None:
        """The compiled schema that lines use.

        b"" = the built-in one, None = the file of the one that was imported is gone, or nobody can
        say which one it was.
        """
        name = self.current_name()
        if name:
            return self.find(name)
        return None if (self.folder / CURRENT).exists() else b""

    def find(self, name: str) -> bytes | None:
        """The compiled schema of a text by its sha256; None when it was never imported."""
        with suppress(FileNotFoundError):
            return (self.folder / f"{name}.binpb").read_bytes()
        return None

    def keep(self, made: Made) -> None:
        """Keep a schema; lines use it from their next start on."""
        for folder in (self._root.parent, self._root, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self.folder / f"{made.sha256}.proto", made.text.encode())
        _write(self.folder / f"{made.sha256}.binpb", made.data)
        # Last: what it names is there, whenever this process ends.
        _write(self.folder / CURRENT, made.sha256.encode())

    def forget(self) -> None:
        """Lines use the built-in one from their next start on; what was imported stays."""
        (self.folder / CURRENT).unlink(missing_ok=True)


def make_schema(side: SchemaSide, text: str) -> Made:
    """Clean, compile and check a text. Runs a child process, at most 20 s."""
    cleaned = side.clean(text)
    if isinstance(cleaned, SchemaFault):
        return Made(faults=(cleaned,))
    try:
        compiled = compile_schema(cleaned)
    except CompilerMissing:
        return Made(cleaned, faults=(SchemaFault("no-compiler"),))
    except CompilerKilled as error:
        return Made(cleaned, faults=(SchemaFault("killed", str(error)),))
    if not compiled.data:
        return Made(cleaned, faults=tuple(side.explain(compiled.said, cleaned)))
    faults = list(side.check(compiled.data))
    for before, after in side.compare(side.built_in(), compiled.data).refused:
        faults.append(SchemaFault("changed", f"{word_field(before)} → {word_field(after)}"))
    return Made(cleaned, b"" if faults else compiled.data, tuple(faults))


def decode_text(data: bytes) -> str:
    """The text of a file, whichever of its marks an editor or a shell put in front.

    Raises:
        UnicodeDecodeError: it is neither UTF-8 nor marked as UTF-16.
    """
    is_wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if is_wide else "utf-8-sig")


def read_schemas(
    lines: Mapping[str, LineOptions],
    dialects: Mapping[str, Dialect],
    *,
    base: Path,
    data: Path | None,
    problems: Problems,
) -> dict[str, bytes]:
    """The compiled schema of each line that does not use its dialect's built-in one.

    Args:
        lines, dialects: by name.
        base: what the files that lines name are relative to.
        data: the data folder; None = there is none, so nothing was imported.
        problems: gets what cannot be used.
    """
    found: dict[str, bytes] = {}
    for name, options in lines.items():
        side = dialects[options.dialect].schema
        if side is None or not options.enabled:
            continue
        kept = Schemas(data, options.dialect) if data is not None else None
        path = ("lines", name, "schema")
        if file := side.file_of(options):
            if compiled := _read_named(side, base / file, kept, path, problems):
                found[name] = compiled
        elif kept is not None:
            compiled = kept.current()
            if compiled is None or (compiled and side.check(compiled)):
                problems.add(
                    path,
                    f"{kept.folder} 里导入的描述文件已损坏；重新运行 trunkline proto import",
                    f"the schema that was imported into {kept.folder} is damaged; "
                    "run trunkline proto import again",
                )
            elif compiled:
                found[name] = compiled
    return found


def _read_named(
    side: SchemaSide,
    file: Path,
    kept: Schemas | None,
    path: tuple[str, ...],
    problems: Problems,
) -> bytes:
    try:
        data = file.read_bytes()
        text = decode_text(data[: MAX_BYTES + 1])
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problems.add(path, f"无法读取 {file}：{reason}", f"cannot read {file}: {reason}")
        return b""
    except UnicodeDecodeError:
        problems.add(path, f"{file} 不是 UTF-8", f"{file} is not UTF-8")
        return b""
    cleaned = side.clean(text)
    if kept is not None and isinstance(cleaned, str):
        compiled = kept.find(Made(cleaned).sha256)
        if compiled and not side.check(compiled):
            return compiled
    made = make_schema(side, text)
    for fault in made.faults[:3]:
        zh, en = word_fault(fault)
        problems.add(path, f"{file}：{zh}", f"{file}: {en}")
    return made.data


def word_fault(fault: SchemaFault) -> Wording:
    """A fault as a sentence, with its line and what stands there."""
    zh, en = (text.format(detail=fault.detail) for text in _REASONS.get(fault.reason, _AS_SAID))
    if not fault.line:
        return zh, en
    zh = f"第 {fault.line} 行第 {fault.column} 列：{zh}"
    en = f"line {fault.line}, column {fault.column}: {en}"
    return (f"{zh}：{fault.excerpt}", f"{en}: {fault.excerpt}") if fault.excerpt else (zh, en)


def word_field(field: SchemaField) -> str:
    """A field in one line, the same in both languages."""
    return f"{field.message}.{field.name} = {field.number} ({field.type})"


def _write(path: Path, data: bytes) -> None:
    """Write a file whole: made 0600 under another name, flushed, then renamed."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
