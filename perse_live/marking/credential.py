"""The key that films are signed with: made on this machine at first use, or a bought one.

The certificates are made as C2PA asks (C2PA 2.1, 14.5: an end-entity certificate for e-mail protection, issued by an authority,
not by itself). Nobody vouches for an authority that was made on this machine: validators say that the signature is valid and the
signer unknown. PERSE_LIVE_SIGNING may name a file with a bought certificate.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import platformdirs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from perse_live.errors import UserError

FILE_VARIABLE = "PERSE_LIVE_SIGNING"
"""Environment variable: a PEM file with another key (P-256) and its certificates, that of the key first."""
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_YEARS = 10
_MAKER = "perse-live, on this machine"


@dataclass(frozen=True)
class Credential:
    """Key and certificates that films are signed with."""

    key: ec.EllipticCurvePrivateKey
    """On the curve P-256, for ES256."""
    certificates: bytes
    """PEM: the certificate of the key first, then who issued it."""

    @property
    def key_pem(self) -> bytes:
        """PKCS 8, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, data: bytes) -> bytes:
        """ECDSA with SHA-256, DER."""
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


def signed_by(certificates: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the first of these certificates (PEM) belongs to the key that signed. Raises ValueError for none at all."""
    key = x509.load_pem_x509_certificates(certificates)[0].public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def credential_file() -> Path:
    """Where the key and the certificates are, in one PEM file."""
    named = os.environ.get(FILE_VARIABLE)
    return (
        Path(named)
        if named
        else platformdirs.user_data_path("perse-live", appauthor=False) / "signing.pem"
    )


def signing_credential() -> Credential:
    """The credential of this user on this machine; made, and kept for the user's eyes only, where there is none.

    Raises UserError where it can neither be read nor made.
    """
    file = credential_file()
    try:
        if not file.exists():
            _make(file)
        blocks = [match[0] for match in _PEM_BLOCK.finditer(file.read_bytes())]
        certificates = (
            b"\n".join(block for block in blocks if block.startswith(b"-----BEGIN CERTIFICATE"))
            + b"\n"
        )
        key = serialization.load_pem_private_key(
            next(block for block in blocks if b"PRIVATE KEY-----" in block), password=None
        )
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(
            key.curve, ec.SECP256R1
        ):
            raise ValueError("the key is not on the curve P-256")
        if x509.load_pem_x509_certificates(certificates)[0].public_key() != key.public_key():
            raise ValueError("the first certificate belongs to another key")
        return Credential(key, certificates)
    except (OSError, ValueError, TypeError, StopIteration) as error:
        raise UserError(
            f"films cannot be signed with {file} ({error or 'no key in it'}): mend or remove that file, or give "
            "--no-c2pa"
        ) from error


def _make(file: Path) -> None:
    """Write a new credential, readable for the user only; one that another process made meanwhile is kept."""
    file.parent.mkdir(parents=True, exist_ok=True)
    made = _made()
    temporary = file.with_name(f".{secrets.token_hex(6)}.part")
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        ) as stream:
            stream.write(made.key_pem + made.certificates)
        if not file.exists():
            os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _made() -> Credential:
    authority_key, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    authority_name, name = _name("perse-live local authority"), _name("perse-live film signer")
    authority = _certificate(
        authority_name, authority_name, authority_key.public_key(), authority_key, authority=True
    )
    certificate = _certificate(
        name, authority_name, key.public_key(), authority_key, authority=False
    )
    pem = (one.public_bytes(serialization.Encoding.PEM) for one in (certificate, authority))
    return Credential(key, b"".join(pem))  # the authority's key is forgotten: it signs nothing else


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _MAKER),
        ]
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(timezone.utc)
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if not authority:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())
