"""A language host: runs a Pulumi program as `__main__`, against the monitor and the engine it is told of.

It does what `pulumi-language-python-exec` of the Pulumi CLI does (pulumi/pulumi, sdk/python/cmd, read 2026-11-25): the
configuration comes from PULUMI_CONFIG and PULUMI_CONFIG_SECRET_KEYS as text, the program's folder is the working
directory and the first entry of the path, an error that a user can mend is logged as one sentence and ends with 1, any
other is logged with its trace and ends with 32. It is a file of its own and imports nothing of this repository, so that
a program which forgets to set its path fails here as it would fail there.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import pulumi
from pulumi.runtime import Settings, configure, get_config_env, get_config_secret_keys_env, run_in_stack, set_all_config

CRASHED = 32
THREADS = 64


def main() -> int:
    """Run the program named on the command line; return the exit code."""
    parser = argparse.ArgumentParser()
    for name in ("monitor", "engine", "project", "stack", "dry-run", "program"):
        parser.add_argument(f"--{name}", required=True)
    asked = parser.parse_args()
    set_all_config(get_config_env(), get_config_secret_keys_env())
    configure(
        Settings(
            monitor=asked.monitor,
            engine=asked.engine,
            project=asked.project,
            stack=asked.stack,
            parallel=THREADS,
            dry_run=asked.dry_run == "true",
            organization="organization",
            root_directory=asked.program,
        )
    )
    sys.path.pop(0)
    os.chdir(asked.program)
    return _run(asked.program)


def _run(program: str) -> int:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=THREADS)
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(run_in_stack(lambda: _as_main(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:  # noqa: BLE001 - the host shows whatever a program raises
        pulumi.log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
        return CRASHED
    finally:
        executor.shutdown(wait=True)
        loop.close()
    return 0


def _as_main(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())
