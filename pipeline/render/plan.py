"""What is in a demo catalogue, before a sound is made: singers, files, formats, tags."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from pipeline.frozen import Frozen
from pipeline.render.band import ARRANGEMENTS
from pipeline.render.singer import Singer, draw_singers

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
# Suffix, sample rate in Hz, channels, bits of a sample where the format has them.
FORMATS = (
    (".mp3", 44100, 2, 16), (".flac", 44100, 2, 16), (".m4a", 44100, 2, 16), (".ogg", 48000, 2, 16),
    (".wav", 44100, 2, 16), (".mp3", 48000, 2, 16), (".opus", 48000, 2, 16), (".mp3", 32000, 1, 16),
    (".flac", 48000, 1, 24), (".ogg", 22050, 1, 16), (".wav", 48000, 1, 24), (".m4a", 48000, 1, 16),
    (".wav", 16000, 1, 16),
)  # fmt: skip
ODD_FOLDER = "Downloads"
REAL_FILE = f"{ODD_FOLDER}/audio_example.mp3"


class RenderConfig(Frozen):
    """How large a demo catalogue is; the same config makes the same music, however many workers there are."""

    seed: int = Field(0, ge=0)
    singers: int = Field(8, ge=2, le=len(NAMES))
    songs: int = Field(6, ge=1, le=12, description="per singer")
    song_s: float = Field(25.0, ge=6, le=300, description="length of a song, to the nearest phrase")
    odd_files: bool = Field(True, description="with the instrumental, the duet, the broken files and so on")
    workers: int = Field(2, ge=1, description="processes that render")


class Truth(Frozen):
    """A row of `truth.csv`.

    `singer` is empty where nobody sings or nobody knows who, "A+B" for a duet. `expected` is what a run should find:
    `vocalist`, `instrumental`, `silent`, `unreadable` or `duplicate`. `artist_tag` is what the file itself says
    (empty: no tag); it is wrong on purpose in a few songs.
    """

    file: str
    singer: str
    kind: str
    expected: str
    artist_tag: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True)
class Item:
    """A file to make: `kind` as in its truth, `title` for its tags, and how it is encoded."""

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
    """The files to make, and which of them are known: file to name."""

    items: tuple[Item, ...]
    known: dict[str, str]


def plan(config: RenderConfig) -> Plan:
    """The catalogue that a config describes."""
    generator = np.random.default_rng([config.seed, 1])
    singers = draw_singers(list(NAMES[: config.singers]), generator)
    titles = _titles(generator)
    items = []
    for number, singer in enumerate(singers):
        for song in range(config.songs):
            index = number * config.songs + song
            # Formats and arrangements go around at different paces, so that neither tells who sings.
            suffix, rate, channels, bits = FORMATS[(index + number) % len(FORMATS)]
            items.append(
                Item(
                    file=f"{singer.name}/{singer.name} - {titles[index % len(titles)]}{suffix}",
                    kind="song",
                    singers=(singer,),
                    title=titles[index % len(titles)],
                    artist_tag=_artist_tag(index, number, suffix, singers),
                    arrangement=ARRANGEMENTS[(song + number) % len(ARRANGEMENTS)],
                    sample_rate_hz=rate,
                    channels=channels,
                    bits=bits,
                )
            )
    known = {items[number * config.songs].file: singers[number].name for number in range(0, len(singers), 2)}
    return Plan(tuple(items) + (_odd_items(singers, items) if config.odd_files else ()), known)


def _titles(generator: np.random.Generator) -> list[str]:
    """Titles in an order of chance, one in seven in another language than English until those are used up."""
    titles = [f"{first} {last}" for first in FIRST_WORDS for last in LAST_WORDS]
    generator.shuffle(titles)
    for number, title in enumerate(FOREIGN_TITLES):
        titles.insert(7 * number + 2, title)
    return titles


def _artist_tag(index: int, number: int, suffix: str, singers: list[Singer]) -> str:
    """Mostly the singer, nothing in every fourth song and in wav files, and in a few the name of someone else."""
    if suffix == ".wav" or index % 4 == 3:
        return ""
    return singers[(number + 1) % len(singers)].name if index % 14 == 5 else singers[number].name


def _odd_items(singers: list[Singer], songs: list[Item]) -> tuple[Item, ...]:
    """The files that real folders hold beside songs."""
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
        Item(REAL_FILE.rpartition("/")[2], "real"),
    )
    return tuple(_in_folder(item) for item in odd)


def _in_folder(item: Item) -> Item:
    return Item(**{**item.__dict__, "file": f"{ODD_FOLDER}/{item.file}"})
