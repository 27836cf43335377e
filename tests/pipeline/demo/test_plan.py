import pytest
from pydantic import ValidationError

from pipeline.demo.plan import FORMATS, ODD_FOLDER, plan
from pipeline.sections import RenderConfig

ODD_KINDS = {"instrumental", "duet", "duplicate", "empty", "truncated", "text", "silent", "real"}


def test_the_default_catalogue_has_six_songs_each_by_eight_singers_and_odd_files():
    items = plan(RenderConfig()).items
    songs = [item for item in items if item.kind == "song"]
    assert len(songs) == 48
    assert len({item.singers[0].name for item in songs}) == 8
    assert sorted(item.kind for item in items if item.kind != "song") == sorted(ODD_KINDS)
    assert len({item.file for item in items}) == len(items)
    assert all(item.file.startswith(ODD_FOLDER) == (item.kind != "song") for item in items)


def test_every_singers_songs_have_mixed_formats_rates_and_channels():
    songs = [item for item in plan(RenderConfig()).items if item.kind == "song"]
    assert {item.file[item.file.rindex(".") :] for item in songs} == {suffix for suffix, *_ in FORMATS}
    assert {item.sample_rate_hz for item in songs} == {16000, 22050, 32000, 44100, 48000}
    assert {item.channels for item in songs} == {1, 2}
    for name in {item.singers[0].name for item in songs}:
        own = [item for item in songs if item.singers[0].name == name]
        assert len({item.file[item.file.rindex(".") :] for item in own}) >= 3
        assert len({item.arrangement for item in own}) == 3


def test_tags_are_mostly_right_a_few_wrong_and_some_missing():
    songs = [item for item in plan(RenderConfig()).items if item.kind == "song"]
    wrong = [item for item in songs if item.artist_tag and item.artist_tag != item.singers[0].name]
    right = [item for item in songs if item.artist_tag == item.singers[0].name]
    assert 2 <= len(wrong) <= 5
    assert len(right) > 0.4 * len(songs)
    assert 0.1 * len(songs) < len(songs) - len(right) - len(wrong) < 0.5 * len(songs)
    assert {item.artist_tag for item in wrong} <= {item.singers[0].name for item in songs}


def test_half_of_the_singers_are_known_by_a_song_without_a_wrong_tag():
    planned = plan(RenderConfig())
    songs = {item.file: item for item in planned.items if item.kind == "song"}
    assert len(planned.known) == len(set(planned.known.values())) == 4
    for file, name in planned.known.items():
        assert songs[file].singers[0].name == name
        assert songs[file].artist_tag in ("", name)


def test_file_names_are_like_real_ones():
    files = [item.file for item in plan(RenderConfig()).items]
    assert sum(" - " in file for file in files) > 40
    assert any(ord(character) > 0x400 for file in files for character in file)
    assert not any(set(file) & set('<>:"\\|?*') for file in files)


def test_a_plan_depends_on_seed_and_size():
    assert plan(RenderConfig()) == plan(RenderConfig())
    assert plan(RenderConfig()) != plan(RenderConfig(seed=1))
    small = plan(RenderConfig(singers=3, songs=2, odd_files=False))
    assert [item.kind for item in small.items] == ["song"] * 6
    assert len(small.known) == 2
    assert len({item.file for item in plan(RenderConfig(singers=16, songs=12)).items}) == 16 * 12 + 8


@pytest.mark.parametrize("wrong", [{"singers": 1}, {"singers": 99}, {"songs": 0}, {"song_s": 1.0}, {"tempo": 3}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValidationError):
        RenderConfig(**wrong)
