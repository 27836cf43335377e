from jobs import engine, report
from pipeline.store import tables


def test_the_report_of_the_chain_is_written(chain_workspace):
    page = chain_workspace.read_bytes("report.html").decode()
    assert page.startswith("<!doctype html>")
    assert "Voice map" in page
    assert "could not be read" not in tables.read(chain_workspace, "runs").set_index("stage").at["report", "message"]


def test_every_failure_of_the_chain_is_on_the_page(chain_workspace):
    page = chain_workspace.read_bytes("report.html").decode()
    failures = tables.read(chain_workspace, "failures")
    assert len(failures)
    assert all(uri.rpartition("/")[2] in page for uri in failures["uri"].dropna())


def test_without_tracks_it_says_what_to_run(make_config, capsys):
    assert engine.guarded(lambda: engine.execute(report.STAGE, make_config())) == 2
    assert "run the scan stage first" in capsys.readouterr().err
