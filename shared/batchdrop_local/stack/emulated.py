"""The stack on Google's Pub/Sub and Firestore emulators and a local Cloud Storage server.

The functions run with the adapters of the cloud; only addresses differ. The documents are lost with the emulator: with
the real API, which is paid, earlier uploads are not run again then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from typing import Protocol

from batchdrop.adapters.cloud.gcs import GcsObjects
from batchdrop.adapters.cloud.pubsub import PubSubTopics
from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings, load
from batchdrop.ports import ObjectInfo
from batchdrop.wiring import build
from batchdrop_local.emulators import google_jars
from batchdrop_local.emulators.google_jars import PROJECT
from batchdrop_local.emulators.storage import StorageEmulator, Stored
from batchdrop_local.folder.notifying import notify
from batchdrop_local.stack import functions
from batchdrop_local.stack.children import Children
from batchdrop_local.stack.owning import owned
from batchdrop_local.stack.pubsub_setup import set_up
from batchdrop_local.stack.stack import (
    ROUTES,
    Options,
    Stack,
    answering,
    begin_alone,
    dropping,
    export,
    gemini,
    variables_of,
)
from batchdrop_local.stack.ticking import nothing_open, ticking

PREFIX = "batchdrop"


class Serving(Protocol):
    """Something that serves the three functions."""

    def url_of(self, name: str) -> str:
        """Return the address of one function."""
        ...


@contextmanager
def emulated(
    options: Options,
    serve: Callable[[int], AbstractContextManager[Serving]] = functions.served,
) -> Generator[Stack]:
    """Run the stack until the block ends; `serve` starts the functions, given the port wanted.

    Raises:
        FolderError: Another process runs a stack on the folder, it is a copy, or its data is of another format.
        ChildDiedError: An emulator is missing or did not start.
    """
    root = options.root
    with ExitStack() as running:
        running.enter_context(owned(root, moved=options.moved))
        children = running.enter_context(Children(options.say))
        gemini_url = gemini(children, options)
        google = google_jars.started(children, root / "logs")
        topics = PubSubTopics(PROJECT, PREFIX)
        bucket = "input"

        def announce(stored: Stored) -> None:
            if stored.bucket == bucket:
                notify(topics, ObjectInfo(**asdict(stored)))

        storage = running.enter_context(
            StorageEmulator(root / "buckets", on_finalize=announce, log=log)
        )
        variables = {
            **variables_of(options, gemini_url),
            **running.enter_context(answering(options, GcsObjects(PROJECT))),
            **google.environment(),
            "STORAGE_EMULATOR_HOST": storage.url,
            "BATCHDROP_PROJECT": PROJECT,
            "BATCHDROP_TOPIC_PREFIX": PREFIX,
            "BATCHDROP_INPUT_BUCKET": bucket,
            "BATCHDROP_DOCUMENTS_LAST": str(not options.live),
        }
        export(running, variables)
        serving = running.enter_context(serve(options.functions_port))
        set_up(
            PROJECT,
            PREFIX,
            {topic: serving.url_of(name) for topic, name in ROUTES.items()},
        )
        context = build(load(CommonSettings))
        begin_alone(context, restored=options.moved)
        idle = partial(nothing_open, context)
        running.enter_context(
            ticking(serving.url_of("poll"), options.tick_seconds, idle=idle)
        )
        stack = Stack(
            context,
            variables,
            serving.url_of,
            gemini_url,
            children,
            root / "input",
            notifies=True,
        )
        running.enter_context(dropping(stack, options).watched())
        yield stack
