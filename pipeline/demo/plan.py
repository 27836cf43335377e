"""The contents of a demo catalogue, before any sound is made: singers, files, formats, tags."""

from dataclasses import dataclass, replace

import numpy as np

from encoder.frozen import Frozen
from pipeline.demo.singer import Singer, draw_singers
from pipeline.sections import RenderConfig

NAMES = (
    "Aino Virtanen", "Béla Kovács", "Chloé Martin", "Дарья Белова", "Emeka Obi", "Freya Lindqvist", "Goran Petrović",
    "花子", "Inês Carvalho", "Jonas Weber", "Katarzyna Nowak", "Liam O'Connor", "Mariam Haddad", "Nils Åberg",
    "Ofelia Ruiz", "Paolo Conti",
)  # fmt: skip
FIRST_WORDS = ("Silver", "Northern", "Paper", "Quiet", "Midnight", "Open", "Borrowed", "Hollow", "Wild", "Second")
LAST_WORDS = ("Harbour", "Lights", "Letters", "River", "Garden", "Morning", "Sky", "Season", "Road", "Mirror")
FOREIGN_TITLES = (
    "Été sans fin",
    "Über Wasser",
    "Ночной город",
    "さくら",
    "Año nuevo",
    "Køl nat",
    "Ζωή",
    "Łódź o świcie",
)
ARRANGEMENTS = ("pads", "strings", "keys")  # of `pipeline.demo.accompaniment`
# Suffix, sample rate in Hz, channels, and bits per sample where the format has a choice.
FORMATS = (
    (".mp3", 44100, 2, 16), (".flac", 44100, 2, 16), (".m4a", 44100, 2, 16), (".ogg", 48000, 2, 16),
    (".wav", 44100, 2, 16), (".mp3", 48000, 2, 16), (".opus", 48000, 2, 16), (".mp3", 32000, 1, 16),
    (".flac", 48000, 1, 24), (".ogg", 22050, 1, 16), (".wav", 48000, 1, 24), (".m4a", 48000, 1, 16),
    (".wav", 16000, 1, 16),
)  # fmt: skip
ODD_FOLDER = "Downloads"
WRONG_TAG_EVERY = 9  # of the tagged songs that are not known


class Truth(Frozen):
    """A row of `truth.csv`.

    `singer` is empty if nobody sings or it is unknown who does, and "A+B" for a duet. `expected` is what a run should
    find: `vocalist`, `instrumental`, `silent`, `unreadable` or `duplicate`. `artist_tag` is the file's own (empty for
    no tag); it is deliberately wrong in a few songs.
    """

    file: str
    singer: str
    kind: str
    expected: str
    artist_tag: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True)
class Item:
    """A file to make: its `kind` as in the truth, its `title` tag, and its encoding."""

    file: str
    kind: str
    singers: tuple[Singer, ...] = ()
    title: str = ""
    artist_tag: str = ""
    arrangement: str = ARRANGEMENTS[0]
    sample_rate_hz: int = 44100
    channels: int = 2
    bits: int = 16


@dataclass(frozen=True)
class Plan:
    """The files to make, and the known names: file -> name."""

    items: tuple[Item, ...]
    known: dict[str, str]


def plan(config: RenderConfig) -> Plan:
    """Return the catalogue that a config describes."""
    generator = np.random.default_rng([config.seed, 1])
    singers = draw_singers(list(NAMES[: config.singers]), generator)
    titles = _titles(generator)
    songs = [
        _song(singer, number, song, titles[(number * config.songs + song) % len(titles)])
        for number, singer in enumerate(singers)
        for song in range(config.songs)
    ]
    known = {songs[number * config.songs].file: singers[number].name for number in range(0, len(singers), 2)}
    tagged = [index for index, song in enumerate(songs) if song.artist_tag and song.file not in known]
    for index in tagged[2::WRONG_TAG_EVERY]:
        someone_else = singers[(singers.index(songs[index].singers[0]) + 1) % len(singers)]
        songs[index] = replace(songs[index], artist_tag=someone_else.name)
    return Plan((*songs, *(_odd_items(singers, songs) if config.odd_files else ())), known)


def _song(singer: Singer, number: int, song: int, title: str) -> Item:
    """Return a singer's n-th song; formats, arrangements and tags rotate, so that none of them tells who sings."""
    suffix, rate, channels, bits = FORMATS[(7 * number + song) % len(FORMATS)]
    return Item(
        file=f"{singer.name}/{singer.name} - {title}{suffix}",
        kind="song",
        singers=(singer,),
        title=title,
        artist_tag="" if (number + song) % 4 == 3 else singer.name,
        arrangement=ARRANGEMENTS[(song + number) % len(ARRANGEMENTS)],
        sample_rate_hz=rate,
        channels=channels,
        bits=bits,
    )


def _titles(generator: np.random.Generator) -> list[str]:
    """Return titles in random order, every seventh in a language other than English until those are used up."""
    titles = [f"{first} {last}" for first in FIRST_WORDS for last in LAST_WORDS]
    generator.shuffle(titles)
    for number, title in enumerate(FOREIGN_TITLES):
        titles.insert(7 * number + 2, title)
    return titles


def _odd_items(singers: list[Singer], songs: list[Item]) -> tuple[Item, ...]:
    """Return the broken and unusual files that real folders contain besides songs."""
    order = sorted(singers, key=lambda singer: singer.low_midi)
    one, other = order[len(order) // 2 - 1], order[len(order) // 2]
    both = f"{one.name} & {other.name}"
    copied = next(item for item in songs if item.file.endswith(".mp3"))
    odd = (
        Item("Karaoke Version (instrumental).flac", "instrumental", title="Karaoke Version", arrangement="keys"),
        Item(f"{both} - Duet.mp3", "duet", (one, other), "Duet", both, "strings"),
        Item("track01 (copy).mp3", "duplicate", copied.singers, copied.title, ""),
        Item("new recording.mp3", "empty"),
        Item("interrupted download.mp3", "truncated", (singers[-1],), "Interrupted", "", "keys"),
        Item("lyrics.mp3", "text"),
        Item("hidden track.wav", "silent"),
        Item("audio_example.mp3", "real"),
    )
    return tuple(replace(item, file=f"{ODD_FOLDER}/{item.file}") for item in odd)
