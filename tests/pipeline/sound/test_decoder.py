"""The decoder's process gives what `audio.blocks` gives; if it dies or hangs, one file fails."""

import io
import json
import os
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.sound import audio, decoder
from pipeline.sound.probe import probe
from pipeline.store.errors import Problem


@pytest.fixture(scope="module")
def one():
    found = decoder.Decoder()
    yield found
    found.close()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "naïve – 歌.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (30 * 8000, 2)), 8000)
    return path


def test_blocks_equal_those_of_the_audio_module(one, song):
    expected = list(audio.blocks(song, 16000, 2))
    got = list(one.blocks(str(song), 16000, 2))
    assert len(got) == len(expected) > 1
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def test_a_probe_equals_that_of_the_probe_module(one, song):
    assert one.probe(song) == probe(song)


def test_problems_keep_their_class_across_the_process(one, song, tmp_path):
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "text.mp3").write_text("not music")
    for name, kind in (("empty.mp3", "empty"), ("text.mp3", "decode"), ("gone.mp3", "missing")):
        with pytest.raises(Problem) as raised:
            list(one.blocks(str(tmp_path / name), 8000, 1))
        assert raised.value.kind == kind
        with pytest.raises(Problem) as raised:
            one.probe(tmp_path / name)
        assert raised.value.kind == kind
    assert one.process.poll() is None
    assert list(one.blocks(str(song), 8000, 1))


def test_the_decoders_death_is_a_failure_of_its_file(one, song):
    blocks = one.blocks(str(song), 192000, 2)
    next(blocks)
    one.process.send_signal(signal.SIGSEGV)
    with pytest.raises(Problem, match="SIGSEGV") as raised:
        list(blocks)
    assert raised.value.kind == "crashed"
    assert sum(block.shape[1] for block in one.blocks(str(song), 8000, 1)) == 30 * 8000


def test_a_decoder_that_hangs_is_killed(one, song, monkeypatch):
    blocks = one.blocks(str(song), 192000, 2)
    next(blocks)
    stopped = one.process
    os.kill(stopped.pid, signal.SIGSTOP)
    monkeypatch.setattr(decoder, "STALL_S", 0.3)
    with pytest.raises(Problem, match="hung"):
        list(blocks)
    assert stopped.poll() is not None
    monkeypatch.undo()
    assert list(one.blocks(str(song), 8000, 1))


def test_leaving_a_file_early_does_not_disturb_the_next(one, song):
    blocks = one.blocks(str(song), 8000, 1)
    next(blocks)
    blocks.close()
    assert sum(block.shape[1] for block in one.blocks(str(song), 8000, 1)) == 30 * 8000


def test_a_probe_that_hangs_is_killed(one, song, monkeypatch):
    one.probe(song)
    stopped = one.process
    os.kill(stopped.pid, signal.SIGSTOP)
    monkeypatch.setattr(decoder, "STALL_S", 0.3)
    with pytest.raises(Problem, match="hung"):
        one.probe(song)
    assert stopped.poll() is not None
    monkeypatch.undo()
    assert one.probe(song).duration_s == 30


def test_the_decoders_memory_is_limited(one, song):
    one.probe(song)
    limits = Path(f"/proc/{one.process.pid}/limits").read_text()
    assert f"address space {decoder.MEMORY_BYTES}" in " ".join(limits.split())


def test_a_probe_shows_that_it_is_working(song, monkeypatch):
    monkeypatch.setattr(decoder, "BEAT_S", 0.0)
    answers = io.BytesIO()
    decoder.serve(io.BytesIO(json.dumps({"uri": str(song)}).encode()), answers)
    first, *_ = struct.unpack("<2q", answers.getvalue()[:16])
    assert first == 0
    assert json.loads(answers.getvalue().rpartition(b"\0\0\0")[2])["duration_s"] == 30
