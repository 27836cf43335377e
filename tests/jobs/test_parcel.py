import pytest

from jobs import parcel
from pipeline.store.errors import ConfigError


@pytest.fixture
def code(tmp_path):
    """Return a folder laid out as the project is, with what people have lying about."""
    for name in (
        "jobs/scan.py",
        "pipeline/config.py",
        "configs/local.yaml",
        "pyproject.toml",
        "pipeline/.cache/x",
        "jobs/__pycache__/scan.pyc",
        "workspace/clips/part.parquet",
        "recording.wav",
        ".git/HEAD",
    ):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(name)
    return tmp_path / "code"


def test_the_code_and_the_config_travel_and_nothing_else(code, tmp_path):
    (tmp_path / "my own.yaml").write_text("seed: 1")
    (tmp_path / "parcel").mkdir()
    parcel.pack(tmp_path / "my own.yaml", tmp_path / "parcel", code)
    found = {
        path.relative_to(tmp_path / "parcel").as_posix() for path in (tmp_path / "parcel").rglob("*") if path.is_file()
    }
    assert found == {"jobs/scan.py", "pipeline/config.py", "configs/local.yaml", "pyproject.toml", "submitted.yaml"}
    assert (tmp_path / "parcel" / parcel.CONFIG).read_text() == "seed: 1"


def test_too_much_is_told_with_what_it_is(code, tmp_path, monkeypatch):
    with open(code / "pipeline" / "stray.bin", "wb") as file:
        file.truncate(600_000_000)
    (tmp_path / "parcel").mkdir()
    with pytest.raises(ConfigError, match=r"600 MB would be sent.*first of all pipeline/stray.bin \(600 MB\)"):
        parcel.pack(code / "configs" / "local.yaml", tmp_path / "parcel", code)


def test_variables_come_from_here_from_the_line_and_from_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HERE", "a=b")
    (tmp_path / "env").write_text("# the store\n\nKEY=first\nSECRET=x y\n")
    found = parcel.variables(["HERE", "KEY=second"], [str(tmp_path / "env")])
    assert found == {"HERE": "a=b", "KEY": "second", "SECRET": "x y"}


@pytest.mark.parametrize(
    ("names", "files", "words"),
    [
        (["NOT_SET"], [], "NOT_SET: there is no such variable"),
        (["my key=hidden"], [], "letters, digits"),
        ([], ["/no/such/file"], "/no/such/file cannot be read"),
    ],
)
def test_what_is_no_variable_is_told_and_no_value_shown(names, files, words):
    with pytest.raises(ConfigError, match=words) as told:
        parcel.variables(names, files)
    assert "hidden" not in str(told.value)
