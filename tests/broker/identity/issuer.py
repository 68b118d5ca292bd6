"""An issuer of tokens on loopback: its key set served over TLS, under a certificate authority of its own."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSAlgModel, JWSRegistry  # type: ignore[attr-defined]

from signaling.routes import Json

Key = RSAKey | ECKey | OKPKey | OctKey
ISSUER = "https://issuer.example/realms/ferry"
AUDIENCE = "pixelferry"
RSA = RSAKey.generate_key(2048, {"kid": "r1"})
EC = ECKey.generate_key("P-256", {"kid": "e1"})
ED = OKPKey.generate_key("Ed25519", {"kid": "d1"})
ALGORITHMS = {"r1": "RS256", "e1": "ES256", "d1": "EdDSA"}


def public(*keys: Key) -> list[dict[str, Json]]:
    """As a key set lists them."""
    return [{**key.as_dict(private=False), "use": "sig"} for key in keys]


def token(key: Key = RSA, *, alg: str | None = None, head: Mapping[str, Json] | None = None, **claims: Json) -> str:
    """A token of ann's that is good but for what is said otherwise; a claim that is None is left out."""
    now = int(time.time())
    usual: dict[str, Json] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "nbf": now, "exp": now + 86400}
    chosen = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    algorithm = alg or ALGORITHMS[str(key.kid)]
    named = {"alg": algorithm, "kid": key.kid, **(head or {})}
    registry = _AnyHead(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(
        {name: value for name, value in named.items() if value is not None}, chosen, key, registry=registry
    )


class _AnyHead(JWSRegistry):
    max_header_length = 100_000

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]


@dataclass
class Issuer:
    """What the key set's address answers with, and how often it was asked."""

    url: str
    ca_file: Path
    keys: list[dict[str, Json]] = field(default_factory=lambda: public(RSA, EC, ED))
    status: int = 200
    body: bytes | None = None
    hang: bool = False
    asked: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.hang:
            await self.over.wait()
        if self.status in (301, 302, 307):
            return web.Response(status=self.status, headers={"Location": "/moved"})
        body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
        return web.Response(status=self.status, body=body, content_type="application/json")


@asynccontextmanager
async def issuing(folder: Path) -> AsyncIterator[Issuer]:
    """A running issuer."""
    context, ca_file = _certified(folder)
    issuer = Issuer("", ca_file)
    app = web.Application()
    app.router.add_get("/certs", issuer.answer)
    app.router.add_get("/moved", issuer.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    issuer.url = f"https://127.0.0.1:{runner.addresses[0][1]}/certs"
    try:
        yield issuer
    finally:
        issuer.over.set()
        await runner.cleanup()


def _certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    authority, host = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "throwaway")])
    now = datetime.datetime.now(datetime.UTC)

    def certificate(key: ec.EllipticCurvePrivateKey, subject: str) -> x509.CertificateBuilder:
        named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        builder = x509.CertificateBuilder(name, named, key.public_key(), x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(
            now + datetime.timedelta(hours=1)
        )

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    subject_key = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    root = (
        certificate(authority, "throwaway")
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(subject_key, critical=False)
        .sign(authority, hashes.SHA256())
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = (
        certificate(host, "issuer")
        .add_extension(address, critical=False)
        .add_extension(authority_key, critical=False)
        .sign(authority, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    ca_file, chain, key_file = folder / "ca.pem", folder / "chain.pem", folder / "key.pem"
    ca_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    pem = host.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key_file)
    return context, ca_file
