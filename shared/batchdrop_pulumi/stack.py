"""The whole stack as one component, in the order its parts need one another.

project -> buckets, database, topics, images, secrets, accounts -> roles -> functions -> subscriptions, clock
        -> notification; beside them metrics, dashboard, alerts, people
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop.ports import Topic
from batchdrop_pulumi.access import People, ServiceRoles
from batchdrop_pulumi.alerts import Alerts
from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.buckets import Buckets
from batchdrop_pulumi.dashboard import make_dashboard
from batchdrop_pulumi.database import Database
from batchdrop_pulumi.functions import Functions, Surroundings
from batchdrop_pulumi.identities import BuildRoles, Identities
from batchdrop_pulumi.images import Images
from batchdrop_pulumi.messaging import Subscriptions, Topics, announce_uploads
from batchdrop_pulumi.metrics import Metrics
from batchdrop_pulumi.pause import Pause
from batchdrop_pulumi.project import Project
from batchdrop_pulumi.roles import Resources
from batchdrop_pulumi.schedule import call_by_the_clock
from batchdrop_pulumi.secrets import Secrets
from batchdrop_pulumi.services import PUSHED, SERVICES, Caller, Place


class Stack(pulumi.ComponentResource):
    """Uploads in, rows out: everything between the two buckets.

    The outputs below are resolved when the resources are made; `dashboard` is the path of its page in the console.
    """

    input_bucket: pulumi.Output[str]
    output_bucket: pulumi.Output[str]
    work_bucket: pulumi.Output[str]
    completed_topic: pulumi.Output[str]
    """The id of the topic with one message for each finished job, `projects/P/topics/NAME`."""
    database: pulumi.Output[str]
    dashboard: pulumi.Output[str]
    service_accounts: pulumi.Output[dict[str, str]]
    """Function, caller or `build` -> the e-mail address of its account."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare everything.

        Args:
            name: Begins the names of the resources in the program; two stacks of a program have different ones.
            args: What is chosen.
            opts: The parent, the provider and whatever else a component takes.
        """
        super().__init__("batchdrop:index:Stack", name, None, opts)
        self._stem, self._args = name, args
        self._project = Project(name, args, pulumi.ResourceOptions(parent=self))
        self._own = pulumi.ResourceOptions(parent=self, depends_on=self._project.apis)
        self._buckets = Buckets(name, args, self._own)
        self._database = Database(name, args, self._own)
        self._topics = Topics(name, args, self._own)
        self._identities = Identities(name, args, self._own)
        functions = self._functions()
        subscriptions = self._listeners(functions)
        self._watching()
        People(name, args, self._resources(), subscriptions.dead, self._own)
        self._outputs()

    def _resources(self) -> Resources:
        return Resources(self._buckets.by_place, self._topics.live, self._database.name)

    def _functions(self) -> Functions:
        name, args, own = self._stem, self._args, self._own
        secrets, images = Secrets(name, args, own), Images(name, args, own)
        build = BuildRoles(
            name, args, self._project, self._identities, self._buckets, images, own
        )
        roles = ServiceRoles(
            name, args, self._resources(), self._identities, secrets, own
        )
        settled = Pause(
            f"{name}-settled",
            pulumi.ResourceOptions(parent=self, depends_on=[build, roles]),
        )
        ready = [settled, build, roles, secrets, self._database]
        around = Surroundings(
            self._buckets, images, self._identities, self._database.name, ready
        )
        return Functions(name, args, around, own)

    def _listeners(self, functions: Functions) -> Subscriptions:
        """Connect the functions: each caller after its function may be called, the notification after all."""
        name, args, callers = self._stem, self._args, self._identities.accounts
        after = pulumi.ResourceOptions(parent=self, depends_on=[functions])
        subscriptions = Subscriptions(
            name,
            args,
            self._topics,
            {
                topic: functions.address(service.name)
                for topic, service in PUSHED.items()
            },
            callers[Caller.PUSH].email,
            self._project.pubsub_agent,
            after,
        )
        for service in SERVICES:
            if Caller.SCHEDULER in service.callers:
                address = functions.address(service.name)
                call_by_the_clock(
                    name,
                    args,
                    service.name,
                    address,
                    callers[Caller.SCHEDULER].email,
                    after,
                )
        announce_uploads(
            name,
            args,
            self._buckets.by_place[Place.INPUT],
            self._topics.live[Topic.UPLOADS],
            self._project.storage_agent,
            self,
            [subscriptions],
        )
        return subscriptions

    def _watching(self) -> None:
        name, args = self._stem, self._args
        Metrics(name, args, self._own)
        Alerts(name, args, self._own)
        self._page: gcp.monitoring.Dashboard = make_dashboard(name, args, self._own)

    def _outputs(self) -> None:
        buckets, accounts = self._buckets.by_place, self._identities.accounts
        self.input_bucket = buckets[Place.INPUT].name
        self.output_bucket = buckets[Place.OUTPUT].name
        self.work_bucket = buckets[Place.WORK].name
        self.completed_topic = self._topics.live[Topic.JOBS_COMPLETED].id
        self.database = self._database.name
        self.dashboard = self._page.id
        self.service_accounts = pulumi.Output.all(
            **{name: account.email for name, account in accounts.items()}
        )
        self.register_outputs(
            {
                "input_bucket": self.input_bucket,
                "output_bucket": self.output_bucket,
                "work_bucket": self.work_bucket,
                "completed_topic": self.completed_topic,
                "database": self.database,
                "dashboard": self.dashboard,
                "service_accounts": self.service_accounts,
            }
        )
