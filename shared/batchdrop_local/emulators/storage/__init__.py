"""A Cloud Storage server for unmodified clients.

    with StorageEmulator(folder) as storage: ... storage.url

It imports nothing of batchdrop and keeps its objects in plain files.
"""

from batchdrop_local.emulators.storage.server import StorageEmulator
from batchdrop_local.emulators.storage.store import Stored

__all__ = ["StorageEmulator", "Stored"]
