"""Loads stages in a process of their own, bounded in memory and time, so that no stage can take the viewer down."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

import streamer
from streamer.usd_viewer.load_stage import LoadRequest
from streamer.usd_viewer.loaded_stage import LoadedStage
from streamer.usd_viewer.prim_tree import BadTreeFile, read_tree
from streamer.usd_viewer.scene_file import BadSceneFile, read_scene
from streamer.usd_viewer.settings import LoadLimits
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused

logger = logging.getLogger(__name__)

_LINE_BYTES = 8192
_KEPT_LINES = 20
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True)
    progress: int | None = None
    of: int = 0
    refused: str | None = None
    done: bool = False


@dataclass(slots=True)
class StageLoad:
    """One loading, in the calling thread; `cancel` may be called from any other.

    Args:
        progress: called with the number of prims visited so far, and of all that there are.
    """

    policy: StagePolicy
    limits: LoadLimits
    progress: Callable[[int, int], None]
    _process: subprocess.Popen[bytes] | None = None
    _cancelled: bool = False
    _late: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, uri: str) -> LoadedStage:
        """Load the stage that `uri` names. StageRefused with the reason, whatever goes wrong."""
        stage = self.policy.stage(uri)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as tree:
            report = self._read(stage, output, tree)
            if not report.done:
                raise StageRefused(report.refused or "its loading was broken off")
            output.seek(0)
            tree.seek(0)
            limit_bytes = self.limits.output_bytes
            try:
                return LoadedStage(
                    read_scene(output, limit_bytes=limit_bytes), read_tree(tree, limit_bytes=limit_bytes)
                )
            except (BadSceneFile, BadTreeFile) as error:
                logger.warning("the loading process wrote no scene: %s", error)
                raise StageRefused("it could not be read") from error

    def cancel(self) -> None:
        """End the process; `run` then raises. Idempotent."""
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                self._process.kill()

    def _read(self, stage: Path, output: IO[bytes], tree: IO[bytes]) -> _Report:
        with self._start(output, tree) as process:
            alarm = threading.Timer(self.limits.wall_s, self._expire)
            alarm.name, alarm.daemon = "usd-load-limit", True
            tail: deque[str] = deque(maxlen=_KEPT_LINES)
            errors = threading.Thread(target=_drain, args=(process.stderr, tail), name="usd-load-errors", daemon=True)
            alarm.start()
            errors.start()
            try:
                report = self._converse(process, self._request(stage, output, tree))
            finally:
                process.kill()
                alarm.cancel()
                errors.join()
        alarm.join()
        if tail:
            logger.log(logging.INFO if report.done else logging.WARNING, "USD said while loading: %s", " | ".join(tail))
        return report

    def _start(self, *inherited: IO[bytes]) -> subprocess.Popen[bytes]:
        package = str(Path(streamer.__file__).resolve().parents[1])
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment = passed_on | {
            "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
            "PXR_WORK_THREAD_LIMIT": "4",
            "TF_ENV_SETTING_ALERTS_ENABLED": "0",
        }
        with self._lock:
            if self._cancelled:
                raise StageRefused("its loading was broken off")
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "streamer.usd_viewer.load_stage"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=self.policy.root,
                pass_fds=[file.fileno() for file in inherited],
            )
            return self._process

    def _request(self, stage: Path, output: IO[bytes], tree: IO[bytes]) -> LoadRequest:
        return LoadRequest(
            stage=stage,
            root=self.policy.root,
            alone=self.policy.only is not None,
            output_fd=output.fileno(),
            tree_fd=tree.fileno(),
            parent_pid=os.getpid(),
            memory_bytes=self.limits.memory_bytes,
            cpu_s=int(self.limits.wall_s * 2) + 1,
            output_bytes=self.limits.output_bytes,
        )

    def _expire(self) -> None:
        with self._lock:
            self._late = True
            if self._process is not None:
                self._process.kill()

    def _converse(self, process: subprocess.Popen[bytes], request: LoadRequest) -> _Report:
        """The last thing that the process says, or why it said nothing."""
        assert process.stdin and process.stdout
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(request.model_dump_json().encode())
        while line := process.stdout.readline(_LINE_BYTES):
            try:
                report = _Report.model_validate_json(line)
            except ValidationError:
                continue
            if report.progress is None:
                return report
            self.progress(report.progress, report.of)
        return _Report(refused=self._end_of(process))

    def _end_of(self, process: subprocess.Popen[bytes]) -> str:
        status = process.wait()
        if self._cancelled:
            return "its loading was broken off"
        if self._late:
            return f"it was not loaded within {self.limits.wall_s:g} seconds"
        logger.warning("the process that loads stages ended with status %d", status)
        gigabytes = self.limits.memory_bytes / 2**30
        return f"its reading broke off; it is broken, or needs more than {gigabytes:.1f} GiB of memory"


def _drain(stream: IO[bytes], tail: deque[str]) -> None:
    while line := stream.readline(_LINE_BYTES):
        tail.append(line.decode(errors="replace").strip())
