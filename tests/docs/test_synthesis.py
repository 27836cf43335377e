"""The Python examples of the synthesis page and of the encoders' cards run."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import encoder
from encoder.published import published_weights

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_a_synthesiser_is_conditioned_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("workspace/mine").mkdir(parents=True)
    about = json.dumps({"encoder_id": "e", "vocalists": ["Ann", "Ella"]})
    save_file({"embedding": torch.eye(2, 192)}, "workspace/mine/vocalists.safetensors", {"vocatlas": about})
    sung = (0.1 * torch.randn(1, 2 * 44100)).requires_grad_()
    names = {"projection": torch.nn.Linear(192, 8), "model": encoder.load("default"), "sung": sung}
    [example] = examples("docs/synthesis.md")
    exec(example, names)
    assert names["condition"].shape == (1, 8)
    names["loss"].backward()
    assert sung.grad.abs().sum() > 0


@pytest.mark.parametrize("card", ["encoder/default/README.md", "encoder/campplus.md"])
def test_an_encoder_is_loaded_as_its_card_says(card: str):
    if card == "encoder/campplus.md":
        try:
            published_weights()
        except FileNotFoundError as error:
            pytest.skip(str(error))
    names = {"wave": 0.1 * torch.randn(2, 32000), "sample_rate_hz": 16000}
    [example] = examples(card)
    exec(example, names)
    assert names["vectors"].shape == (2, 192)
