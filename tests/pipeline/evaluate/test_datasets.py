"""Each reader of a data set, on a miniature of its published layout."""

import numpy as np
import pytest
import soundfile

from pipeline.evaluate import datasets
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace

LAYOUTS = {
    "folder": (
        ["ann/a.wav", "ann/live/b.wav", "ann/live/c.flac", "bob/a.mp3", "loose.wav", "ann/notes.txt"],
        {
            ("ann", "ann/a", "ann/a"),
            ("ann", "ann/live", "ann/live/b"),
            ("ann", "ann/live", "ann/live/c"),
            ("bob", "bob/a", "bob/a"),
        },
    ),
    "vocalset": (
        [
            "FULL/female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav",
            "FULL/male11/excerpts/vibrato/m11_row_vibrato.wav",
            "FULL/male11/excerpts/vibrato/._m11_row_vibrato.wav",
            "data_by_vowel/a/f1_arpeggios_belt_c_a.wav",
            "__MACOSX/FULL/female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav",
        ],
        {("female1", "arpeggios", "f1_arpeggios_belt_c_a"), ("male11", "row", "m11_row_vibrato")},
    ),
    "m4singer": (
        [
            "Alto-1#newboy/0000.wav",
            "Alto-1#newboy/0001.wav",
            "Alto-1#newboy/0000.TextGrid",
            "Tenor-3#童年/0000.wav",
            "meta.json",
        ],
        {("Alto-1", "newboy", "Alto-1#newboy"), ("Tenor-3", "童年", "Tenor-3#童年")},
    ),
    "nus-48e": (
        [
            "nus-smc-corpus_48/ADIZ/sing/01.wav",
            "nus-smc-corpus_48/ADIZ/read/01.wav",
            "nus-smc-corpus_48/ADIZ/sing/01.txt",
            "nus-smc-corpus_48/JLEE/sing/01.wav",
        ],
        {("ADIZ", "01", "ADIZ/01"), ("JLEE", "01", "JLEE/01")},
    ),
    "vctk": (
        [
            "wav48_silence_trimmed/p225/p225_001_mic1.flac",
            "wav48_silence_trimmed/p225/p225_001_mic2.flac",
            "wav48_silence_trimmed/s5/s5_003_mic1.flac",
            "wav48/p226/p226_002.wav",
            "txt/p225/p225_001.txt",
        ],
        {("p225", "001", "p225_001"), ("s5", "003", "s5_003"), ("p226", "002", "p226_002")},
    ),
    "mir-1k": (
        [
            "MIR-1K/Wavfile/abjones_1_01.wav",
            "MIR-1K/Wavfile/abjones_1_02.wav",
            "MIR-1K/Wavfile/amy_3_01.wav",
            "MIR-1K/UndividedWavfile/abjones_1.wav",
            "MIR-1K/PitchLabel/abjones_1_01.pv",
        ],
        {("abjones", "abjones_1", "abjones_1"), ("amy", "amy_3", "amy_3")},
    ),
    "ravdess": (
        [
            "Audio_Song_Actors_01-24/Actor_01/03-02-05-01-02-01-01.wav",
            "Audio_Speech_Actors_01-24/Actor_01/03-01-05-01-02-01-01.wav",
            "Audio_Song_Actors_01-24/Actor_24/03-02-01-01-01-02-24.wav",
        ],
        {("Actor_01", "02", "03-02-05-01-02-01-01"), ("Actor_24", "01", "03-02-01-01-01-02-24")},
    ),
    "librispeech": (
        [
            "LibriSpeech/test-clean/1089/134686/1089-134686-0000.flac",
            "LibriSpeech/test-clean/1089/134686/1089-134686-0001.flac",
            "LibriSpeech/test-clean/61/70968/61-70968-0003.flac",
            "LibriSpeech/test-clean/61/70968/61-70968.trans.txt",
        ],
        {("1089", "1089-134686", "1089-134686"), ("61", "61-70968", "61-70968")},
    ),
    "karaoke": (["amy/01.ogg", "leon/02.ogg"], {("amy", "amy/01", "amy/01"), ("leon", "leon/02", "leon/02")}),
    "previews": (
        ["Actions - One Minute Smile.ogg", "noname.ogg"],
        {("Actions", "Actions - One Minute Smile", "Actions - One Minute Smile")},
    ),
}
CHANNELS = {"mir-1k": ((1,), (0,)), "karaoke": ((1,), (0,)), "previews": ((0, 1), (2, 3))}


@pytest.mark.parametrize("reader", datasets.READERS)
def test_each_reader_reads_its_published_layout(reader, tmp_path):
    files, expected = LAYOUTS[reader]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = datasets.read(reader, tmp_path)
    assert {(item.singer, item.song, item.recording) for item in found} == expected
    assert [item.name for item in found] == sorted(item.name for item in found)
    for item in found:
        assert (tmp_path / item.name).samefile(item.uri)
        assert (item.voice, item.accompaniment) == CHANNELS.get(reader, ((), ()))


def test_missing_files_are_reported(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        datasets.read("folder", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no reader is called 'vocals'"):
        datasets.read("vocals", tmp_path)
    (tmp_path / "song.wav").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"laid out as the reader 'vocalset' expects: VocalSet .*female1"):
        datasets.read("vocalset", tmp_path)


def test_recordings_are_chosen_by_singer(tmp_path):
    for name in ("ann/a.wav", "bob/a.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    found = datasets.read("folder", tmp_path)
    assert [item.singer for item in datasets.choose(found, ("bob",))] == ["bob"]
    with pytest.raises(ConfigError, match="no recording by cher; the set has ann, bob"):
        datasets.choose(found, ("bob", "cher"))


def test_a_labelled_workspace_is_a_set(tmp_path):
    workspace = Workspace(tmp_path)
    with pytest.raises(ConfigError, match="no separated track with an artist tag"):
        datasets.read("workspace", tmp_path)
    rows = [
        ("t1", "Ann", True),
        ("t2", None, True),
        ("t3", "Bob", False),
        ("t4", " Ann ", True),
        ("t5", "", True),
    ]
    tables.replace(workspace, "tracks", [{"track_id": key, "artist": artist} for key, artist, _ in rows])
    soundfile.write(tmp_path / "v.wav", np.zeros(10), 8000)
    tables.write(
        workspace,
        "vocals",
        [
            {"track_id": key, "vocals_uri": str(tmp_path / "v.wav"), "separator": "s", "has_vocals": sung}
            for key, _, sung in rows
        ],
        "a",
    )
    found = datasets.read("workspace", tmp_path)
    assert [(item.recording, item.singer, item.content) for item in found] == [
        ("t1", "Ann", "t1/s"),
        ("t4", "Ann", "t4/s"),
    ]
