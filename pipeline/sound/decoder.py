"""Decoding in a separate process: if a file crashes the decoder, only this file fails and the worker continues.

The process may use `MEMORY_BYTES`, and is killed if it sends nothing for `STALL_S`. For each file the worker writes a
line of JSON to its standard input and reads from its standard output: a count of samples (int64), then the float32
samples channel by channel. A count of 0 only says that it is still working. A count of -1, or -2 for an error, ends the
file and is followed by the length of a JSON answer and the answer.
"""

import contextlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.sound import audio
from pipeline.sound.excerpt import WHOLE, Excerpt
from pipeline.sound.probe import Probe, probe
from pipeline.store.errors import Problem, explain

DONE, ERROR = -1, -2
STALL_S = 30.0  # without output after which a decoder counts as hung
BEAT_S = 1.0  # interval at which a decoder without output says that it is still working
MEMORY_BYTES = 2 * 2**30  # no normal file needs a quarter of it


class Decoder:
    """A decoding process that is started when it is first needed, and again after it has died."""

    def __init__(self) -> None:
        self.process: Any = None  # a Popen with pipes

    def blocks(
        self, uri: str | Path, sample_rate_hz: int, channels: int, excerpt: Excerpt = WHOLE
    ) -> Iterator[np.ndarray]:
        """Yield a file's blocks, or those of an excerpt, as `audio.blocks` does, and raise what it raises.

        Raises:
            Problem: as `audio.blocks`; `crashed` if the file killed the decoder or made it hang.
        """
        request = {"uri": str(uri), "sample_rate_hz": sample_rate_hz, "channels": channels, "excerpt": excerpt}
        yield from self._answers(request, channels)

    def probe(self, uri: str | Path) -> Probe:
        """Return a file's description, as `probe.probe` does, and raise what it raises.

        Raises:
            Problem: as `probe.probe`; `crashed` if the file killed the decoder or made it hang.
        """
        answers = self._answers({"uri": str(uri)}, 0)
        while True:
            try:
                next(answers)
            except StopIteration as end:
                return Probe(**end.value)

    def _answers(self, request: dict[str, Any], channels: int) -> Generator[np.ndarray, None, dict[str, Any]]:
        """Send a request, yield the blocks that arrive, and return the answer at the end."""
        finished = False
        process = self._started()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            while (n := self._number(process)) >= 0:
                if n:
                    data = self._read(process, n * channels * 4)
                    yield np.frombuffer(data, np.float32).reshape(channels, n)
            told = json.loads(self._read(process, self._number(process)))
            finished = True
            if n == ERROR:
                raise Problem(told["kind"], told["message"])
            return told
        except BrokenPipeError:
            raise _died(process) from None
        finally:
            if not finished:
                self.close()  # what it would still send belongs to this file

    def close(self) -> None:
        """End the process."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _started(self) -> Any:
        if self.process is None or self.process.poll() is not None:
            self.close()
            paths = os.pathsep.join(path for path in sys.path if path)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.sound.decoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            )
        return self.process

    def _number(self, process: Any) -> int:
        return struct.unpack("<q", self._read(process, 8))[0]

    def _read(self, process: Any, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while len(view):
            if not select.select([process.stdout], [], [], STALL_S)[0]:
                raise Problem("crashed", f"the decoder hung on it for {STALL_S:g} s")
            n = process.stdout.readinto(view)
            if not n:
                raise _died(process)
            view = view[n:]
        return data


def _died(process: subprocess.Popen) -> Problem:
    status = process.wait()
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return Problem("crashed", f"the decoder crashed ({how}): the file is damaged in a way that FFmpeg cannot handle")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the input ends."""
    for line in requests:
        try:
            last, told = DONE, _answer(json.loads(line), answers)
        except BrokenPipeError:
            return
        except Exception as error:
            kind, message = explain(error)
            last, told = ERROR, {"kind": kind, "message": message}
        text = json.dumps(told).encode()
        answers.write(struct.pack("<qq", last, len(text)) + text)
        answers.flush()


def _answer(request: dict[str, Any], answers: BinaryIO) -> dict[str, Any]:
    """Write a file's blocks, if requested, and return the answer at the end."""
    pulse = _Pulse(answers)
    if "channels" not in request:
        return asdict(probe(request["uri"], pulse))
    for block in audio.blocks(**request | {"excerpt": Excerpt(*request["excerpt"])}, at_work=pulse):
        answers.write(struct.pack("<q", block.shape[1]))
        answers.write(np.ascontiguousarray(block, np.float32).data)
    return {}


class _Pulse:
    """Reports at intervals that work is going on."""

    def __init__(self, answers: BinaryIO):
        self.answers, self.last = answers, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.last > BEAT_S:
            self.answers.write(struct.pack("<q", 0))
            self.answers.flush()
            self.last = time.monotonic()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
    with os.fdopen(os.dup(1), "wb") as answers_, open(os.devnull, "wb") as nowhere:
        for printed in (1, 2):  # libraries print damage that they find, which is also in the answers
            os.dup2(nowhere.fileno(), printed)
        with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
            serve(sys.stdin.buffer, answers_)
