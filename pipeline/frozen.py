"""The base of every config model: frozen, unknown keys refused."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """A config section: immutable, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Compute(Frozen):
    """How a stage is spread over a Ray cluster; it never changes a result, so no fingerprint holds it."""

    workers_min: int = Field(1, ge=1, description="actors that are always there")
    workers_max: int = Field(1, ge=1, description="actors the pool may grow to")
    cpus: float = Field(1, ge=0, description="CPU cores per actor")
    gpus: float = Field(0, ge=0, description="GPUs per actor")
    batch: int = Field(16, ge=1, description="items per call of a worker, and per part file")

    @model_validator(mode="after")
    def _ordered(self) -> "Compute":
        if self.workers_max < self.workers_min:
            raise ValueError(f"workers_max ({self.workers_max}) is below workers_min ({self.workers_min})")
        return self


def fingerprint(*parts: Any) -> str:
    """Return 12 hex digits that identify configs and values by content, `compute` sections left out."""
    plain = [part.model_dump(mode="json", exclude={"compute"}) if isinstance(part, BaseModel) else part
             for part in parts]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
