"""What the parts of one SeaweedFS know each other by: keys of JWTs, and one certificate for all of gRPC."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# Of chunks on the volume server, and of files on the filer.
_JWT: Final = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
_GRPC: Final = ("client", "master", "volume", "filer", "s3", "admin", "worker")
_VALID: Final = dt.timedelta(days=3650)


def write_keys(folder: Path) -> None:
    """Write `security.toml`, which `weed` reads in its working folder, with new keys for this start."""
    certificate, key = folder / "grpc.pem", folder / "grpc.key"
    signing = ec.generate_private_key(ec.SECP256R1())
    _write(key, _private_bytes(signing))
    _write(certificate, _self_signed(signing).public_bytes(serialization.Encoding.PEM))
    sections = [f'[{name}]\nkey = "{secrets.token_hex(32)}"\nexpires_after_seconds = 60' for name in _JWT]
    sections.append(f"[grpc]\nca = {_quoted(certificate)}")
    sections += [f"[grpc.{name}]\ncert = {_quoted(certificate)}\nkey = {_quoted(key)}" for name in _GRPC]
    _write(folder / "security.toml", ("\n\n".join(sections) + "\n").encode())


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Its own authority: nothing else is signed by it, so whoever shows it is of this deployment."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ccr")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return builder.sign(key, hashes.SHA256())


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _quoted(path: Path) -> str:
    """As TOML has it, which is as JSON has it."""
    return json.dumps(str(path.resolve()), ensure_ascii=False)


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
