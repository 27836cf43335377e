"""bfloat16 is used only where the hardware multiplies it."""

import pytest
import torch

from encoder.precision import multiplies_bfloat16

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("capabilities", [{"avx512_bf16": True}, {"avx512_bf16": False}, {}])
def test_a_processor_multiplies_it_if_it_has_the_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert multiplies_bfloat16(CPU) == capabilities.get("avx512_bf16", False)


def test_a_gpu_that_emulates_it_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not multiplies_bfloat16(GPU)


def test_other_devices_do_not_count() -> None:
    assert not multiplies_bfloat16(torch.device("meta"))
