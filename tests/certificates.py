"""Certificates for servers of the tests: self-signed ones, and those of an authority of their own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, *, issuer: str | None = None, names: Iterable[x509.GeneralName] = ()
) -> x509.Certificate:
    """One that is good for these names today. Without an `issuer` it is an authority, too, signed by itself."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer or name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names := list(names):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())


def as_pem(of: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate or a key as a file holds it."""
    if isinstance(of, x509.Certificate):
        return of.public_bytes(serialization.Encoding.PEM)
    return of.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
