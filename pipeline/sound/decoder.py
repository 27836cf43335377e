"""Decoding in a process of its own: what kills a decoder there is one track's failure, not the worker's end.

The worker writes a line of JSON for each file to the process's standard input and reads blocks from its standard
output: a count of samples (int64), then the float32 samples channel by channel; -1 ends a file, and -2 is followed by
the length of a JSON description of its error and that.
"""

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from pipeline.sound import audio
from pipeline.store.errors import Problem, explain

END, ERROR = -1, -2
STALL_S = 300.0  # a decoder that gives nothing for this long hangs


class Decoder:
    """A decoding process, started when it is first needed and again after it has died."""

    def __init__(self) -> None:
        self.process: Any = None  # a Popen, whose pipes are there

    def blocks(self, uri: str, sample_rate_hz: int, channels: int) -> Iterator[np.ndarray]:
        """Yield a file's blocks as `audio.blocks` does, and raise what it raises.

        Raises:
            Problem: as `audio.blocks`; `crashed` where the file killed the decoder, or made it hang.
        """
        finished = False
        process = self._started()
        try:
            request = {"uri": uri, "sample_rate_hz": sample_rate_hz, "channels": channels}
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            while True:
                (n,) = struct.unpack("<q", self._read(process, 8))
                if n == END:
                    finished = True
                    return
                if n == ERROR:
                    (size,) = struct.unpack("<q", self._read(process, 8))
                    told = json.loads(self._read(process, size))
                    finished = True
                    raise Problem(told["kind"], told["message"])
                data = self._read(process, n * channels * 4)
                yield np.frombuffer(data, np.float32).reshape(channels, n)
        except BrokenPipeError:
            raise _died(process) from None
        finally:
            if not finished:
                self.close()  # what it still has to say belongs to this file

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
            self.process = subprocess.Popen([sys.executable, "-m", "pipeline.sound.decoder"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, bufsize=0,
                                            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"})
        return self.process

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
    return Problem("crashed", f"the decoder died on it ({how}): the file is damaged in a way that it cannot take")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    for line in requests:
        request = json.loads(line)
        try:
            for block in audio.blocks(**request):
                answers.write(struct.pack("<q", block.shape[1]))
                answers.write(np.ascontiguousarray(block, np.float32).data)
            answers.write(struct.pack("<q", END))
        except BrokenPipeError:
            return
        except Exception as error:
            kind, message = explain(error)
            told = json.dumps({"kind": kind, "message": message}).encode()
            answers.write(struct.pack("<qq", ERROR, len(told)) + told)
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as answers_:
        os.dup2(2, 1)  # whatever a library prints must not get among the answers
        with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
            serve(sys.stdin.buffer, answers_)
