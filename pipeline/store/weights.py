"""Weights of models from one prepared place, for machines that reach no hub.

`store.weights` names a folder or a prefix that holds a folder for each model, called as the model is: `htdemucs`, and
`owner/name` for `hf://owner/name`. On an object store, each machine fetches a model once.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pyarrow.fs as pafs

from pipeline.store.locations import WEIGHTS, is_remote, open_filesystem


def prepared(model: str) -> Path | None:
    """Return a local folder with the files of a model, None where no place is named or it holds no such folder.

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
    """Copy a folder to a local one that other workers look for too, where it appears whole or not at all."""
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
