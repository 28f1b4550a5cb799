"""The server of an installation: every surface on one port, and the runs,
schedules and messages of every namespace."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentsquad import __version__
from agentsquad.assembly.duties import Duties
from agentsquad.assembly.posting import delivers, post
from agentsquad.assembly.proxying import ServedProxy
from agentsquad.assembly.settings import Settings, read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.errors import SquadError, UnsupportedError
from agentsquad.kernel.ids import new_id
from agentsquad.kernel.ports import Clock
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.contract import Stopping
from agentsquad.surfaces.a2a.routes import routes as a2a
from agentsquad.surfaces.console.routes import routes as console
from agentsquad.surfaces.gateway import health
from agentsquad.surfaces.gateway.front import Front, Measuring
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.gateway.http import enter
from agentsquad.surfaces.gateway.plugin import (
    application,
    measures,
    own_certificate,
    scratch,
    web,
)
from agentsquad.surfaces.gateway.reached import Reached, reached
from agentsquad.surfaces.gateway.serving import ServerEnded, UpInput, address_of
from agentsquad.surfaces.graphql.routes import routes as graphql
from agentsquad.surfaces.mcp.routes import routes as mcp
from agentsquad.surfaces.rest.routes import auth_routes
from agentsquad.surfaces.rest.routes import routes as rest
from agentsquad.surfaces.websocket.routes import routes as websocket
from agentsquad.trust.access.contract import DEFAULT, SYSTEM, Access
from agentsquad.trust.identity.contract import Identity
from agentsquad.trust.identity.office import Desk, Office
from agentsquad.trust.threats.contract import Governed, Shield

Certificate = tuple[Path, Path]  # its chain and its key, PEM
INTRODUCTION = "The first administrator's token, shown this once:"
BOOTSTRAP_FILE = "bootstrap-token"
GOVERN_MS = 1_000  # how soon limits that were applied hold
TLS = "tls"  # folder of the installation's own authority
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Server:
    """Serves an installation (`Serving`)."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry

    async def serve(self, options: UpInput) -> ServerEnded:
        """Serve until told to end."""
        squad = Squad(self._told(options), self._registry)
        squad.confine()
        try:
            host, port = address_of(options.listen)
            tls, clock = _files(options), squad.world.clock
            watching = measures(clock, options.log_format, squad.settings.environment.get(OTLP))
            if options.tls_own:
                folder = squad.settings.home / TLS
                chain, key, root = own_certificate(folder, _names(host), clock.now_ms())
                tls = (chain, key)
                watching.line("authority", file=str(root), note="clients trust the server by it")
            return await Running(squad, options, watching).until_told(web(host, port, tls), tls)
        finally:
            await squad.close()

    def _told(self, options: UpInput) -> Settings:
        """Return the settings of the whole installation, with what was said on
        the command line."""
        told = {"SQUAD_STORE": options.store, "SQUAD_ENGINE": options.engine}
        root = self._settings.root or self._settings
        variables = {**root.environment, **{name: one for name, one in told.items() if one}}
        variables.pop("SQUAD_NAMESPACE", None)
        return read(variables, home=str(root.home))


class Running:
    """One server from its start to its end."""

    def __init__(self, squad: Squad, options: UpInput, watching: Measuring) -> None:
        self._squad = squad
        self._options = options
        self._watching = watching
        self._clock: Clock = squad.world.clock
        self._duties = Duties(squad.namespaces, self._clock, squad.actor)

    async def until_told(self, listening: Any, tls: Certificate | None) -> ServerEnded:
        """Serve until a signal comes, then let calls under way end."""
        squad, options, watching = self._squad, self._options, self._watching
        await squad.world.store.size()  # opened, or refused, before anybody is let in
        system = await squad.namespaces.use(SYSTEM)
        guards = self._guards(system)
        gateway = ServingGateway(
            squad.registry, squad.namespaces, guards, self._clock, watching, scratch
        )
        watching.watch("squad_calls_under_way", "Writing calls now.", lambda: gateway.under_way)
        self._duties.heard = watching.line
        desk = _desk(system)
        desk.reached_at(listening.url)
        offered = surfaces(gateway, squad, listening.url, (desk.tokens.issuer,))
        routes = [*self._health(gateway, watching), *offered]
        self._duties.beside = partial(post, desk)
        proxy = ServedProxy(gateway, guards[2], squad.namespaces)
        routes += [*auth_routes(gateway, lambda: desk), *proxy.routes()]
        app = Front(
            application(routes), watching, guards[0], self._clock, self._number, self._reached()
        )
        told = asyncio.ensure_future(squad.ports.get(Stopping).told())
        await self._introduce(system)
        governing = await self._governed(guards[0], system)
        self._duties.begin()
        watching.line("serving", url=listening.url)
        beside = await self._beside(gateway, tls)
        left = 0

        async def ended() -> None:
            nonlocal left
            await told
            watching.line("ending", why=told.result(), under_way=gateway.under_way)
            if beside is not None:
                await beside.stop(options.drain_ms)
            left = await gateway.leave(options.drain_ms)

        try:
            await listening.serve(app, ended, options.drain_ms)
        finally:
            told.cancel()
            governing.cancel()
            await proxy.close()
            await self._duties.end()
        why = told.result() if told.done() and not told.cancelled() else "closed"
        return ServerEnded(why=why, address=listening.url, calls=watching.count, left=left)

    async def _beside(self, gateway: ServingGateway, tls: Certificate | None) -> Any:
        """Serve gRPC too, where it was asked for."""
        if self._options.grpc_listen is None:
            return None
        try:
            from agentsquad.surfaces.grpc.server import GrpcServer
        except ImportError as error:
            raise UnsupportedError(
                "install 'agentsquad[grpc]'", hint="pip install 'agentsquad[grpc]'"
            ) from error
        host, port = address_of(self._options.grpc_listen, "--grpc-listen")
        server = GrpcServer(gateway, self._squad.registry)
        self._watching.line("serving", grpc=await server.start(host, port, tls))
        return server

    def _reached(self) -> Reached:
        """Return how people reach this server, where something is before it."""
        said = self._squad.settings.environment
        return reached(said.get("SQUAD_PUBLIC_URL", ""), said.get("SQUAD_TRUSTED_PROXIES", ""))

    def _number(self) -> str:
        return new_id(self._clock, self._squad.world.entropy)

    async def _governed(self, shield: Shield, system: Squad) -> asyncio.Future[None]:
        """Put limits and protections in force, and have them followed as they
        are applied; what cannot be kept is told, and changes nothing."""
        store = system.world.store
        if isinstance(shield, Governed):
            await shield.refresh(store)

        async def follow() -> None:
            while isinstance(shield, Governed):
                await self._clock.sleep_ms(GOVERN_MS)
                try:
                    if await shield.refresh(store):
                        self._watching.line("protection", changed=True)
                except SquadError as error:
                    self._watching.line("protection", error=error.code, message=error.message)

        return asyncio.ensure_future(follow())

    def _guards(self, system: Squad) -> tuple[Shield, Identity, Access]:
        world = system.world
        desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
        return world.ports.get(Shield), desk.recognition, world.ports.get(Access)

    def _health(self, gateway: ServingGateway, watching: Measuring) -> list[Any]:
        store = self._squad.world.store

        async def readable() -> None:
            await store.size()

        async def driving() -> None:
            self._duties.check(DEFAULT)

        return health.routes(
            {"store": readable, "engine": driving},
            watching.exposition,
            lambda request: enter(gateway, request, "rest"),
            relayed=self._reached() != Reached(),
        )

    async def _introduce(self, system: Squad) -> None:
        """Give the first administrator a token, once: in a file that only its
        owner reads, or on the terminal of whoever started this."""
        world, named = system.world, self._options.bootstrap_token_file
        desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
        file = None if named is None else Path(named)
        if file is None and not sys.stderr.isatty():  # a log is no place for a secret
            file = self._squad.settings.home / BOOTSTRAP_FILE
        lost = file is not None and not file.exists()  # a crash came before it was written
        token = await desk.administration.bootstrap(renew=lost)
        if token is None:
            return
        if file is None:
            sys.stderr.write(f"{INTRODUCTION}\n    {token}\n")
            return
        write_secret(file, token)
        self._watching.line("bootstrap", file=str(file), note="the first administrator's token")


def write_secret(file: Path, secret: str) -> None:
    """Write a file whole or not at all, for its owner alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(secret + "\n")
    temporary.replace(file)


def surfaces(
    gateway: ServingGateway, squad: Squad, base: str, issuers: Sequence[str] = ()
) -> list[Any]:
    """Return the routes of every surface; `base` is where they are reached,
    `issuers` give the tokens that are taken."""
    registry, world = squad.registry, squad.world
    return [
        *rest(gateway, registry, world.clock),
        *graphql(gateway, registry),
        *websocket(gateway, clock=world.clock),
        *mcp(gateway, registry, world.entropy, base=base, version=__version__, issuers=issuers),
        *a2a(gateway, base=base, version=__version__, push=delivers(squad)),
        *console(),
    ]


def _desk(system: Squad) -> Desk:
    """Return identity over the log of the installation."""
    world = system.world
    found: Desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
    return found


def _files(options: UpInput) -> Certificate | None:
    if options.tls_cert is None or options.tls_key is None:
        return None
    return Path(options.tls_cert), Path(options.tls_key)


def _names(host: str) -> list[str]:
    """Return the names that a certificate of ours is for."""
    known = ["localhost", "127.0.0.1", "::1"]
    return known if host in known else [host, *known]
