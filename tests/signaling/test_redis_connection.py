"""Which Redis is taken, and what is said of one that is not."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from signaling.redis_link import RedisLink, RedisUnavailable, Reply, Script
from signaling.redis_settings import RedisSettings
from tests.redis_server import RedisServer, free_port, redis_server

WHOLE = Script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")


@asynccontextmanager
async def linked(url: str, **settings: object) -> AsyncIterator[RedisLink]:
    link = RedisLink(RedisSettings.model_validate({"url": url, "timeout_s": 1.0, **settings}))
    try:
        yield link
    finally:
        await link.close()


async def why_not(url: str, **settings: object) -> str:
    """What is said of a Redis that cannot be used; the same is said of it later."""
    async with linked(url, **settings) as link:
        with pytest.raises(RedisUnavailable) as refused:
            await link.check()
        assert link.trouble == str(refused.value)
        return str(refused.value)


async def again(link: RedisLink, *command: str) -> Reply:
    """The answer, once there is one."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await link.call(*command)
            except RedisUnavailable:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[str]:
    """Something that answers each command with the next of these; after the last it answers nothing."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            if not left:
                break
            writer.write(left.pop(0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_nothing_that_listens() -> None:
    assert "cannot be reached: start it, or mend redis.url" in await why_not(f"redis://127.0.0.1:{free_port()}")
    assert "cannot be reached" in await why_not("unix:///nowhere/at/all.sock")


async def test_a_name_that_is_none() -> None:
    assert "cannot be reached" in await why_not("redis://redis.invalid")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\1\2\r\n", b"*1\r\n" * 100_000]
)
async def test_something_that_is_no_redis(answer: bytes) -> None:
    async with answering(answer) as url:
        assert "is not Redis" in await why_not(url) or "no Redis" in await why_not(url)


async def test_something_that_says_nothing() -> None:
    async with asyncio.timeout(5):
        async with answering(b"") as url:
            assert "did not answer within 0.2 s" in await why_not(url, timeout_s=0.2)


def hello(version: str, role: str = "master", mode: str = "standalone") -> bytes:
    fields = ("server", "redis", "version", version, "mode", mode, "role", role)
    return b"+OK\r\n*%d\r\n" % len(fields) + b"".join(b"$%d\r\n%s\r\n" % (len(f), f.encode()) for f in fields)


async def test_a_redis_that_is_too_old() -> None:
    async with answering(hello("6.0.16")) as url:
        assert "has version 6.0.16: 6.2 or newer is needed" in await why_not(url)
    async with answering(b"+OK\r\n-ERR unknown command `HELLO`, with args beginning with: \r\n") as url:
        assert "too old: 6.2 or newer is needed" in await why_not(url)


async def test_a_sentinel_is_no_store() -> None:
    async with answering(hello("7.0.15", mode="sentinel", role="sentinel")) as url:
        assert "is no Redis that holds data" in await why_not(url)


async def test_a_valkey_is_taken() -> None:
    async with answering(hello("8.1.1"), b"+PONG\r\n") as url, linked(url) as link:
        await link.check()


async def test_a_replica_is_named_as_what_it_is() -> None:
    with redis_server() as primary, redis_server(replicaof=f"127.0.0.1 {primary.port}") as replica:
        assert "is a read-only replica: name its primary" in await why_not(replica.url)
        async with linked(primary.url) as link:
            await link.check()
            primary.ask("REPLICAOF", "127.0.0.1", str(replica.port))
            with pytest.raises(RedisUnavailable):
                await link.call("SET", "a", "b")
            assert "is a read-only replica" in await why_not(primary.url)


async def test_a_password_that_is_missing_or_wrong() -> None:
    with redis_server(requirepass="right") as server:
        assert "asks for a password: set redis.password" in await why_not(server.url)
        wrong = await why_not(server.url, password="wrong")
        assert "refuses the user or the password" in wrong and "wrong:" not in wrong
        for link in (linked(server.url, password="right"), linked(server.url.replace("//", "//:right@"))):
            async with link as right:
                await right.check()
    with redis_server() as server:
        assert "refuses the user or the password" in await why_not(server.url, password="needless")


async def test_a_user_of_an_acl_with_its_rights_alone() -> None:
    with redis_server() as server:
        rule = "on >hush ~{ferry}:* resetchannels -@all +@connection +@read +@write +@scripting +time"
        server.ask("ACL", "SETUSER", "ferry", *rule.split())
        url = server.url.replace("//", "//ferry:hush@")
        async with linked(url, prefix="ferry") as link:
            assert await link.script(WHOLE, [link.key("a")], ["1"]) == b"1"
        async with linked(url, prefix="other") as link:
            with pytest.raises(RedisUnavailable, match="NOPERM"):
                await link.script(WHOLE, [link.key("a")], ["1"])


async def test_a_unix_socket() -> None:
    with redis_server() as server:
        async with linked(server.unix_url + "?db=3") as link:
            assert await link.script(WHOLE, [link.key("a")], ["1"]) == b"1"
        assert b"db3:keys=1" in server.ask("INFO", "keyspace")


async def test_tls_with_certificates_of_both_sides(tmp_path: Path) -> None:
    ca, cert, key = certificates(tmp_path)
    port = free_port()
    files = {"tls_ca_cert_file": str(ca), "tls_cert_file": str(cert), "tls_key_file": str(key)}
    with redis_server(tls_port=str(port), **files) as server:
        url = f"rediss://127.0.0.1:{port}"
        async with linked(url, ca_file=ca, cert_file=cert, key_file=key) as link:
            assert await link.script(WHOLE, [link.key("a")], ["1"]) == b"1"
        assert "is not trusted: set redis.ca_file" in await why_not(url, cert_file=cert, key_file=key)
        assert await why_not(url, ca_file=ca)
        assert "write redis://" in await why_not(server.url.replace("redis:", "rediss:"), timeout_s=0.2)
        assert "if it wants TLS, write rediss://" in await why_not(f"redis://127.0.0.1:{port}")


@pytest.mark.timeout(60)
async def test_sentinels_know_the_primary_also_after_a_failover() -> None:
    with (
        redis_server(repl_diskless_sync_delay="0") as primary,
        redis_server(replicaof=f"127.0.0.1 {primary.port}") as replica,
    ):
        with sentinel(primary) as port:
            url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/ferry"
            async with linked(url, timeout_s=0.5) as link:
                await again(link, "SET", "a", "1")
                async with asyncio.timeout(10):
                    while await link.call("WAIT", 1, 200) != 1:
                        pass
                assert "knows no such service" in await why_not(url.replace("ferry", "other"))
                primary.kill()
                assert await again(link, "GET", "a") == b"1"
                assert b"role:master" in replica.ask("INFO", "replication")


async def test_keys_of_a_cluster_are_found_where_they_are() -> None:
    bus = str(free_port()), str(free_port())
    with (
        redis_server(cluster_enabled="yes", cluster_port=bus[0]) as one,
        redis_server(cluster_enabled="yes", cluster_port=bus[1]) as two,
    ):
        one.ask("CLUSTER", "MEET", "127.0.0.1", str(two.port), bus[1])
        two.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        async with linked(one.url) as link:
            await again(link, "SET", link.key("b"), "1")
            assert await link.script(WHOLE, [link.key("a")], ["1"]) == b"1"
        assert two.ask("DBSIZE") == b":2\r\n"


@contextmanager
def sentinel(primary: RedisServer) -> Iterator[int]:
    """One that watches this primary as `ferry` and decides alone; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sentinel.conf")
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor ferry 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds ferry 300\nsentinel failover-timeout ferry 3000\n"
        )
        process = subprocess.Popen([primary.binary, str(file), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate that signs itself and serves both sides, as authority, certificate and key."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert, cert, key
