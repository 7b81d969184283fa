"""Throw-away certificates for TLS tests, made by the `openssl` program."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Certificate:
    """A self-signed certificate for localhost, 127.0.0.1 and ::1, or for one other name."""

    cert: str
    key: str

    @property
    def sha256(self) -> str:
        pem = Path(self.cert).read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def make_certificate(folder: Path, name: str = "localhost") -> Certificate:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the openssl program is missing")
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    names = f"DNS:{name}" + (",IP:127.0.0.1,IP:::1" if name == "localhost" else "")
    subprocess.run(
        [
            program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return Certificate(str(cert), str(key))
