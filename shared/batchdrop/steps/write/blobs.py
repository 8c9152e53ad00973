"""Binary answers become objects beside the rows: `files/<line>-<n>.<ext>`, named in the row.

The same answer gives the same object: one that exists already is ours, so a retry writes nothing twice.
"""

from __future__ import annotations

import msgspec

from batchdrop.core.errors import ObjectExistsError
from batchdrop.core.logs import log
from batchdrop.core.result.inline import Inline
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.dialects.dialect import Media
from batchdrop.dialects.line import Json
from batchdrop.steps.context import Context


def put_away(
    context: Context[CommonSettings],
    job: Job,
    media: Media,
    answer: Answer,
    line: InputLine,
    shard: Shard,
) -> Answer:
    """Return the answer with its binary parts in objects of the output bucket, named in `files` and `response`."""
    body, found = media.taken_out(answer.response or b"{}")
    prefix = names.output_prefix(job.source.object, job.job_id)
    files: list[dict[str, object]] = []
    total = 0
    for number, (holder, inline) in enumerate(found, 1):
        try:
            extension = inline.extension()
            name = names.file(line.number, number, shard.round, extension)
            size = _put(context, prefix + name, inline)
        except ValueError:
            _leave(job, line, holder, inline)
            continue
        holder["file"] = name
        total += size
        files.append({"name": name, "mime_type": inline.mime, "bytes": size})
    return msgspec.structs.replace(
        answer,
        files=msgspec.json.encode(files),
        file_count=len(files),
        file_bytes=total,
        response=msgspec.json.encode(body),
    )


def _leave(job: Job, line: InputLine, holder: Json, inline: Inline) -> None:
    """Put a part back that is not what it says."""
    log(
        "a binary part is not base64",
        severity="WARNING",
        job_id=job.job_id,
        line=line.number,
    )
    holder["data"] = inline.data


def _put(context: Context[CommonSettings], name: str, inline: Inline) -> int:
    """Write the bytes unless they are there; return how many there are."""
    size = 0
    try:
        with context.objects.create(
            context.settings.output_bucket, name, content_type=inline.mime
        ) as writer:
            for piece in inline.decoded():
                size += len(piece)
                writer.write(piece)
            writer.close()
    except ObjectExistsError:
        size = size or sum(map(len, inline.decoded()))
    return size
