"""The model's configuration is frozen and strict, and refuses what cannot be built."""

import pytest
from pydantic import ValidationError

from encoder.config import EncoderConfig, preset


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValidationError, match="heads"):
        EncoderConfig(width=100, heads=3)
    with pytest.raises(ValidationError, match="band"):
        EncoderConfig.model_validate({"front_end": {"sample_rate_hz": 16000, "high_hz": 16000}})
    with pytest.raises(ValidationError, match="CAM"):
        EncoderConfig(stem="campplus", width=256)


def test_unknown_keys_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        EncoderConfig.model_validate({"widht": 64})
    with pytest.raises(ValidationError, match="frozen"):
        preset("tiny").width = 3  # type: ignore[misc]
