import numpy as np
import soundfile
import torch

from jobs.bench.quality import si_sdr
from jobs.bench.reference import plain_spleeter, save_htdemucs_repo
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.separators import load

RATE = 44100


def test_the_plain_loop_gives_our_vocals(tmp_path):
    generator = np.random.default_rng(4)
    mix = perform(draw_singers(["ann"], generator), 6.0, "keys", RATE, generator).mix[:, : 6 * RATE]
    soundfile.write(tmp_path / "mix.wav", mix.T, RATE, subtype="FLOAT")
    plain_spleeter()(tmp_path / "mix.wav", tmp_path / "vocals.flac")
    plain, rate = soundfile.read(tmp_path / "vocals.flac", dtype="float32")
    ours = load("spleeter", precision="fp32").separate(torch.from_numpy(mix)).mean(0).numpy()
    assert (rate, plain.shape) == (RATE, ours.shape)
    assert si_sdr(ours, plain) > 20  # the plain loop pads its last segment with silence, which ours does not see


def test_the_untrained_models_are_like_the_published_ones(tmp_path):
    save_htdemucs_repo(tmp_path, channels=8, bottom_channels=16, t_layers=1, segment=1)
    single, bag = load(str(tmp_path / "htdemucs")), load(str(tmp_path / "htdemucs_ft"))
    assert len(single.parts) == len(bag.parts) == 1
    weights = [next(separator.parts[0][0].parameters()) for separator in (single, bag)]
    assert torch.equal(*weights)  # the bag's vocals come from its fourth model
