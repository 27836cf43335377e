import pytest

import encoder
from pipeline.stages import encoders
from pipeline.store.errors import ConfigError


def test_an_encoder_is_found_by_its_id_or_as_the_last_trained_one(workspace, tiny):
    with pytest.raises(ConfigError, match="run the train stage first"):
        encoders.find_encoder(workspace, "trained")
    for name in ("config.yaml", "model.safetensors"):
        workspace.write_bytes(f"encoders/tiny-1/{name}", (tiny / name).read_bytes())
    assert encoders.find_encoder(workspace, "trained") == workspace.path("encoders/tiny-1")
    assert encoders.find_encoder(workspace, "tiny-1") == workspace.path("encoders/tiny-1")


def test_an_encoder_of_a_hub_may_come_from_store_weights(workspace, tiny, tmp_path, monkeypatch):
    (tmp_path / "weights" / "owner").mkdir(parents=True)
    (tmp_path / "weights" / "owner" / "name").symlink_to(tiny)
    monkeypatch.setenv("VOCATLAS_WEIGHTS", str(tmp_path / "weights"))
    assert encoders.load_encoder(workspace, "hf://owner/name").encoder_id == encoder.load(tiny).encoder_id
    assert encoders.find_encoder(workspace, "default") == "default"
    with pytest.raises(ConfigError, match="embed.encoder=no-such"):
        encoders.load_encoder(workspace, "no-such")


def test_clips_with_too_low_a_sample_rate_are_refused():
    encoders.check_rate("embed.encoder=x", 16000, 16000)
    with pytest.raises(ConfigError, match="embed.encoder=x needs clips at 44100 Hz.*set shard.sample_rate_hz=44100"):
        encoders.check_rate("embed.encoder=x", 44100, 16000)
