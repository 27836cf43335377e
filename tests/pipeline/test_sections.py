import pytest
from pydantic import ValidationError

from encoder.frozen import Frozen
from pipeline.sections import Compute, fingerprint


class Section(Frozen):
    level: float = 1.0
    compute: Compute = Compute()


def test_the_fingerprint_covers_what_determines_the_result():
    assert fingerprint(Section()) == fingerprint(Section(compute=Compute(workers_max=8)))
    assert fingerprint(Section()) != fingerprint(Section(level=2.0))
    assert fingerprint(Section(), "encoder-a") != fingerprint(Section(), "encoder-b")


def test_a_pool_with_a_maximum_below_its_minimum_is_refused():
    with pytest.raises(ValidationError, match="workers_max"):
        Compute(workers_min=4, workers_max=2)
