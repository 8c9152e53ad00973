"""A pause between granting roles and needing them: a grant takes effect seconds after it was given.

Google's own example of a function with a build account waits for 60 s (provider docs, cloudfunctions2_function).
The pause is kept in the state, so only the first deployment waits. Its provider has a Python package, which is not
needed to declare one resource.
"""

from __future__ import annotations

import pulumi

SETTLE_SECONDS = 60
VERSION = "0.1.1"
PLUGIN = "github://api.github.com/pulumiverse/pulumi-time"
"""Where Pulumi fetches the provider `time`, as its Python package of this version says."""


class Pause(pulumi.CustomResource):
    """Wait after everything it depends on, when it is made."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        """Wait for `SETTLE_SECONDS`."""
        inputs = {"createDuration": f"{SETTLE_SECONDS}s"}
        where = pulumi.ResourceOptions(version=VERSION, plugin_download_url=PLUGIN)
        super().__init__(
            "time:index/sleep:Sleep",
            name,
            inputs,
            pulumi.ResourceOptions.merge(opts, where),
        )
