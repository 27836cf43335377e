"""The parts of the GPU bench run on a CPU, small, and print what they should; only a GPU can show the speeds."""

import pytest
import torch

from jobs.bench import gpu, train

CPU = torch.device("cpu")
TINY = {"channels": 8, "bottom_channels": 16, "t_layers": 1, "segment": 1}


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of a printed table by the first one."""
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {first: rest for first, *rest in cells[2:]}


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert capsys.readouterr().err == "error: this machine has no GPU that PyTorch can use, and nothing was measured\n"


def test_separation_is_compared_in_each_precision(capsys):
    gpu.separation(CPU, 0.05, **TINY)
    found = rows(capsys.readouterr().out)
    assert list(found) == ["plain loop, fp32", "ours, fp32", "ours, bf16"]
    assert all(float(cells[0]) > 0 for cells in found.values())
    assert 10 < float(found["ours, bf16"][3]) < float(found["ours, fp32"][3])


def test_our_vocals_equal_those_of_demucs_own_loop(tmp_path):
    from jobs.bench.reference import save_htdemucs_repo
    from pipeline import separators
    from pipeline.separators.hub import load_demucs

    save_htdemucs_repo(tmp_path, ("htdemucs",), **TINY)
    (mix,) = gpu.tracks(0.05)
    (theirs,) = gpu.plain_demucs(load_demucs(str(tmp_path / "htdemucs")), [mix], CPU)
    (mine,) = gpu.all_vocals(separators.load(str(tmp_path / "htdemucs"), "cpu", "fp32"), [mix])
    assert gpu.si_sdr(mine, theirs) > 60


def test_embedding_in_batches_agrees_with_clip_by_clip(capsys):
    gpu.embedding(CPU, 0.35)
    found = rows(capsys.readouterr().out)
    assert list(found) == ["plain loop, fp32", "ours, fp32", "ours, bf16"]
    assert float(found["ours, fp32"][3]) > 0.9999
    assert float(found["ours, bf16"][3]) > 0.99


def test_training_is_timed(monkeypatch, capsys):
    for name, few in (("CLIPS", 8), ("WARM", 1), ("TIMED", 1)):
        monkeypatch.setattr(train, name, few)
    gpu.training(CPU, 0)
    assert float(rows(capsys.readouterr().out)["ours"][0]) > 0


@pytest.mark.parametrize(("value", "words"), [(40.0, "as it should"), (39.9, "MISSED: 40 or more is required")])
def test_a_missed_value_is_reported(value, words):
    assert gpu.verdict(value, gpu.AGREE_DB) == words
