import pytest
from pydantic import ValidationError

from encoder.frozen import Frozen


class Section(Frozen):
    level: float = 1.0


def test_unknown_keys_and_changes_are_refused():
    with pytest.raises(ValidationError, match="extra"):
        Section(levle=2.0)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="frozen"):
        Section().level = 3.0  # type: ignore[misc]
