"""Snippets of vocals: which, how long, how loud."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline import report
from pipeline.report import content, review, snippets, voice_map
from pipeline.sections import ReportConfig
from pipeline.store.workspace import Workspace

RATE = 22050


def test_snippets_are_short_mp3_and_take_turns_among_vocalists(filled: Workspace):
    tracks = content.tracks(filled)
    points, _ = voice_map.points(filled, tracks, 100, np.random.default_rng(0), review.read(filled))
    chosen = snippets.choose(points, 6)
    assert set(chosen["vocalist"][:4]) == {"Ann", "voice-0001", "voice-0002", "voice-0003"}
    assert bool(chosen["disagrees"].iloc[4]), "what disagrees comes before a second of each vocalist"
    asked = [points["track_id"].iloc[i] for i in (9, 3)]
    assert list(snippets.choose(points, 6, asked)["track_id"][:3]) == [*asked, chosen["track_id"].iloc[0]]
    sounds, unheard = snippets.encode(filled, chosen, 1.0)
    assert unheard == 0
    assert all(800 < len(sound) < 20_000 for sound in sounds.values())


def test_a_snippet_is_the_asked_piece(tmp_path: Path):
    tone = np.zeros(6 * RATE, np.float32)
    tone[4 * RATE : 5 * RATE] = 0.1 * np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE)
    soundfile.write(tmp_path / "v.flac", tone, RATE)
    (tmp_path / "e.mp3").write_bytes(snippets.snippet(str(tmp_path / "v.flac"), 4.0, 1.5))
    samples, rate = soundfile.read(tmp_path / "e.mp3")
    assert rate == RATE
    assert len(samples) / rate == pytest.approx(1.5, abs=0.1)
    assert 0.5 < np.abs(samples).max() < 0.9, "soft voices are brought up"


def test_missing_vocals_are_counted(filled: Workspace):
    shutil.rmtree(filled.path("vocals_audio"))
    page, note = report.build(filled, ReportConfig(max_snippets=5))
    assert "5 could not be read" in note
    assert '<script type="application/json" id="sounds">{}</script>' in page
