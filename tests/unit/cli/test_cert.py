"""`trunkline cert`: what it writes is trusted by strict clients, private, and never overwritten."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import stat
import threading

import pytest

from trunkline.cli.cert import make_certificate
from trunkline.cli.main import run


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return tmp_path


def call(capsys, *args):
    code = run(["cert", *args])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def shake_hands(pair, name: str) -> None:
    """A TLS handshake in memory-sized sockets; raises what the client raises."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    client = ssl.create_default_context(cafile=pair.cert)
    # Python 3.13's own default: a certificate that breaks RFC 5280 is refused.
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except (ssl.SSLError, OSError):
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(near, server_hostname=name).close()
    finally:
        near.close()
        thread.join()


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "::1", "host.docker.internal", "10.1.2.3"]
)
def test_a_strict_client_trusts_it(here, name):
    pair = make_certificate(here, ["host.docker.internal", "10.1.2.3"])
    shake_hands(pair, name)


def test_it_is_for_no_other_name_and_signs_nobody(here):
    pair = make_certificate(here)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(pair, "example.org")
    from cryptography import x509

    made = x509.load_pem_x509_certificate((here / "server.crt").read_bytes())
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert made.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False


def test_two_keys_are_never_the_same(here):
    one, two = make_certificate(here / "a"), make_certificate(here / "b")
    assert one.sha256 != two.sha256
    assert (here / "a/server.key").read_bytes() != (here / "b/server.key").read_bytes()


def test_the_guide_s_own_place_is_the_default(capsys, here):
    code, out, err = call(capsys)
    assert (code, err) == (0, "")
    assert "created  ssl/server.crt" in out
    assert 'tls_key = "ssl/server.key"' in out
    assert "localhost, 127.0.0.1, ::1" in out
    assert stat.S_IMODE((here / "ssl/server.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in (here / "ssl").iterdir()) == ["server.crt", "server.key"]


def test_json_has_the_pin(capsys, here):
    code, out, _ = call(capsys, "my", "--host", "chat.local", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["hosts"] == ["localhost", "127.0.0.1", "::1", "chat.local"]
    pem = (here / said["cert"]).read_text()
    assert said["sha256"] == hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.mark.parametrize("name", ["server.crt", "server.key"])
def test_it_never_overwrites_unless_forced(capsys, here, name):
    (here / "ssl").mkdir()
    (here / "ssl" / name).write_text("mine")
    (here / "ssl" / name).chmod(0o644)
    code, out, err = call(capsys)
    assert (code, out) == (1, "")
    assert f"ssl/{name} exists; nothing was changed" in err
    assert "--force" in err
    assert [path.name for path in (here / "ssl").iterdir()] == [name]
    code, _, _ = call(capsys, "--force")
    assert code == 0
    assert "BEGIN" in (here / "ssl" / name).read_text()
    assert stat.S_IMODE((here / "ssl/server.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("host", ["", "a b", "http://x", "a..b", "x" * 70])
def test_a_host_that_is_none_is_named(capsys, here, host):
    code, _, err = call(capsys, "--host", host)
    assert code == 2
    assert "not a name or address" in err
    assert list(here.iterdir()) == []
