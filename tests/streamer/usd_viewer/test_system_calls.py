"""System calls that a process which reads stages has no more; each in a process of its own."""

import subprocess
import sys

from tests.absence import absent

CODE = """
import os, signal, socket, threading
from streamer.usd_viewer.system_calls import refuse_network_and_programs
if not refuse_network_and_programs():
    print("unsupported"); raise SystemExit
attempts = dict(
    tcp=lambda: socket.socket(),
    udp=lambda: socket.socket(type=socket.SOCK_DGRAM),
    unix=lambda: socket.socket(socket.AF_UNIX),
    pair=lambda: socket.socketpair(),
    program=lambda: os.execv("/bin/true", ["true"]),
    signal=lambda: os.kill(os.getppid(), 0),
    thread_signal=lambda: signal.pthread_kill(threading.main_thread().ident, 0) or 1,
    file=lambda: open(os.devnull).close(),
)
def try_all():
    for name, attempt in attempts.items():
        try:
            attempt(); print(name)
        except PermissionError:
            pass
try_all()
thread = threading.Thread(target=try_all)
thread.start()
thread.join()
"""


def test_sockets_programs_and_signals_are_refused_and_files_are_not() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=20, check=False)
    said = done.stdout.split()
    if said == ["unsupported"]:
        absent("seccomp filters as this project knows them", mend="use Linux on x86_64 or aarch64")
    assert said == ["file", "file"], done.stderr
