"""Client: the connection to a Temporal server, and its errors as ours."""

from __future__ import annotations

import functools
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.converter import DataConverter
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from agentsquad import __version__
from agentsquad.kernel import hashing
from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.temporal.adapters.claim import Claim, converter
from agentsquad.runtime.temporal.adapters.driving import TYPE
from agentsquad.runtime.temporal.address import Address, Credentials
from agentsquad.runtime.temporal.contract import (
    AddressError,
    NamespaceMissingError,
    NoWorkerError,
    OtherLogError,
    SkewError,
    UnreachableError,
)

IDENTITY = re.compile(r"squad/(?P<version>\S+) registry=(?P<registry>\S+) log=(?P<log>\S+) .*")
SHORT = 12  # letters of a digest that tell two apart


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as the server last saw it."""

    identity: str
    version: str
    registry: str
    log: str
    seen_ms: int


@functools.cache
def runtime() -> Runtime:
    """Return what runs the library's own threads; it logs as we do, and never
    to the standard output, which is for results."""
    logger = logging.getLogger("agentsquad.temporal")
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(logger=logger),
            )
        )
    )


async def fingerprint(store: EventStore) -> str | None:
    """Return what tells this log from any other, None while it is empty."""
    first = await store.read(limit=1)
    if not first:
        return None
    event = first[0]
    return hashing.digest([event.stream, event.at, event.payload_digest])[7 : 7 + SHORT]


def registry_mark(registry: Registry) -> str:
    """Return the short form of a registry's digest."""
    return str(registry.digest).removeprefix("sha256:")[:SHORT]


def identity(registry: Registry, log: str) -> str:
    """Return what a worker calls itself, for others to compare with
    themselves."""
    place = f"{os.getpid()}@{socket.gethostname()}"
    return f"squad/{__version__} registry={registry_mark(registry)} log={log} {place}"


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn what the server or the way to it says into errors of ours."""
    try:
        yield
    except RPCError as error:
        raise _ours(address, error) from error


def _ours(address: Address, error: RPCError) -> SquadError:
    if error.status is RPCStatusCode.NOT_FOUND and "amespace" in error.message:
        return NamespaceMissingError(
            f"Temporal at {address.target} has no namespace {address.namespace!r}",
            hint=f"temporal operator namespace create --namespace {address.namespace}",
        )
    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED):
        return UnreachableError(
            f"Temporal at {address.target} does not answer", private=error.message
        )
    return UnavailableError(
        f"Temporal at {address.target} refused: {error.message}", code="temporal.refused"
    )


def secured(address: Address, known: Credentials) -> TLSConfig | bool:
    """Return how the way to a cluster is secured; any credential asks for
    that."""
    if not address.tls and known == Credentials():
        return False
    return TLSConfig(
        server_root_ca_cert=_pem(known.authority),
        client_cert=_pem(known.certificate),
        client_private_key=_pem(known.private_key),
    )


def _pem(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise AddressError(
            f"cannot read {path}: {error.strerror}", hint="SQUAD_TEMPORAL_* name files in PEM"
        ) from error


class Cluster:
    """A namespace and a queue of a server, as an installation uses them."""

    def __init__(self, address: Address, client: Client, log: str) -> None:
        self.address = address
        self.client = client
        self.log = log

    @classmethod
    async def connect(
        cls,
        address: Address,
        log: str,
        *,
        who: str = "squad",
        data: DataConverter | None = None,
        known: Credentials | None = None,
    ) -> Cluster:
        """Connect; UnreachableError or NamespaceMissingError when that
        fails."""
        known = known or Credentials()
        tls = secured(address, known)
        try:
            client = await Client.connect(
                address.target,
                tls=tls,
                api_key=known.api_key,
                namespace=address.namespace,
                identity=who,
                data_converter=data or converter(),
                runtime=runtime(),
            )
        except RuntimeError as error:
            raise UnreachableError(
                f"no Temporal server answers at {address.target}",
                hint="start it, or mend SQUAD_ENGINE; for a trial: temporal server start-dev",
                private=str(error),
            ) from error
        with translated(address):
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=address.namespace)
            )
        return cls(address, client, log)

    async def workers(self) -> list[Worker]:
        """Return the workers that asked the queue for work lately."""
        with translated(self.address):
            found = await self.client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=self.address.namespace,
                    task_queue=TaskQueue(name=self.address.queue),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                )
            )
        known = []
        for poller in found.pollers:
            named = IDENTITY.fullmatch(poller.identity)
            seen = poller.last_access_time.ToMilliseconds()
            mark = named.groupdict() if named else {}
            known.append(
                Worker(
                    identity=poller.identity,
                    version=str(mark.get("version")),
                    registry=str(mark.get("registry")),
                    log=str(mark.get("log")),
                    seen_ms=seen,
                )
            )
        return known

    async def served(self, registry: Registry, *, since_ms: int = 0) -> None:
        """Raise unless a worker of the same installation serves the queue."""
        workers = [one for one in await self.workers() if one.seen_ms >= since_ms]
        where = f"queue {self.address.queue!r} of namespace {self.address.namespace!r}"
        if not workers:
            raise NoWorkerError(
                f"no worker serves {where}",
                hint="squad worker, with the same SQUAD_ENGINE and SQUAD_STORE",
            )
        own = registry_mark(registry)
        mates = [one for one in workers if one.log == self.log]
        if not mates:
            raise OtherLogError(
                f"the workers of {where} serve another log ({workers[0].log}, here {self.log})",
                hint="give each store a queue or a namespace of its own: …?queue=NAME",
            )
        if all(one.registry != own for one in mates):
            other = max(mates, key=lambda one: one.seen_ms)
            raise SkewError(
                f"the workers of {where} run another version: squad {other.version} with "
                f"registry {other.registry}, here squad {__version__} with {own}",
                hint="install the same version, extras and plugins on both, or use a queue each",
                details={"worker": other.registry, "here": own},
            )

    async def launch(self, run: str) -> bool:
        """Have Temporal drive a run that has not ended; False if it does
        already."""
        with translated(self.address):
            try:
                await self.client.start_workflow(
                    TYPE,
                    Claim(run=run, log=self.log),
                    id=run,
                    task_queue=self.address.queue,
                    task_timeout=timedelta(milliseconds=self.address.lost_after_ms),
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    memo={"log": self.log},
                )
            except WorkflowAlreadyStartedError:
                return False
        return True

    async def check_own(self, run: str) -> None:
        """Raise OtherLogError if the namespace now drives a run of this id for
        another log."""
        try:
            found = await self.client.get_workflow_handle(run).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return
            raise _ours(self.address, error) from error
        memo = await found.memo()
        if found.close_time is None and memo.get("log") not in (None, self.log):
            raise OtherLogError(
                f"namespace {self.address.namespace!r} drives run {run} of another log",
                hint="give each store a namespace of its own",
            )

    async def nudge(self, run: str, kind: str) -> None:
        """Tell the execution of an open run that its journal has grown; start
        one where there is none."""
        handle = self.client.get_workflow_handle(run)
        try:
            if kind == "run.cancel_requested":
                await handle.cancel()
            else:
                await handle.signal("told")
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _ours(self.address, error) from error
            await self.launch(run)

    async def driven(self) -> set[str]:
        """Return the runs that have an execution, as far as the server's list
        shows it."""
        query = f"WorkflowType = '{TYPE}' AND ExecutionStatus = 'Running'"
        with translated(self.address):
            return {one.id async for one in self.client.list_workflows(query)}
