"""Layouts of published data sets: which part of a path names the singer or the song, and which channel is the voice.

A reader gets each audio file's path relative to the set's folder and returns what it is, or None if it is not part of
the set. A `recording` was sung in one go: two files cut from one take share it and are never a target trial. Folds are
split by `song`: takes of one song stay together.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.sections import AUDIO_SUFFIXES
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


@dataclass(frozen=True)
class Recording:
    """One file of a set. `voice` and `accompaniment` number its channels; without `voice`, all of them are voice."""

    uri: str
    name: str
    singer: str
    song: str
    recording: str
    voice: tuple[int, ...] = ()
    accompaniment: tuple[int, ...] = ()
    content: str | None = None  # what identifies its audio, where that is known without reading the file


@dataclass(frozen=True)
class _Part:
    """What a reader learns from a path."""

    singer: str
    song: str
    recording: str
    voice: tuple[int, ...] = ()
    accompaniment: tuple[int, ...] = ()


def _folder(path: PurePosixPath) -> _Part | None:
    """Read `<singer>/**`: each file is a recording; files in a subfolder are one song."""
    if len(path.parts) < 2:
        return None
    song = path.parent if len(path.parts) > 2 else path.with_suffix("")
    return _Part(path.parts[0], str(song), str(path.with_suffix("")))


def _vocalset(path: PurePosixPath) -> _Part | None:
    """Read VocalSet (Wilkins 2018): `…/female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav`.

    Its by-vowel and by-technique folders hold the same files again and are skipped.
    """
    singer = next((part for part in path.parts[:-1] if re.fullmatch(r"(fe)?male\d+", part)), None)
    words = path.stem.split("_")
    return _Part(singer, words[1], path.stem) if singer and len(words) > 1 else None


def _m4singer(path: PurePosixPath) -> _Part | None:
    """Read M4Singer (Zhang 2022): `Alto-1#newboy/0000.wav`; the phrases of a song are cut from one recording."""
    singer, mark, song = path.parent.name.partition("#")
    return _Part(singer, song, path.parent.name) if mark else None


def _nus48e(path: PurePosixPath) -> _Part | None:
    """Read NUS-48E (Duan 2013): `ADIZ/sing/01.wav`; the files under `read` are speech and are skipped."""
    if len(path.parts) < 3 or path.parent.name != "sing":
        return None
    singer = path.parent.parent.name
    return _Part(singer, path.stem, f"{singer}/{path.stem}")


def _vctk(path: PurePosixPath) -> _Part | None:
    """Read VCTK: `wav48_silence_trimmed/p225/p225_001_mic1.flac` or `wav48/p225/p225_001.wav`.

    The second microphone's recording of a sentence is skipped.
    """
    found = re.fullmatch(r"([ps]\d+)_(\d+)(_mic1)?", path.stem)
    return _Part(found[1], found[2], f"{found[1]}_{found[2]}") if found else None


def _mir1k(path: PurePosixPath) -> _Part | None:
    """Read MIR-1K (Hsu 2010): `Wavfile/abjones_1_01.wav`, left channel accompaniment, right channel voice.

    These are clips of the songs in `UndividedWavfile`, which is skipped.
    """
    found = re.fullmatch(r"([A-Za-z]+)_(\d+)_(\d+)", path.stem)
    if not found or path.parent.name == "UndividedWavfile":
        return None
    song = f"{found[1]}_{found[2]}"
    return _Part(found[1], song, song, voice=(1,), accompaniment=(0,))


def _ravdess(path: PurePosixPath) -> _Part | None:
    """Read RAVDESS (Livingstone 2018): `Actor_01/03-02-01-01-01-01-01.wav`, audio only (03) and sung (02)."""
    fields = path.stem.split("-")
    if len(fields) != 7 or fields[:2] != ["03", "02"]:
        return None
    return _Part(f"Actor_{fields[6]}", fields[4], path.stem)


def _librispeech(path: PurePosixPath) -> _Part | None:
    """Read LibriSpeech: `test-clean/1089/134686/1089-134686-0000.flac`; a chapter is one recording."""
    found = re.fullmatch(r"(\d+)-(\d+)-\d+", path.stem)
    chapter = found and f"{found[1]}-{found[2]}"
    return _Part(found[1], chapter, chapter) if found and chapter else None


def _karaoke(path: PurePosixPath) -> _Part | None:
    """Read `<singer>/<song>.ogg` of two channels: accompaniment, voice."""
    if len(path.parts) < 2:
        return None
    name = f"{path.parent.name}/{path.stem}"
    return _Part(path.parent.name, name, name, voice=(1,), accompaniment=(0,))


def _previews(path: PurePosixPath) -> _Part | None:
    """Read `<Artist> - <Title>.ogg` of four channels: vocals left and right, accompaniment left and right."""
    artist, mark, _ = path.stem.partition(" - ")
    return _Part(artist, path.stem, path.stem, voice=(0, 1), accompaniment=(2, 3)) if mark else None


Reader = Callable[[PurePosixPath], _Part | None]
READERS: dict[str, Reader] = {
    "folder": _folder,
    "vocalset": _vocalset,
    "m4singer": _m4singer,
    "nus-48e": _nus48e,
    "vctk": _vctk,
    "mir-1k": _mir1k,
    "ravdess": _ravdess,
    "librispeech": _librispeech,
    "karaoke": _karaoke,
    "previews": _previews,
}
WORKSPACE = "workspace"


def read(reader: str, folder: str | Path) -> list[Recording]:
    """Return the recordings of a set, sorted by name.

    `reader` is a key of READERS, or "workspace" for the vocals of those tracks of a workspace that have an artist tag.

    Raises:
        ConfigError: the folder or the reader does not exist, or no file in the folder is laid out like this set.
    """
    if reader == WORKSPACE:
        return of_workspace(Workspace(str(folder)))
    if reader not in READERS:
        raise ConfigError(f"no reader is called {reader!r}; there are {', '.join(READERS)} and {WORKSPACE}")
    root = Path(folder)
    if not root.is_dir():
        raise ConfigError(f"the set's folder {folder} does not exist")
    found = list(_parts(root, READERS[reader]))
    if not found:
        layout = (READERS[reader].__doc__ or "").removeprefix("Read ").splitlines()[0].split(";")[0].rstrip(".")
        raise ConfigError(f"no audio file under {folder} is laid out as the reader {reader!r} expects: {layout}")
    return found


def _parts(root: Path, reader: Reader) -> Iterable[Recording]:
    for path in sorted(root.rglob("*")):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in relative.parts)
        if path.suffix.lower() not in AUDIO_SUFFIXES or hidden or not path.is_file():
            continue
        part = reader(relative)
        if part is not None:
            yield Recording(
                str(path),
                str(relative),
                part.singer,
                part.song,
                part.recording,
                part.voice,
                part.accompaniment,
            )


def of_workspace(workspace: Workspace) -> list[Recording]:
    """Return the separated vocals of tracks with an artist tag: one recording and one song each.

    Raises:
        ConfigError: nothing is separated yet, or no track has an artist tag.
    """
    tracks = tables.read(workspace, "tracks", ["track_id", "artist"])
    vocals = tables.read(workspace, "vocals", ["track_id", "vocals_uri", "separator", "has_vocals"])
    rows = vocals[vocals["has_vocals"].fillna(False).astype(bool)].merge(tracks.dropna(), on="track_id")
    rows = rows[rows["artist"].str.strip() != ""].sort_values("track_id")
    if rows.empty:
        raise ConfigError(
            f"{workspace.root} has no separated track with an artist tag to evaluate on; "
            "run scan and separate first, or name a set with evaluate.sets"
        )
    return [
        Recording(
            uri=row["vocals_uri"],
            name=row["track_id"],
            singer=row["artist"].strip(),
            song=row["track_id"],
            recording=row["track_id"],
            content=f"{row['track_id']}/{row['separator']}",
        )
        for row in rows.to_dict("records")
    ]


def choose(recordings: list[Recording], singers: tuple[str, ...]) -> list[Recording]:
    """Return the recordings by the named singers.

    Raises:
        ConfigError: the set has no recording by one of them.
    """
    there = {recording.singer for recording in recordings}
    missing = sorted(set(singers) - there)
    if missing:
        raise ConfigError(f"no recording by {', '.join(missing)}; the set has {', '.join(sorted(there))}")
    return [recording for recording in recordings if recording.singer in singers]
