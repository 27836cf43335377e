import numpy as np
import pytest

from jobs.bench import embedders
from tests.jobs.bench.test_embed import write_tones


def test_our_method_gives_a_vector_for_each_file_as_the_plain_one_does(tmp_path):
    paths = sorted(write_tones(tmp_path).glob("*.wav"))
    fast, heard_s = embedders.ours()(paths)
    slow, _ = embedders.plain()(paths)
    assert heard_s == pytest.approx(19.05, abs=0.01)
    np.testing.assert_allclose(np.linalg.norm(fast, axis=1), 1, atol=1e-5)
    assert np.sum(fast * slow, axis=1).min() > 0.99
    assert fast[0] @ fast[1] < 0.99
