"""Text that other programs wrote: decoded as a person would, and made harmless where it is kept or shown.

Which legacy code page some bytes are in is chardet's to rank (0BSD; on short tags it errs far less than
charset-normalizer). Of its ranking the first is taken that reads like names: words of one script, with capitals where
they belong, without the signs that Japanese bytes become in Western code pages.
"""

import codecs
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import chardet

MAX_CHARS = 1000
UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ALPHABETS = ("windows-1254", "windows-1252", "windows-1251", "windows-1253")  # equally likely: the first
CHARACTERS = ("cp932", "gb18030", "big5", "cp949")
CENTRAL_EUROPEAN = "windows-1250"  # only where the Western reading is odd (Ma³goœka): else Mylène would be Mylčne

KANA = re.compile(r"[ぁ-ゖァ-ヺ]")
# What Japanese, Chinese and Polish bytes become in a wrong alphabet, and names do not hold in a word or before one.
SIGNS = r"\x80-\x9f†‡‰‹›ˆ˜˝˛ˇ˘´¤¦¨¬¯¶¸¹²³¼½¾×÷µªº¢£¥§©®±·»…—ЅѕЈјЉљЊњЋћЏџЂђЃѓЌќ\ufffd"
ODD = re.compile(rf"(?<=\w)[{SIGNS}«¿‘“„](?=\w)|(?:^|(?<=\s))[{SIGNS}](?=\w)|[{SIGNS}]{{2}}")
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
UNSEEN = re.compile(r"[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
FORMULA = re.compile(r"\s*[=+\-@]")


def decode(pieces: Sequence[bytes]) -> list[str]:
    """Return the text of some pieces that one program wrote.

    Each is UTF-8 or UTF-16 if it can be; the others are all in the one code page that reads best.
    """
    unicode = [_unicode(piece) for piece in pieces]
    page = _code_page([piece for piece, text in zip(pieces, unicode, strict=True) if text is None])
    decoder = codecs.getincrementaldecoder(page)
    return [
        text if text is not None else decoder("replace").decode(piece)
        for piece, text in zip(pieces, unicode, strict=True)
    ]


def mend(text: str) -> str:
    """Return text whose UTF-8 was once taken for Western (`BjÃ¶rk`) as it was meant."""
    try:
        return b"".join(_western_byte(sign) for sign in text).decode()
    except UnicodeError:
        return text


def visible(text: str) -> str:
    """Return text as a terminal may show it: without escapes, control characters and marks that turn its direction."""
    text = UNSEEN.sub("", ESCAPES.sub("", text))
    text = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in text)
    return text.encode(errors="replace").decode()


def clean(text: str, max_chars: int = MAX_CHARS) -> str:
    """Return text in one line, as `visible` leaves it and with single spaces, of at most `max_chars`."""
    text = " ".join(visible(text[: 4 * max_chars]).split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def cell(value: object) -> object:
    """Return a value for a CSV that a spreadsheet opens: no text of it is taken for a formula."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _unicode(data: bytes) -> str | None:
    """Return UTF-8 or UTF-16 as text, None for what is neither."""
    encoding = "utf-16" if data.startswith(UTF16_BOMS) else _utf16(data) or "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _utf16(data: bytes) -> str | None:
    """Return the byte order of UTF-16 that has no mark: of every second byte most are 0."""
    head = data[:4096]
    for encoding, high in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(head) >= 4 and high.count(0) > 0.4 * len(high) and head.count(0) - high.count(0) < 0.1 * len(high):
            return encoding
    return None


def _code_page(pieces: Sequence[bytes]) -> str:
    """Return the code page in which all pieces read best."""
    if not pieces:
        return "utf-8"
    found = chardet.detect_all(
        b"\n".join(pieces), include_encodings=(*ALPHABETS, *CHARACTERS), prefer_superset=True, ignore_threshold=True
    )
    likely = {item["encoding"].lower(): item["confidence"] for item in found if item["encoding"]}
    pages = [
        *sorted(ALPHABETS, key=lambda page: -likely.get(page, 0)),
        CENTRAL_EUROPEAN,
        *sorted(CHARACTERS, key=lambda page: -likely.get(page, 0)),
    ]
    texts = {page: text for page in pages if (text := _strict(pieces, page)) is not None}
    japanese = texts.get("cp932", "")
    if len(KANA.findall(japanese)) > len(japanese) / 5:
        return "cp932"
    return next((page for page, text in texts.items() if page in CHARACTERS or _reads_like_names(text)), "latin-1")


def _strict(pieces: Sequence[bytes], page: str) -> str | None:
    """Return pieces as text, None where one cannot be; a last character may be cut in half (ID3v1 ends at 30 bytes)."""
    decoder = codecs.getincrementaldecoder(page)
    try:
        return "\n".join(decoder("strict").decode(piece) for piece in pieces)
    except UnicodeError:
        return None


def _reads_like_names(text: str) -> bool:
    return not ODD.search(text) and all(_is_word(word) for word in re.findall(r"[^\W\d_]+", text))


def _is_word(word: str) -> bool:
    """Return whether letters are of one script and no capital follows a small one, but in McX and DiCaprio."""
    scripts = {unicodedata.name(sign, "?").partition(" ")[0] for sign in word}
    jumps = [second for first, second in pairwise(word) if first.islower() and second.isupper()]
    return len(scripts) == 1 and all(sign.isascii() for sign in jumps)


def _western_byte(sign: str) -> bytes:
    try:
        return sign.encode("latin-1")
    except UnicodeError:
        return sign.encode("cp1252")
