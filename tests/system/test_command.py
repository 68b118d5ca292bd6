"""The command line as a newcomer meets it: ports that are taken, Ctrl-C, a hard death, a wrong catalog."""

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.system.ferry import PIXELFERRY, Ferry, eventually, running_ferry


def test_next_port_is_used_and_printed_when_8080_is_taken(tmp_path: Path) -> None:
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            squatter.bind(("127.0.0.1", 8080))
            squatter.listen()
        except OSError:
            pass  # somebody else holds it: as good
        with running_ferry(tmp_path) as ferry:
            assert not ferry.url.endswith(":8080")
            assert ferry.call("GET", "/healthz").status == 200


def test_port_that_was_asked_for_and_is_taken_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        listen = f"127.0.0.1:{squatter.getsockname()[1]}"
        done = subprocess.run(
            [PIXELFERRY, "up", "--listen", listen],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode != 0
    assert listen in done.stderr and "Traceback" not in done.stderr


def test_printed_curl_line_creates_a_session(ferry: Ferry) -> None:
    (line,) = re.findall(r"curl .*", ferry.log())
    done = subprocess.run(["bash", "-c", f"{line} --silent"], capture_output=True, text=True, timeout=30, check=False)
    session = json.loads(done.stdout)
    assert session["status"]["condition"] == "ready"
    assert ferry.listed() == [session["id"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_sessions_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with running_ferry(tmp_path, stop_signal=number) as ferry:
        ferry.start_session("test-pattern")
        ferry.start_session("usd-viewer")
        assert len(ferry.backends()) == 2


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("null", 403), ("http://localhost:3000", 101)]
)
def test_signaling_is_open_to_pages_of_this_machine_alone(ferry: Ferry, origin: str, status: int) -> None:
    session = ferry.start_session("test-pattern")
    route = ferry.route(session)
    head = (
        f"GET /session/{session['id']} HTTP/1.1\r\nHost: {route.host}:{route.signaling_port}\r\nOrigin: {origin}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: x-nv-sessionid.{session['id']}\r\n\r\n"
    )
    with socket.create_connection((route.host, route.signaling_port), timeout=10) as viewer:
        viewer.sendall(head.encode())
        assert viewer.recv(200).startswith(f"HTTP/1.1 {status} ".encode())


def test_second_command_beside_the_first_takes_other_ports(ferry: Ferry, tmp_path: Path) -> None:
    mine = ferry.route(ferry.start_session("test-pattern"))
    with running_ferry(tmp_path / "second") as second:
        theirs = second.route(second.start_session("test-pattern"))
        assert {mine.signaling_port, mine.media_port}.isdisjoint({theirs.signaling_port, theirs.media_port})
        assert mine.destination_ports.isdisjoint(theirs.destination_ports)


def test_backends_end_when_the_command_is_killed(tmp_path: Path) -> None:
    with running_ferry(tmp_path) as ferry:
        ferry.start_session("test-pattern")
        ferry.start_session("usd-viewer")
        left = ferry.descendants()
        assert len(left) >= 2
        os.kill(ferry.process.pid, signal.SIGKILL)
        ferry.process.wait()
        eventually(lambda: not any(map(psutil.Process.is_running, left)), within_s=10, what="the backends' end")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[applications.x", "catalog.toml"),
        ("[applications.a]\nnmae = 'A'\n[applications.a.versions.'1.0.0']\n", "nmae"),
        ("[applications.a.versions.'1.0.0']\n[profiles.p]\napplications = [{ id = 'b' }]\ncommand = ['x']", "'b'"),
    ],
)
def test_wrong_catalog_stops_the_start_with_file_key_and_mend(tmp_path: Path, text: str, told: str) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(text)
    done = subprocess.run(
        [PIXELFERRY, "up", "--catalog", str(catalog)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert str(catalog) in done.stderr and told in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
