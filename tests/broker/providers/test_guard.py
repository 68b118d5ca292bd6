import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from broker.providers import guard

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "GREETING": "hello = \u00e4\nworld", "EMPTY": ""}
Guarded = subprocess.Popen[bytes]


def guarded(*command: str, environment: Mapping[str, str] = ENVIRONMENT) -> Guarded:
    """The command under its guard, as a parent starts it."""
    pipe = subprocess.PIPE
    script = [sys.executable, "-I", "-S", str(Path(guard.__file__)), *command]
    process = subprocess.Popen(script, stdin=pipe, stdout=pipe, stderr=pipe, env={}, start_new_session=True)
    assert process.stdin is not None
    process.stdin.write(guard.pack(environment))
    process.stdin.flush()
    return process


def outcome(process: Guarded) -> tuple[int, str, str]:
    """Exit status, standard output and standard error once it has ended by itself."""
    with process:
        assert process.stdout is not None and process.stderr is not None
        status = process.wait(timeout=10)
        return status, process.stdout.read().decode(), process.stderr.read().decode()


def first_line(process: Guarded) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def test_the_command_gets_its_environment_and_nothing_else() -> None:
    script = 'printf "%s|%s|%s|" "$GREETING" "$EMPTY" "${LANG-unset}"; cat'
    assert outcome(guarded("sh", "-c", script)) == (0, "hello = \u00e4\nworld||unset|", "")


def test_an_empty_environment_is_one_as_well() -> None:
    assert outcome(guarded("/usr/bin/env", environment={})) == (0, "", "")


@pytest.mark.parametrize("environment", [{"A": "b\0c"}, {"A\0": "b"}, {"A=B": "c"}, {"": "c"}])
def test_an_environment_that_no_system_takes_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        guard.pack(environment)


@pytest.mark.parametrize("status", [0, 1, 75, 255])
def test_the_exit_status_is_the_commands(status: int) -> None:
    assert outcome(guarded("sh", "-c", f"exit {status}"))[0] == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP])
def test_the_signal_that_kills_the_command_is_told(number: signal.Signals) -> None:
    assert outcome(guarded("sh", "-c", f"kill -{number.value} $$"))[0] == -number


def test_a_command_that_cannot_be_run_is_named() -> None:
    status, _, words = outcome(guarded("/nowhere/at-all"))
    assert status == guard.EXIT_CANNOT_RUN
    assert words == "cannot run '/nowhere/at-all': No such file or directory\n"


def test_a_pipe_that_breaks_ends_a_command_as_it_would_anywhere() -> None:
    assert outcome(guarded("sh", "-c", "yes | head -n 1; kill -s PIPE $$"))[0] == -signal.SIGPIPE


def test_a_signal_to_the_group_is_for_the_command_to_heed() -> None:
    script = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = guarded("sh", "-c", script)
    assert first_line(process) == "ready"
    subprocess.run(["kill", "-TERM", "--", f"-{process.pid}"], check=True)
    status, said, _ = outcome(process)
    assert (status, said) == (3, "told\n")


def test_all_are_killed_when_the_parent_lets_go() -> None:
    process = guarded("sh", "-c", "trap '' TERM; setsid sleep 600 & sleep 600 & echo ready; wait")
    assert first_line(process) == "ready"
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) == 3
    assert process.stdin is not None
    process.stdin.close()
    assert outcome(process)[0] == -signal.SIGKILL
    assert not any(one.is_running() for one in below)


def test_the_command_dies_with_a_guard_that_is_killed() -> None:
    process = guarded("sh", "-c", "echo ready; exec sleep 600")
    assert first_line(process) == "ready"
    (command,) = psutil.Process(process.pid).children()
    process.kill()
    assert outcome(process)[0] == -signal.SIGKILL
    psutil.wait_procs([command], timeout=10)
    assert not command.is_running() or command.status() == psutil.STATUS_ZOMBIE


def test_nothing_is_started_for_a_parent_that_is_gone_before() -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(guard.__file__)), "echo", "orphan"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    status, said, _ = outcome(process)
    assert (status, said) == (guard.EXIT_CANNOT_RUN, "")


def test_the_environment_does_not_stand_in_the_guards_own() -> None:
    process = guarded("sh", "-c", "echo ready; sleep 600", environment={"SECRET": "hush", **ENVIRONMENT})
    assert first_line(process) == "ready"
    assert "SECRET" not in psutil.Process(process.pid).environ()
    process.communicate()  # which closes its standard input
