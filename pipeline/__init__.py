"""The stages of a catalogue run as plain workers over audio and Parquet; nothing here knows of Ray.

    from pipeline import read_embeddings, read_voices

Names are imported on first use, so that `import pipeline.config` stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.store.tables import read_embeddings, read_voices

__all__ = ["read_embeddings", "read_voices"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from pipeline.store import tables

        return getattr(tables, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
