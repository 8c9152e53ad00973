"""What a team writes instead: upload, create, poll, download, parse, write. `script.py INPUT OUTPUT` with google-genai.

As ai.google.dev/gemini-api/docs/batch-mode shows it, with an error kept as a row; it looks at once, then each second.
"""

import json
import sys
import time
from typing import Any

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash-lite"
ENDED = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"}
POLL_SECONDS = 1.0


def main(source: str, target: str) -> None:
    client = genai.Client()
    config = types.UploadFileConfig(display_name="requests", mime_type="application/jsonl")
    uploaded = client.files.upload(file=source, config=config)
    job = client.batches.create(model=MODEL, src=str(uploaded.name), config={"display_name": "my-batch-job"})
    job = client.batches.get(name=str(job.name))
    while job.state is None or job.state.name not in ENDED:
        time.sleep(POLL_SECONDS)
        job = client.batches.get(name=str(job.name))
    if job.state.name != "JOB_STATE_SUCCEEDED" or job.dest is None:
        sys.exit(f"the batch ended {job.state.name}: {job.error}")
    content = client.files.download(file=str(job.dest.file_name))
    with open(target, "w", encoding="utf-8") as out:  # noqa: PTH123 - as the documentation does it
        for line in content.decode().split("\n"):
            if line:
                out.write(json.dumps(row(json.loads(line)), ensure_ascii=False) + "\n")


def row(result: dict[str, Any]) -> dict[str, Any]:
    if "response" not in result:
        return {"key": result.get("key"), "error": result.get("error")}
    parts = result["response"]["candidates"][0]["content"]["parts"]
    return {"key": result["key"], "text": parts[0]["text"], "usage": result["response"]["usageMetadata"]}


if __name__ == "__main__":
    main(*sys.argv[1:])
