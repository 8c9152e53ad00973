"""Gemini on Vertex AI on this machine: batch prediction jobs that read and write `gs://`, answered as the service does.

What it answers is what the Gemini emulator answers to the same request. Its objects lie wherever the caller says
(`Storage`), and nothing of the package that is tested with it is known here.
"""

from batchdrop_local.emulators.vertex.faults import Faults
from batchdrop_local.emulators.vertex.server import VertexEmulator
from batchdrop_local.emulators.vertex.storage import Storage

__all__ = ["Faults", "Storage", "VertexEmulator"]
