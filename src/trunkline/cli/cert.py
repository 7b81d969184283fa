"""`trunkline cert`: a certificate for this machine, to try `wss://` with.

Self-signed, for `localhost`, `127.0.0.1` and `::1`: both clients that guide 004 prints refuse one
without these names. `cryptography` lives in this file only and is imported when it is needed.
Source: guides 6
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from .output import ExitCode, fail, print_json, say, text

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CERT_NAME: Final = "server.crt"
KEY_NAME: Final = "server.key"
FOLDER: Final = "ssl"  # the guide's own: its samples name ./ssl/server.crt
HOSTS: Final = ("localhost", "127.0.0.1", "::1")
DAYS: Final = 825  # some systems refuse what a user trusts for longer
_CLOCKS_DIFFER_S: Final = 3600  # valid for a peer whose clock is late


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its key, as written.

    Args:
        cert, key: paths.
        hosts: the names it is for.
        sha256: of the certificate, 64 hexadecimal digits: what `pin_sha256` takes.
        until: its last day, `YYYY-MM-DD`.
    """

    cert: str
    key: str
    hosts: tuple[str, ...]
    sha256: str
    until: str


def register(app: typer.Typer) -> None:
    """Add the command `cert`."""
    summary = text(
        "写出本机用的证书 server.crt 和私钥 server.key。",
        "Write a certificate for this machine: server.crt and server.key.",
    )
    app.command("cert", help=summary)(cert)


def cert(
    folder: Annotated[Path, typer.Argument(metavar="DIR")] = Path(FOLDER),
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", help=text("更多主机名或地址，可重复", "a further name or address; repeatable")
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=text("覆盖", "overwrite"))] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Write a certificate and its key into a folder."""
    try:
        pair = make_certificate(folder, host or (), is_forced=force)
    except FileExistsError as error:
        fail(
            ExitCode.PROBLEM,
            text(f"{error} 已存在，未改动任何文件", f"{error} exists; nothing was changed"),
            text("换一个目录，或加 --force 覆盖", "choose another folder, or overwrite by --force"),
        )
    except NotADirectoryError:
        fail(
            ExitCode.USAGE,
            text(f"{folder} 是文件，请给出目录", f"{folder} is a file; name a folder"),
        )
    except ValueError as error:
        fail(
            ExitCode.USAGE,
            text(f"--host {error}：不是主机名或地址", f"--host {error}: not a name or address"),
        )
    if as_json:
        print_json(pair)
        return
    hosts = ", ".join(pair.hosts)
    say(
        f"  {text('已写', 'created')}  {pair.cert}",
        f"  {text('已写', 'created')}  {pair.key}",
        text(f"  适用于 {hosts}，至 {pair.until}", f"  for {hosts}, until {pair.until}"),
        f'  tls_cert = "{pair.cert}"',
        f'  tls_key = "{pair.key}"',
        text(
            f'  客户端信任它：ca_file = "{pair.cert}"；Node：NODE_EXTRA_CA_CERTS={pair.cert}',
            f'  clients trust it by ca_file = "{pair.cert}"; Node: NODE_EXTRA_CA_CERTS={pair.cert}',
        ),
    )


def make_certificate(folder: Path, hosts: Sequence[str] = (), *, is_forced: bool = False) -> Pair:
    """Make a key and a certificate for this machine and write both.

    Args:
        folder: made when it is not there; `server.crt` and `server.key` go into it.
        hosts: further host names or addresses.
        is_forced: replace what is there.

    Raises:
        FileExistsError: one of the files is there; nothing was written.
        NotADirectoryError: the folder is a file.
        ValueError: a host is neither a name nor an address.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    cert_path, key_path = folder / CERT_NAME, folder / KEY_NAME
    all_hosts = tuple(dict.fromkeys((*HOSTS, *hosts)))
    names = [_name(each) for each in all_hosts]
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(str(folder))
    for path in (cert_path, key_path):
        if path.exists() and not is_forced:
            raise FileExistsError(str(path))
    key = ec.generate_private_key(ec.SECP256R1())
    made = _sign(key, names)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(key_path, key_pem, 0o600)
    _write(cert_path, made.public_bytes(serialization.Encoding.PEM), 0o644)
    return Pair(
        cert=str(cert_path),
        key=str(key_path),
        hosts=all_hosts,
        sha256=made.fingerprint(hashes.SHA256()).hex(),
        until=made.not_valid_after_utc.date().isoformat(),
    )


def _name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        wire = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(repr(host)) from error
    labels = wire.removeprefix("*.").split(".")
    if not all(label and label.replace("-", "").isalnum() for label in labels):
        raise ValueError(repr(host))
    return x509.DNSName(wire)


def _sign(key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName]) -> x509.Certificate:
    """Return a self-signed certificate of a server; it can sign no other."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "trunkline"),
        x509.NameAttribute(NameOID.COMMON_NAME, "localhost"),
    ])  # fmt: skip
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=_CLOCKS_DIFFER_S))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all; nobody else can ever read a key."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.replace(path)
