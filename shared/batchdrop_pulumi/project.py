"""The project: its APIs, its number, and the agents of Google's services.

A fresh project is the normal case. Cloud Resource Manager comes first, because enabling any other API asks it for the
project; what is looked up is looked up after the APIs; agents are made, because nothing else makes them in time.
"""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import StackArgs

FIRST = "cloudresourcemanager"
APIS = (
    "artifactregistry",
    "cloudbuild",
    "cloudfunctions",
    "cloudscheduler",
    "firestore",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "secretmanager",
    "storage",
)
OF_KINDS: Final = {"gemini": ("generativelanguage",)}
"""What a kind of provider needs besides."""


def needed(args: StackArgs) -> list[str]:
    """Return the APIs of the providers that a stack has, each once."""
    kinds = {provider.kind for provider in args.configured().values()}
    return sorted({api for kind in kinds for api in OF_KINDS.get(kind, ())})


class Project(pulumi.ComponentResource):
    """What must be true of a project before anything is made in it."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Switch the APIs on, then look and make the agents."""
        super().__init__("batchdrop:index:Project", f"{name}-project", None, opts)
        self._stem, self._args = name, args
        first = self._api(FIRST, [])
        self.apis: list[pulumi.Resource] = [
            first,
            *(self._api(api, [first]) for api in (*APIS, *needed(args))),
        ]
        after = pulumi.InvokeOutputOptions(parent=self, depends_on=self.apis)
        self.number = gcp.organizations.get_project_output(
            project_id=args.project, opts=after
        ).number
        agent = gcp.storage.get_project_service_account_output(
            project=args.project, opts=after
        ).email_address
        self.storage_agent = pulumi.Output.concat("serviceAccount:", agent)
        pubsub = gcp.projects.ServiceIdentity(
            f"{name}-pubsub-agent",
            project=args.project,
            service="pubsub.googleapis.com",
            opts=pulumi.ResourceOptions(parent=self, depends_on=self.apis),
        )
        self.pubsub_agent = pubsub.member
        self.register_outputs({})

    def _api(self, api: str, after: list[pulumi.Resource]) -> pulumi.Resource:
        return gcp.projects.Service(
            f"{self._stem}-{api}",
            project=self._args.project,
            service=f"{api}.googleapis.com",
            disable_on_destroy=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
