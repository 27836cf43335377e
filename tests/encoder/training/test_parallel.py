"""Gathering over ranks, in one process and in two."""

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing

from encoder.training.parallel import any_rank, gather, mean_over_ranks


def test_a_single_process_gathers_its_own_rows() -> None:
    x = torch.randn(3, 2)
    assert gather(x) is x
    assert float(mean_over_ranks(torch.tensor(6.0), torch.tensor(4))) == 1.5
    assert any_rank(True, torch.device("cpu"))
    assert not any_rank(False, torch.device("cpu"))


def two_ranks(rank: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    x = (torch.arange(4.0).reshape(2, 2) + 10 * rank).requires_grad_()
    everything = gather(x)
    # Each rank weights the rows differently, and each row must get the gradients of both ranks.
    (everything * (rank + 1) * torch.tensor([[1.0], [2.0], [3.0], [4.0]])).sum().backward()
    own = torch.tensor(2.0 + rank, requires_grad=True)
    total = mean_over_ranks(own, torch.tensor(1 + rank))
    total.backward()
    found = {
        "all": everything.detach(),
        "gradient": x.grad,
        "total": total.detach(),
        "total_gradient": own.grad,
        "any": torch.tensor([any_rank(rank == 1, x.device), any_rank(False, x.device)]),
    }
    torch.save(found, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_rows_and_gradients_are_shared_between_ranks(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(two_ranks, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    expected = torch.tensor([[0.0, 1], [2, 3], [10, 11], [12, 13]])
    assert torch.equal(first["all"], expected)
    assert torch.equal(second["all"], expected)
    assert first["gradient"].tolist() == [[3.0, 3.0], [6.0, 6.0]]
    assert second["gradient"].tolist() == [[9.0, 9.0], [12.0, 12.0]]
    assert float(first["total"]) == float(second["total"]) == pytest.approx(5 / 3)
    # DDP takes the mean over ranks of each rank's gradient; that of the whole is 1 / 3.
    assert float(first["total_gradient"]) == float(second["total_gradient"]) == pytest.approx(2 / 3)
    assert first["any"].tolist() == [True, False]
