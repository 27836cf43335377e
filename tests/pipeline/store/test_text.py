"""Text from other programs: code pages, mojibake, and what must not reach a terminal or a spreadsheet."""

import pytest

from pipeline.store.text import cell, clean, decode, mend

TAGS = [  # an artist, a title and an album, and the code page they were written in
    ("cp1252", ["Björk", "Jóga", "Homogenic"]),
    ("cp1252", ["Mylène Farmer", "Désenchantée", "L'autre..."]),
    ("cp1252", ["José González", "Señorita", "¿Dónde?"]),
    ("cp1252", ["Guns N’ Roses", "Don’t Cry", "Use Your Illusion"]),
    ("cp1252", ["Die Ärzte", "Schrei nach Liebe", "Die Bestie in Menschengestalt"]),
    ("latin-1", ["Sigur Rós", "Ágætis", ""]),
    ("cp1251", ["Кино", "Группа крови", "Группа крови"]),
    ("cp1251", ["Алла Пугачёва", "Миллион алых роз", ""]),
    ("cp1251", ["Океан Ельзи", "Без бою", "Ґлорія"]),
    ("cp1251", ["ДДТ", "Что такое осень", "Актриса Весна"]),
    ("shift_jis", ["宇多田ヒカル", "First Love", "First Love"]),
    ("shift_jis", ["椎名林檎", "歌舞伎町の女王", "無罪モラトリアム"]),
    ("shift_jis", ["サザンオールスターズ", "真夏の果実", ""]),
    ("gb18030", ["周杰伦", "青花瓷", "我很忙"]),
    ("big5", ["鄧麗君", "月亮代表我的心", ""]),
    ("cp949", ["아이유", "좋은 날", "Real"]),
    ("cp1253", ["Χάρις Αλεξίου", "Μαρινέλλα", ""]),
    ("cp1254", ["Barış Manço", "Dağlar Dağlar", ""]),
    ("cp1250", ["Maryla Rodowicz", "Małgośka", "Rok"]),
]


@pytest.mark.parametrize(("page", "texts"), TAGS)
def test_tags_of_one_file_are_decoded_together(page: str, texts: list[str]):
    assert decode([text.encode(page) for text in texts]) == texts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_known_by_its_bytes(encoding: str):
    assert decode(["uri,artist\nb.mp3,Ö".encode(encoding)]) == ["uri,artist\nb.mp3,Ö"]


def test_text_in_unicode_does_not_affect_how_other_text_is_decoded():
    assert decode(["Земфира".encode(), "Björk".encode("cp1252"), b"", b"plain"]) == ["Земфира", "Björk", "", "plain"]


def test_bytes_in_no_encoding_are_decoded_anyway():
    assert decode([bytes(range(128, 256))])[0] != ""


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("BjÃ¶rk", "Björk"),
        ("Guns Nâ€™ Roses", "Guns N’ Roses"),
        ("Ð\x9aÐ¸Ð½Ð¾", "Кино"),
        ("Björk", "Björk"),
        ("Кино", "Кино"),
        ("Ã", "Ã"),
        ("", ""),
    ],
)
def test_utf8_that_was_decoded_as_a_western_code_page_is_repaired(wrong: str, right: str):
    assert mend(wrong) == right


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07x", "x"),
        ("x\x00y\r\nz\t!", "x y z !"),
        ("a\u202eb\u200b", "ab"),
        ("\ud800x", "?x"),
        ("  Ann\u00a0Lee ", "Ann Lee"),
        ("नम\u200dस्ते", "नम\u200dस्ते"),
        ("\x9b31mx", "31mx"),
    ],
)
def test_control_characters_are_removed(text: str, cleaned: str):
    assert clean(text) == cleaned


def test_very_long_text_is_shortened():
    assert clean("ab" * 1_000_000) == "ab" * 499 + "a…"


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("Ann", "Ann"),
        (-1, -1),
        ("A=B", "A=B"),
    ],
)
def test_no_text_can_act_as_a_formula(value: object, safe: object):
    assert cell(value) == safe
