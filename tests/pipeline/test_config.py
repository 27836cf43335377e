from pathlib import Path

import pytest

from pipeline.config import STAGES, Config, load
from pipeline.store.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_a_complete_run(path):
    config = load(path)
    assert set(config.stages) <= set(STAGES)
    assert config.workspace


def test_overrides_win_and_are_read_as_yaml(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("workspace: a\nshard: {max_s: 9}\n")
    settings = ["shard.max_s=20", "workspace=b", "known=null", "stages=[scan, report]", "scan.compute.batch=3"]
    config = load(path, settings)
    assert config.shard.max_s == 20
    assert config.workspace == "b"
    assert config.known is None
    assert config.stages == ("scan", "report")
    assert config.scan.compute.batch == 3


@pytest.mark.parametrize(
    "path",
    [
        "/music/a #1 hits",
        "*.mp3",
        "[2001] x",
        "Best of: 80s",
        "1984",
        "Rock & Roll",
        "yes",
        "s3://bucket/a b?region=x&scheme=http",
        'it\'s "this"',
        "~/x",
        "a=b",
        "{a}",
        "- x",
    ],
)
def test_a_setting_that_is_a_path_is_taken_literally(tmp_path, path):
    (tmp_path / "c.yaml").write_text("seed: 1")
    config = load(tmp_path / "c.yaml", [f"catalogue={path}", f"workspace={path}", f"embed.encoder={path}"])
    assert (config.catalogue, config.workspace, config.embed.encoder) == (path, path, path)
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert load(tmp_path / "again.yaml") == config


def test_an_empty_value_is_none_if_none_is_allowed(tmp_path):
    (tmp_path / "c.yaml").write_text("catalogue: x\nknown: y\nscan:\n")
    config = load(tmp_path / "c.yaml", ["catalogue=", "known=null"])
    assert (config.catalogue, config.known, config.scan) == (None, None, Config().scan)
    with pytest.raises(ConfigError, match="workspace = None"):
        load(tmp_path / "c.yaml", ["workspace="])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shard: {max_secs: 9}", r"unknown key shard.max_secs \(did you mean max_s\?\)"),
        ("workspce: x", r"unknown key workspce \(did you mean workspace\?\)"),
        ("shard: {max_s: long}", "shard.max_s = 'long'"),
        ("shard: {max_s: 5}", "max_s"),
        ("a: [", "not valid YAML"),
        ("stages: [seperate]", "stages"),
        ("- scan", "holds a list"),
        (b"workspace: caf\xe9", "not valid YAML"),
        ("catalogue: 1984", "catalogue = 1984: Input should be a valid string"),
    ],
)
def test_what_is_wrong_in_a_config_is_named(tmp_path, text, words):
    path = tmp_path / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=words):
        load(path)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("shard", "section.key=value"),
        ("seed.x=1", "seed is a value"),
        ("seed=[", "not valid YAML"),
        ("known=\udce9", r"known = \\xe9: .*UTF-8"),
    ],
)
def test_a_wrong_override_is_named(tmp_path, override, words):
    path = tmp_path / "c.yaml"
    path.write_text("seed: 1")
    with pytest.raises(ConfigError, match=words):
        load(path, [override])


def test_a_missing_config_is_named():
    with pytest.raises(ConfigError, match="nowhere.yaml"):
        load("nowhere.yaml")


def test_fingerprints_depend_on_content_and_not_on_compute(make_config):
    plain = make_config()
    assert plain.fingerprint("shard") == make_config(shard={"compute": {"batch": 2}}).fingerprint("shard")
    assert plain.fingerprint("shard") != make_config(shard={"max_s": 12}).fingerprint("shard")


def test_the_saved_config_loads_again(make_config, tmp_path):
    config = make_config(shard={"max_s": 12})
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert load(tmp_path / "again.yaml") == config
    assert isinstance(config, Config)
