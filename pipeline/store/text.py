"""Text from other programs: decode it, and make it harmless before it is stored or shown.

chardet ranks the legacy code pages that some bytes may be in (0BSD; on short tags it makes far fewer errors than
charset-normalizer). The first one is used in which the text reads like names: words in one script, capitals only where
they belong, and none of the characters that Japanese bytes turn into in Western code pages.
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
CENTRAL_EUROPEAN = "windows-1250"  # only if the Western reading is odd (Ma³goœka), or Mylène would become Mylčne

KANA = re.compile(r"[ぁ-ゖァ-ヺ]")
# What Japanese, Chinese and Polish bytes turn into in a wrong alphabet; names do not have these within or before words.
SIGNS = r"\x80-\x9f†‡‰‹›ˆ˜˝˛ˇ˘´¤¦¨¬¯¶¸¹²³¼½¾×÷µªº¢£¥§©®±·»…—ЅѕЈјЉљЊњЋћЏџЂђЃѓЌќ\ufffd"
ODD = re.compile(rf"(?<=\w)[{SIGNS}«¿‘“„](?=\w)|(?:^|(?<=\s))[{SIGNS}](?=\w)|[{SIGNS}]{{2}}")
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
UNSEEN = re.compile(r"[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
FORMULA = re.compile(r"\s*[=+\-@]")


def decode(pieces: Sequence[bytes]) -> list[str]:
    """Return the text of pieces that the same program wrote.

    Each piece that can be UTF-8 or UTF-16 is; all others are decoded with the one code page in which they read best.
    """
    unicode = [_unicode(piece) for piece in pieces]
    page = _code_page([piece for piece, text in zip(pieces, unicode, strict=True) if text is None])
    decoder = codecs.getincrementaldecoder(page)
    return [
        text if text is not None else decoder("replace").decode(piece)
        for piece, text in zip(pieces, unicode, strict=True)
    ]


def mend(text: str) -> str:
    """Return the intended text if UTF-8 was once decoded as a Western code page (`BjÃ¶rk`)."""
    try:
        return b"".join(_western_byte(sign) for sign in text).decode()
    except UnicodeError:
        return text


def visible(text: str) -> str:
    """Return text that is safe in a terminal: without escapes, control characters and marks that change direction."""
    text = UNSEEN.sub("", ESCAPES.sub("", text))
    text = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in text)
    return text.encode(errors="replace").decode()


def clean(text: str, max_chars: int = MAX_CHARS) -> str:
    """Return text as one line of at most `max_chars`, filtered by `visible` and with single spaces."""
    text = " ".join(visible(text[: 4 * max_chars]).split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def cell(value: object) -> object:
    """Return a value for a CSV in such a form that a spreadsheet does not take its text for a formula."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _unicode(data: bytes) -> str | None:
    """Return bytes in UTF-8 or UTF-16 as text, or None if they are neither."""
    encoding = "utf-16" if data.startswith(UTF16_BOMS) else _utf16(data) or "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _utf16(data: bytes) -> str | None:
    """Return the byte order of UTF-16 without a mark, in which most of every second byte are 0."""
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
    """Return pieces as text, or None if one cannot be; a last character may be cut off (ID3v1 ends at 30 bytes)."""
    decoder = codecs.getincrementaldecoder(page)
    try:
        return "\n".join(decoder("strict").decode(piece) for piece in pieces)
    except UnicodeError:
        return None


def _reads_like_names(text: str) -> bool:
    return not ODD.search(text) and all(_is_word(word) for word in re.findall(r"[^\W\d_]+", text))


def _is_word(word: str) -> bool:
    """Return whether letters are in one script, and no capital follows a small letter except in McX and DiCaprio."""
    scripts = {unicodedata.name(sign, "?").partition(" ")[0] for sign in word}
    jumps = [second for first, second in pairwise(word) if first.islower() and second.isupper()]
    return len(scripts) == 1 and all(sign.isascii() for sign in jumps)


def _western_byte(sign: str) -> bytes:
    try:
        return sign.encode("latin-1")
    except UnicodeError:
        return sign.encode("cp1252")
