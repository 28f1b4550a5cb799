"""A gRPC server beside the others: health, reflection, deadlines, compression
and keep-alive by the library, everything else by the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.grpc.contract import Limits
from agentsquad.surfaces.grpc.description import Description
from agentsquad.surfaces.grpc.service import Service


class GrpcServer:
    """Serves one address from its start to its end."""

    def __init__(self, gateway: Gateway, registry: Registry, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self.described = Description(gateway, registry)
        limits = self._limits
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.message),
                ("grpc.max_send_message_length", limits.message),
                ("grpc.max_concurrent_streams", limits.streams),
                ("grpc.keepalive_time_ms", limits.keepalive_ms),
                ("grpc.keepalive_timeout_ms", limits.keepalive_min_ms),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", limits.keepalive_min_ms),
                ("grpc.max_connection_idle_ms", limits.idle_ms),
                ("grpc.so_reuseport", 0),
            ],
            compression=grpc.Compression.Gzip,
        )
        service = Service(gateway, self.described, limits)
        self._server.add_generic_rpc_handlers(service.handlers())
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [*self.described.services, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, self._server, pool=_Pool(self.described.pool))

    async def start(self, host: str, port: int, tls: tuple[Path, Path] | None) -> str:
        """Listen; return the address."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if tls is None:
                bound = self._server.add_insecure_port(target)
            else:
                chain, key = (path.read_bytes() for path in tls)
                credentials = grpc.ssl_server_credentials(((key, chain),))
                bound = self._server.add_secure_port(target, credentials)
        except RuntimeError as error:
            raise ConflictError(
                f"cannot serve gRPC on {target}",
                code="server.port_taken",
                hint="give --grpc-listen another port; 0 takes a free one",
            ) from error
        await self._server.start()
        serving = health_pb2.HealthCheckResponse.SERVING
        for name in ("", *self.described.services):
            await self._health.set(name, serving)
        return f"{target.rpartition(':')[0]}:{bound}"

    async def stop(self, patience_ms: int) -> None:
        """Take no more calls, and let those under way end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(patience_ms / 1000)


class _Pool:
    """Our descriptors, and those of the library's own services."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        from google.protobuf import descriptor_pool

        ours, library = getattr(self._own, name), getattr(descriptor_pool.Default(), name)

        def find(*given: Any) -> Any:
            try:
                return ours(*given)
            except KeyError:
                return library(*given)

        return find
