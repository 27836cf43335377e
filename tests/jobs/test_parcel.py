import pytest

from jobs import parcel
from pipeline.store.errors import ConfigError


@pytest.fixture
def code(tmp_path):
    """Return a folder laid out like the project, with other files that people leave there."""
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


def test_only_the_code_and_the_config_are_sent(code, tmp_path):
    (tmp_path / "my own.yaml").write_text("seed: 1")
    (tmp_path / "parcel").mkdir()
    parcel.pack(tmp_path / "my own.yaml", tmp_path / "parcel", code)
    found = {
        path.relative_to(tmp_path / "parcel").as_posix() for path in (tmp_path / "parcel").rglob("*") if path.is_file()
    }
    assert found == {"jobs/scan.py", "pipeline/config.py", "configs/local.yaml", "pyproject.toml", "submitted.yaml"}
    assert (tmp_path / "parcel" / parcel.CONFIG).read_text() == "seed: 1"


def test_too_large_a_parcel_is_refused_naming_the_largest_file(code, tmp_path, monkeypatch):
    with open(code / "pipeline" / "stray.bin", "wb") as file:
        file.truncate(600_000_000)
    (tmp_path / "parcel").mkdir()
    with pytest.raises(ConfigError, match=r"the job would send 600 MB.*first of all pipeline/stray.bin \(600 MB\)"):
        parcel.pack(code / "configs" / "local.yaml", tmp_path / "parcel", code)


def test_variables_come_from_the_environment_the_command_line_and_files(tmp_path, monkeypatch):
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
def test_an_invalid_variable_is_reported_without_showing_any_value(names, files, words):
    with pytest.raises(ConfigError, match=words) as told:
        parcel.variables(names, files)
    assert "hidden" not in str(told.value)
