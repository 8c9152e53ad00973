"""A Gemini Developer API on this machine: files, batches, caches, tokens, single answers, and every fault we fear.

    with GeminiEmulator(data_dir=folder) as gemini: ... gemini.url

It imports nothing of batchdrop and keeps its data on disk; the unmodified SDKs talk to it.
"""

from batchdrop_local.emulators.gemini.faults import CallFault, Faults, RowFaults
from batchdrop_local.emulators.gemini.server import GeminiEmulator

__all__ = ["CallFault", "Faults", "GeminiEmulator", "RowFaults"]
