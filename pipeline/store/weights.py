"""Weights of models from a prepared location, for machines that cannot reach a hub.

`store.weights` is a folder or a prefix with a folder for each model, which has the model's name: `htdemucs`, or
`owner/name` for `hf://owner/name`. From an object store, each machine fetches a model once.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pyarrow.fs as pafs

from pipeline.store.locations import WEIGHTS, is_remote, open_filesystem


def prepared(model: str) -> Path | None:
    """Return a local folder with the files of a model, or None if there is no such location or folder.

    Raises:
        OSError: the store fails or refuses.
    """
    place = os.environ.get(WEIGHTS)
    if not place:
        return None
    filesystem, path = open_filesystem(f"{place.rstrip('/')}/{model}")
    if filesystem.get_file_info(path).type != pafs.FileType.Directory:
        return None
    if not is_remote(place):
        return Path(path)
    kept = Path(tempfile.gettempdir()) / "vocatlas-weights" / hashlib.blake2b(place.encode(), digest_size=6).hexdigest()
    fetch(filesystem, path, kept / model)
    return kept / model


def fetch(fs: pafs.FileSystem, folder: str, local: Path) -> None:
    """Copy a folder to a local one that other workers use too, where it appears complete or not at all."""
    if local.is_dir():
        return
    local.parent.mkdir(parents=True, exist_ok=True)
    copy = tempfile.mkdtemp(dir=local.parent)
    pafs.copy_files(folder, copy, source_filesystem=fs)
    try:
        os.rename(copy, local)
    except OSError:
        shutil.rmtree(copy)
        if not local.is_dir():  # no other worker was first
            raise
