"""Whether two spellings are one person's name: they are if their `key` is the same.

The key ignores what does not tell people apart: case, accents, Unicode form, punctuation, spaces, "the" and "and" (`&`,
`+`, `N'`, `und`, ...), signs used as letters (`P!nk`, `A$AP`), what catalogues append to a name (`- Topic`, `(2)`,
`VEVO`), `oe` for `ö`, and the script: `Кино` is `Kino`, `ガガ` is `がが`, `周杰倫` is `周杰伦`. Chinese characters stay
as they are, since many names share one romanisation.

AnyAscii transliterates all scripts into Latin letters (ISC licence; the better-known Unidecode is GPL, and PyICU has no
wheels), and OpenCC unifies variants of Chinese and Japanese characters (Apache-2.0).
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from importlib import resources

from anyascii import anyascii
from opencc import OpenCC

MAX_CHARS = 300  # of a name that count; the rest is ignored
ROTATED_FROM = 6  # letters from which the order of the words does not count; in shorter names, Amy would be Mya

SUFFIXES = re.compile(
    r"(?:\s+[-–—]\s+topic|\s*[(\[](?:\d+|official|singer|musician|vocalist|rapper|band|artist)[)\]]|(?<=\w)vevo)\s*$",
    re.IGNORECASE,
)
AND = frozenset("and und et y e og och n и й і та και".split())
THE = "the"
NOT_HAN = re.compile(r"[^々〇㐀-䶿一-鿿豈-﫿𠀀-𳿿]+")
UMLAUT = re.compile(r"(?<![aeiou])(?:([aou])e|aa)(?=[^aeiou\W\d])")  # Bjoerk, Haakan; not Joe, Queen, Aaa
VOWEL_POINTS = re.compile("[\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670]")  # of Hebrew and Arabic, rarely written
SAME_IN_ARABIC = str.maketrans("ةى", "هي")
LIKE_LETTERS = re.compile(r"[!@$]")
SHORT_AND, WITHIN = re.compile(r"(?<=\w)['’ʼ`´]n['’ʼ`´](?=\w)"), re.compile(r"[.'’ʼ`´]")
WORD, NO_WORD = re.compile(r"[^\W_]+"), re.compile(r"[^\w ]|_")
VOICE = re.compile(r"voice[-‐‑– _]?\d+")
SOUNDTRACK = re.compile(r"\b(?:OST|(?i:soundtrack))\W*$")


@functools.lru_cache(maxsize=2**17)
def key(name: str) -> str:
    """Return what all spellings of one person's name share, and "" for no name.

    Words may be in any cyclic order (`Coulton, Jonathan`, `Utada Hikaru`): the key is the smallest of all rotations of
    the letters. Sorting the words would tell `Run-D.M.C.` from `RunDMC`.
    """
    plain = letters(name)
    if len(plain) < ROTATED_FROM:
        return plain
    least = min(plain)
    return min(plain[i:] + plain[:i] for i, sign in enumerate(plain) if sign == least)


def letters(name: str) -> str:
    """Return the letters and digits by which a name is compared, in their order."""
    shown = display(name)
    text = shown.lower() if shown.isascii() else _folded(shown)
    words = _words(_signs_for_letters(text))
    told = [word for at, word in enumerate(words) if word != THE and not _is_and(words, at)] or words
    return _plain(" ".join(told)).replace(" ", "") or "".join(text.split())


def display(name: str) -> str:
    """Return a name as it is shown: without what catalogues append to it, and with single spaces."""
    text = " ".join(name[:MAX_CHARS].split())
    return SUFFIXES.sub("", text) or text


def written(names: Iterable[str]) -> dict[str, str]:
    """Return the most frequent spelling of each person's name, by key; the first of equally frequent ones."""
    counts: dict[str, Counter[str]] = {}
    for name in names:
        counts.setdefault(key(name), Counter())[display(name)] += 1
    return {person: forms.most_common(1)[0][0] for person, forms in counts.items()}


def is_nobody(name: str) -> bool:
    """Return whether a name is nobody's: "Various Artists" and the like in any language, a soundtrack, only signs."""
    mere_signs = len(name) < 3 and not any(sign.isalnum() for sign in name)
    return mere_signs or key(name) in _nobody() or bool(SOUNDTRACK.search(name))


def is_voice(name: str) -> bool:
    """Return whether a name is one that Vocatlas itself gives (`voice-0042`)."""
    return bool(VOICE.fullmatch(unicodedata.normalize("NFKC", name).casefold().strip()))


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return VOWEL_POINTS.sub("", text).translate(SAME_IN_ARABIC)


def _signs_for_letters(text: str) -> str:
    if not LIKE_LETTERS.search(text):
        return text
    text = re.sub(r"(?<=\w)!(?=\w)", "i", text)
    text = re.sub(r"(?<=\w)@(?=\w)", "a", text)
    return re.sub(r"\$(?=[^\W\d]|\$)|(?<=[^\W\d])\$+|(?<=\$)\$", lambda found: "s" * len(found[0]), text)


def _words(text: str) -> list[str]:
    """Split at anything but letters, digits and marks; dots and apostrophes belong to the word around them."""
    if WITHIN.search(text):
        text = WITHIN.sub("", SHORT_AND.sub(" n ", text))
    if text.isascii():
        return WORD.findall(text)
    return "".join(sign if unicodedata.category(sign)[0] in "LNM" else " " for sign in text).split()


def _is_and(words: list[str], at: int) -> bool:
    """Return whether a word links two others; in `R E M` no letter does."""
    return (
        words[at] in AND
        and 0 < at < len(words) - 1
        and (len(words[at]) > 1 or len(words[at - 1]) > 1 < len(words[at + 1]))
    )


def _plain(text: str) -> str:
    """Return text in Latin letters and simplified Chinese characters, folded."""
    if not text.isascii():
        traditional, simplified = _chinese()
        text = simplified.convert(traditional.convert(text))
        text = NO_WORD.sub("", NOT_HAN.sub(lambda run: anyascii(run[0]), text).casefold())
    return UMLAUT.sub(lambda found: found[1] or "a", text)


@functools.cache
def _chinese() -> tuple[OpenCC, OpenCC]:
    return OpenCC("jp2t"), OpenCC("t2s")


@functools.cache
def _nobody() -> frozenset[str]:
    lines = resources.files(__package__).joinpath("nobody.txt").read_text(encoding="utf-8").splitlines()
    names = [name for line in lines if not line.startswith("#") for name in line.partition(":")[2].split("|")]
    return frozenset(key(name.strip()) for name in names if name.strip())
