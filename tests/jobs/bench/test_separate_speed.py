import soundfile

from jobs.bench.separate_speed import render, stage


def test_the_stage_is_timed_on_music_of_the_given_length(tmp_path):
    paths = render(tmp_path / "music", [8.0, 10.5])
    assert [soundfile.info(path).duration for path in paths] == [8.0, 10.5]
    (seconds, cpu_seconds), batch = stage(tmp_path / "workspace", paths, "spleeter", "fp32")
    assert seconds > 0 and cpu_seconds > 0
    assert batch["uri"].to_pylist() == [str(path) for path in paths]
    assert len(list((tmp_path / "workspace" / "vocals_audio").rglob("*.flac"))) == 2
