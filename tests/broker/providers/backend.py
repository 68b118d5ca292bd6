"""A streaming backend of a few lines that speaks the control API and misbehaves as its arguments tell it."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exit", type=int, help="exit at once with this status")
    parser.add_argument("--taken", type=Path, help="exit with 75 as long as this file is not there, then make it")
    parser.add_argument("--deaf", action="store_true", help="do not heed SIGTERM")
    parser.add_argument("--refuse", type=int, help="answer PUT with this status")
    parser.add_argument("--protocol", type=int, default=1)
    parser.add_argument("--child", type=Path, help="start a child that heeds no SIGTERM, write its process id here")
    parser.add_argument("--words", default="", help="say this on stderr")
    parser.add_argument("--silent", action="store_true", help="never answer a readiness call")
    parser.add_argument("--tell-secret", action="store_true", help="say the token and the secret on stderr")
    parser.add_argument("--environment", type=Path, help="write the whole environment here as JSON")
    parser.add_argument("--record", type=Path, help="append each control call here")
    parser.add_argument("--input-at", type=float)
    parser.add_argument("--plain", action="store_true", help="know no control API, only listen on the signaling port")
    return parser.parse_args()


class Control(BaseHTTPRequestHandler):
    options: argparse.Namespace
    session: dict[str, object] | None = None

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: object = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def allowed(self) -> bool:
        if self.options.record is not None:
            with self.options.record.open("a") as record:
                record.write(f"{self.command} {self.path}\n")
        if self.headers["Authorization"] == f"Bearer {os.environ['PIXELFERRY_CONTROL_TOKEN']}":
            return True
        self.answer(401)
        return False

    def state(self) -> dict[str, object]:
        return {"state": "claimed" if Control.session else "idle", "protocol": self.options.protocol}

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(503 if self.options.silent else 200)
        elif not self.allowed():
            return
        elif self.path == "/v1/ready":
            self.answer(503 if self.options.silent else 200, self.state())
        else:
            self.answer(200, {"last_input_at": self.options.input_at, "viewers": [], "frames_sent": 0})

    def do_PUT(self) -> None:
        if not self.allowed():
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.options.tell_secret:
            print("my token is", os.environ["PIXELFERRY_CONTROL_TOKEN"], file=sys.stderr, flush=True)
            print("my secret is", body["backend_secret"], file=sys.stderr, flush=True)
        if self.options.refuse:
            self.answer(self.options.refuse)
            return
        Control.session = body
        self.answer(200, self.state())

    def do_POST(self) -> None:
        if self.allowed():
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.options.record is not None:
                with self.options.record.open("a") as record:
                    record.write(f"{body}\n")
            self.answer(204)

    def do_DELETE(self) -> None:
        if self.allowed():
            Control.session = None
            self.answer(204)


def main() -> None:
    options = parse()
    if options.words:
        print(options.words, file=sys.stderr, flush=True)
    if options.environment is not None:
        options.environment.write_text(json.dumps(dict(os.environ)))
    if options.exit is not None:
        sys.exit(options.exit)
    if options.taken is not None and not options.taken.exists():
        options.taken.touch()
        sys.exit(75)
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.child is not None:
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        options.child.write_text(str(subprocess.Popen([sys.executable, "-c", deaf]).pid))
    try:
        serve(options)
    except OSError as error:
        sys.exit(75 if error.errno == errno.EADDRINUSE else 1)


def serve(options: argparse.Namespace) -> None:
    host = os.environ["PIXELFERRY_BACKEND_HOST"]
    with socket.create_server((host, int(os.environ["PIXELFERRY_SIGNALING_PORT"]))):
        if options.plain:
            signal.pause()
        Control.options = options
        HTTPServer((host, int(os.environ["PIXELFERRY_CONTROL_PORT"])), Control).serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
