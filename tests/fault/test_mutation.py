"""Each guard is switched off in turn, and the suite must fail: a test that cannot fail proves nothing.

A mutant is one textual edit of a copy of the sources. It counts as caught when a test fails on a promise; a mutant that
does not import, or a suite that finds no test, is a mistake here. Runs with FAULT=full only: `make fault`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = "shared/batchdrop"
SIMULATION = ("tests/fault/test_simulation.py",)
GUARDS = ("tests/fault/test_guards.py",)
LOST_STATE = ("tests/fault/test_lost_state.py", "tests/fault/test_restored_state.py")
MACHINE = ("tests/fault/test_machine.py",)
LATE = ("tests/fault/test_late_refusals.py",)
TRANSITIONS = ("tests/unit/test_transitions.py",)
VERTEX = ("tests/contract/test_vertex_provider.py",)
VERTEX_FLOW = ("tests/flow/test_vertex.py",)


@dataclass(frozen=True)
class Mutant:
    """One guard, the edit that switches it off, and the tests that must notice."""

    guard: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]
    seeds: int = 0
    examples: int = 0


MUTANTS = (
    Mutant(
        "fence",
        f"{SHARED}/store.py",
        "if fence is not None and stored.value.fence != fence:",
        "if False:",
        GUARDS,
    ),
    Mutant(
        "fence, by chance",
        f"{SHARED}/store.py",
        "if fence is not None and stored.value.fence != fence:",
        "if False:",
        SIMULATION,
        seeds=400,
    ),
    Mutant(
        "quarantine",
        f"{SHARED}/steps/submit/reconcile.py",
        "if looked_at < quiet_until:",
        "if False:",
        GUARDS,
    ),
    Mutant(
        "quarantine, by chance",
        f"{SHARED}/steps/submit/reconcile.py",
        "if looked_at < quiet_until:",
        "if False:",
        SIMULATION,
        seeds=400,
    ),
    Mutant(
        "quarantine, by the state machine",
        f"{SHARED}/steps/submit/reconcile.py",
        "if looked_at < quiet_until:",
        "if False:",
        MACHINE,
        examples=400,
    ),
    Mutant(
        "the listing begins after the quarantine",
        f"{SHARED}/steps/submit/reconcile.py",
        "if looked_at < quiet_until:",
        "if context.now() < quiet_until:",
        ("tests/fault/test_pauses.py",),
    ),
    Mutant(
        "a look before the first create after a recovery",
        f"{SHARED}/steps/submit/create.py",
        "look_first = may_have_run_before(context, shard)",
        "look_first = shard.attempts == 0 and may_have_run_before(context, shard)",
        LOST_STATE,
    ),
    Mutant(
        "quarantine from the recovery on",
        f"{SHARED}/steps/submit/lost_state.py",
        "return known if recovered is None else max(known, recovered)",
        "return known",
        LOST_STATE,
    ),
    Mutant(
        "an unknown mark means lost documents",
        f"{SHARED}/core/state/stack.py",
        "return marked if known else marked.restored(now)",
        "return marked",
        LOST_STATE,
    ),
    Mutant(
        "the heartbeat stops a second stack",
        f"{SHARED}/core/state/stack.py",
        "and now < found.silent_at",
        "and False",
        LOST_STATE,
    ),
    Mutant(
        "a stack that starts alone claims its identity",
        f"{SHARED}/steps/take_over.py",
        "    claim(context, restored=restored)\n",
        "    if restored:\n        claim(context, restored=restored)\n",
        LOST_STATE,
    ),
    Mutant("deadline re-check", f"{SHARED}/steps/submit/create.py", "    if late:\n", "    if False:\n", GUARDS),
    Mutant(
        "precondition of records",
        f"{SHARED}/adapters/local/sqlite_documents.py",
        "SET {sets} WHERE id = ? AND version = ? AND write_id = ?",
        "SET {sets} WHERE id = ? AND ? > 0 AND ? <> ''",
        ("tests/contract/test_documents_contract.py",),
    ),
    Mutant(
        "outbox re-publish",
        f"{SHARED}/steps/poll/tick.py",
        '        wake(context, shard.value)\n        done.counts["woken"] += 1\n',
        '        done.counts["woken"] += 1\n',
        (*GUARDS, *SIMULATION),
        seeds=60,
    ),
    Mutant(
        "outbox re-publish, by the state machine",
        f"{SHARED}/steps/poll/tick.py",
        '        wake(context, shard.value)\n        done.counts["woken"] += 1\n',
        '        done.counts["woken"] += 1\n',
        MACHINE,
        examples=400,
    ),
    Mutant(
        "list all pages",
        f"{SHARED}/providers/by_name.py",
        "        if token is None:\n            break\n",
        "        break\n",
        GUARDS,
    ),
    Mutant(
        "a failed look-up is not “not found”",
        f"{SHARED}/providers/by_name.py",
        "            return Found(Sight.COULD_NOT_LOOK, code=error.code)\n",
        "            return Found(Sight.NONE, code=error.code)\n",
        GUARDS,
    ),
    Mutant(
        "the end of a job wakes who waits for it",
        f"{SHARED}/steps/next.py",
        "            wake_planning(context, job_id)\n",
        "            pass\n",
        ("tests/flow/test_identities.py",),
    ),
    Mutant(
        "a damaged identity loses no upload",
        f"{SHARED}/steps/stack.py",
        "        raise ConfigurationError(\n",
        "        from batchdrop.core.errors import PermanentError\n\n        raise PermanentError(\n",
        ("tests/fault/test_damaged_identity.py",),
    ),
    Mutant(
        "could not look is not none",
        f"{SHARED}/steps/submit/reconcile.py",
        "    if found.sight is Sight.COULD_NOT_LOOK:\n",
        "    if False:\n",
        GUARDS,
    ),
    Mutant(
        "a row of another shard or stack is nobody's",
        f"{SHARED}/core/wire.py",
        "if found and found[1] == wire else 0",
        "if found else 0",
        ("tests/contract/test_a_new_provider.py",),
    ),
    Mutant(
        "first recorded adoption is final",
        f"{SHARED}/steps/submit/reconcile.py",
        "    for other in others:\n        if may_cancel(context, other):\n",
        "    for other in ():\n        if may_cancel(context, other):\n",
        GUARDS,
    ),
    Mutant(
        "a look names its batch",
        f"{SHARED}/core/state/shard.py",
        "return self.state is ShardState.SUBMITTED and self.batch.name == batch",
        "return self.state is ShardState.SUBMITTED",
        LATE,
    ),
    Mutant(
        "a batch that ran nothing is never adopted",
        f"{SHARED}/providers/by_name.py",
        "batch.display_name == intent.name and batch.name not in intent.past",
        "batch.display_name == intent.name",
        LATE,
    ),
    Mutant(
        "a batch that ran nothing is no orphan",
        f"{SHARED}/core/state/shard.py",
        "return name in (self.batch.name, *self.never_adopted)",
        "return name in (self.batch.name, *self.batch.duplicates)",
        LATE,
    ),
    Mutant(
        "nobody leaves CREATING without knowing",
        f"{SHARED}/core/state/shard.py",
        "        if self.state is ShardState.CREATING:\n",
        "        if False:\n",
        TRANSITIONS,
    ),
    Mutant(
        "a job is looked for by its own label",
        f"{SHARED}/providers/vertex/api.py",
        """wanted = partial(self._page, filter=f'labels.batchdrop_shard="{shard}"')""",
        """wanted = partial(self._page, filter=f'labels.batchdrop_shard="{shard[1:]}"')""",
        VERTEX,
    ),
    Mutant(
        "the service filters: one call, not all pages",
        f"{SHARED}/providers/vertex/api.py",
        """wanted = partial(self._page, filter=f'labels.batchdrop_shard="{shard}"')""",
        "wanted = self._page; del shard",
        VERTEX,
    ),
    Mutant(
        "an id that came back is believed",
        f"{SHARED}/providers/vertex/joining.py",
        "        if found.key is not None:\n            return row\n",
        "        row = msgspec.json.encode({**msgspec.json.decode(row), 'key': None})\n",
        VERTEX,
    ),
    Mutant(
        "a row fails by its status text",
        f"{SHARED}/providers/vertex/envelope.py",
        "        if row.status:\n",
        "        if False:\n",
        VERTEX,
    ),
    Mutant(
        "a job is read when it is settled",
        f"{SHARED}/steps/poll/look.py",
        "settled = not facts.settle_seconds or ref.settled(batch, now, facts)",
        "settled = True",
        VERTEX_FLOW,
    ),
    Mutant(
        "two looks are some time apart",
        f"{SHARED}/core/state/batch.py",
        "now >= self.said_at + apart",
        "now >= self.said_at",
        VERTEX_FLOW,
    ),
)


def copied(folder: Path) -> Path:
    """Copy what the tests need."""
    for name in ("shared", "infra", "tests", "functions", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, folder / name)
    return folder


def run(folder: Path, mutant: Mutant) -> tuple[int, str]:
    """Run the mutant's tests; return the exit code and what was printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder / 'shared'}:{folder}",
        "FAULT": "",
        "SEED": "1",
        "SEEDS": str(mutant.seeds or 1),
        "EXAMPLES": str(mutant.examples or 1),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=1",
        *mutant.tests,
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(os.environ.get("FAULT") != "full", reason="the mutation check runs in `make fault`")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_the_suite_fails_when_a_guard_is_switched_off(mutant: Mutant, tmp_path: Path) -> None:
    folder = copied(tmp_path)
    path = folder / mutant.file
    source = path.read_text(encoding="utf-8")
    assert source.count(mutant.text) == 1, "the guard has moved: mend the mutant"
    path.write_text(source.replace(mutant.text, mutant.instead), encoding="utf-8")
    begun = time.monotonic()
    code, printed = run(folder, mutant)
    assert code == 1, f"{mutant.guard}: nothing failed (exit {code})\n{printed[-2000:]}"
    assert not re.search(r"ImportError|SyntaxError|NameError|IndentationError|no tests ran", printed), printed[-2000:]
    seed = re.search(r"seed (\d+) failed", printed)
    by = f"seed {seed[1]}" if seed else (re.search(r"FAILED (\S+)", printed) or [printed[-80:]] * 2)[1]
    print(f"{mutant.guard:<40} caught by {by} in {time.monotonic() - begun:.0f} s")
