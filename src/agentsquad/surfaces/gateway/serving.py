"""What a server is told, and what it says when it ends; assembly serves."""

from __future__ import annotations

from typing import Annotated, Protocol

import msgspec

from agentsquad.kernel.errors import InvalidError

Meta = msgspec.Meta
LISTEN = "127.0.0.1:8420"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class UpInput(msgspec.Struct, kw_only=True):
    """Where to listen, and on what to stand."""

    listen: Annotated[
        str, Meta(description="address and port; port 0 takes a free one", examples=[LISTEN])
    ] = LISTEN
    grpc_listen: Annotated[
        str | None, Meta(description="serve gRPC too, there", examples=["127.0.0.1:8421"])
    ] = None
    store: Annotated[
        str | None,
        Meta(description="URL of the store; SQUAD_STORE keeps a password out of process lists"),
    ] = None
    engine: Annotated[
        str | None, Meta(description="URL of a Temporal server, or embedded [SQUAD_ENGINE]")
    ] = None
    tls_cert: Annotated[str | None, Meta(description="certificate chain, PEM")] = None
    tls_key: Annotated[str | None, Meta(description="its private key, PEM")] = None
    tls_own: Annotated[
        bool, Meta(description="TLS by a certificate authority of this installation")
    ] = False
    plain: Annotated[
        bool, Meta(description="beyond loopback without TLS: something before it ends TLS")
    ] = False
    bootstrap_token_file: Annotated[
        str | None,
        Meta(description="write the first administrator's token there instead of printing it"),
    ] = None
    log_format: Annotated[str, Meta(description="text or json", pattern="^(text|json)$")] = "text"
    drain_ms: Annotated[int, Meta(description="how long calls under way may take to end", ge=0)] = (
        20_000
    )


class ServerEnded(msgspec.Struct, kw_only=True):
    """How serving ended: by which signal, and how many calls had to be left."""

    why: str
    address: str
    calls: int
    left: int


class Serving(Protocol):
    """Serves an installation until told to end."""

    async def serve(self, options: UpInput) -> ServerEnded:
        """Serve; what a person should know goes to the log of the process."""
        ...


def address_of(listen: str, option: str = "--listen") -> tuple[str, int]:
    """Read HOST:PORT; IPv6 addresses stand in brackets."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidError(
            f"{option} {listen!r} is not HOST:PORT",
            code="server.listen",
            hint=f"e.g. {option} {LISTEN} or {option} [::1]:8420",
        )
    return host, int(port)


def refuse_in_the_open(options: UpInput) -> None:
    """Refuse what would send tokens over a network in clear, and half a
    certificate."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise InvalidError("--tls-cert and --tls-key belong together", code="server.tls")
    if options.tls_own and options.tls_cert is not None:
        raise InvalidError("--tls-own and --tls-cert exclude each other", code="server.tls")
    encrypted = options.tls_own or options.tls_cert is not None
    for option, listen in (("--listen", options.listen), ("--grpc-listen", options.grpc_listen)):
        if listen is None:
            continue
        host, _ = address_of(listen, option)
        if host not in LOOPBACK and not encrypted and not options.plain:
            raise InvalidError(
                f"{option} {listen} is beyond loopback and tokens would cross the network in clear",
                code="server.open",
                hint="give --tls-cert and --tls-key, or --tls-own; --plain if TLS ends before it",
            )
