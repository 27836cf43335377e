import shutil

import pytest

from jobs.bench import screenshot


def test_a_report_becomes_a_picture(tmp_path):
    pytest.importorskip("playwright", reason="playwright is not installed")
    if not screenshot.chromium():
        pytest.skip("there is no chromium on this machine")
    (tmp_path / "report.html").write_text("<title>A report</title><p>Who sings?")
    assert screenshot.main([str(tmp_path), str(tmp_path / "new" / "report.png")]) == 0
    assert (tmp_path / "new" / "report.png").read_bytes().startswith(b"\x89PNG")
    assert 0 < screenshot.drawn(tmp_path / "report.html") < 60


def test_without_a_report_it_says_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/true")
    assert screenshot.main([str(tmp_path), str(tmp_path / "report.png")]) == 2
    assert "make report" in capsys.readouterr().err
