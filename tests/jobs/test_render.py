from jobs import engine, render
from pipeline.store import tables


def test_the_catalogue_is_rendered_where_the_config_says(make_config, workspace, tmp_path):
    config = make_config(
        catalogue=str(tmp_path / "music"),
        render={"singers": 2, "songs": 1, "song_s": 6, "odd_files": False, "workers": 1},
    )
    assert engine.execute(render.STAGE, config) == 0
    assert len([path for path in (tmp_path / "music").rglob("*") if path.suffix in config.scan.suffixes]) == 2
    assert tables.read(workspace, "runs")[["stage", "done"]].to_numpy().tolist() == [["render", 2]]


def test_it_asks_for_a_folder(make_config, capsys):
    assert engine.guarded(lambda: engine.execute(render.STAGE, make_config())) == 2
    assert "name the folder" in capsys.readouterr().err
