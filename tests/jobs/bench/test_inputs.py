import re

from jobs.bench import inputs


def test_files_go_through_scan_and_separation(tmp_path, capsys):
    assert inputs.main(["--n", "6", "--keep", str(tmp_path / "kept")]) == 0
    text = capsys.readouterr().out
    for nothing in ("files in no table, or in two", "`unexpected`", "messages without words"):
        assert f"| {nothing} | 0 |" in text
    assert "TRACEBACK" not in text
    outcomes = text.partition("What must be zero")[0]
    assert sum(map(int, re.findall(r"\| (\d+) \|", outcomes))) == 6
