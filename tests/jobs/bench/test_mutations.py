import numpy as np

from jobs.bench import mutations


def test_a_seed_always_gives_the_same_files(tmp_path):
    files = [("flac", b"fLaC" + bytes(range(256)) * 20), ("mp3", bytes(5000))]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        mutations.generate(tmp_path / name, files, 24, seed=3)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert len(one) == 24
    assert {name.split(" ", 1)[1].rpartition(".")[0] for name in one} >= {"cut short", "behind an ID3 tag"}


def test_every_mutation_accepts_a_file_of_one_byte():
    for mutate in mutations.MUTATIONS.values():
        assert isinstance(bytes(mutate(bytearray(b"x"), b"y", np.random.default_rng(0))), bytes)
