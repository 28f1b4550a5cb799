"""The protobuf file of this surface: services, methods and messages, built from
what the gateway offers."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf import descriptor_pool, message_factory, struct_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.gateway.shapes import shapes_of
from agentsquad.surfaces.grpc.contract import BLOBS, CALLS, EVENTS, FILE, PACKAGE
from agentsquad.surfaces.grpc.numbering import Numbers, locked, numbered
from agentsquad.surfaces.grpc.shape import VALUE, Member, Messages, camel

F = FieldDescriptorProto
KINDS = {
    "string": F.TYPE_STRING,
    "int64": F.TYPE_INT64,
    "double": F.TYPE_DOUBLE,
    "bool": F.TYPE_BOOL,
    "bytes": F.TYPE_BYTES,
}
OWN = f".{PACKAGE}."
# What is not an action: content of files, events, blobs, calls over one
# stream.
COMMON: dict[str, list[Member]] = {
    "FileContent": [
        Member("name", "string"),
        Member("text", "string", optional=True),
        Member("data", "bytes", optional=True),
        Member("blob", "string", optional=True),
        Member("media_type", "string"),
    ],
    "Content": [
        Member("files", f"{OWN}FileContent", repeated=True),
        Member("folder", f"{OWN}FileContent", repeated=True),
        Member("json", VALUE),
    ],
    "Event": [
        Member("seq", "int64"),
        Member("stream", "string"),
        Member("stream_seq", "int64"),
        Member("type", "string"),
        Member("version", "int64"),
        Member("at", "string"),
        Member("actor", "string"),
        Member("cause", "int64", optional=True),
        Member("correlation", "string", optional=True),
        Member("payload_digest", "string"),
        Member("payload_json", "string"),
    ],
    "FollowRequest": [
        Member("after", "int64", optional=True),
        Member("types", "string", repeated=True),
        Member("streams", "string", repeated=True),
    ],
    "BlobRequest": [Member("digest", "string")],
    "BlobChunk": [Member("data", "bytes"), Member("media_type", "string")],
    "BlobReference": [
        Member("digest", "string"),
        Member("size", "int64"),
        Member("media_type", "string"),
    ],
    "CallRequest": [
        Member("id", "string"),
        Member("action", "string"),
        Member("input", VALUE),
        Member("idempotency_key", "string", optional=True),
        Member("timeout_ms", "int64", optional=True),
    ],
    "CallError": [
        Member("code", "string"),
        Member("message", "string"),
        Member("hint", "string"),
        Member("retry_after_ms", "int64", optional=True),
        Member("grpc_status", "string"),
    ],
    "CallAnswer": [
        Member("id", "string"),
        Member("output", VALUE),
        Member("error", f"{OWN}CallError"),
        Member("replayed", "bool"),
        Member("files", f"{OWN}FileContent", repeated=True),
    ],
}


class Method(NamedTuple):
    """A method that calls one action."""

    service: str
    name: str
    action: str
    wraps: bool  # whether its answer is a field `value` of the message, files beside it
    given: str  # messages
    answered: str

    @property
    def path(self) -> str:
        """How it is called."""
        return f"/{PACKAGE}.{self.service}/{self.name}"


class Description:
    """The file, its classes, and the methods in it."""

    def __init__(self, gateway: Gateway, registry: Registry, given: Numbers | None = None) -> None:
        self.messages: dict[str, list[Member]] = dict(COMMON)
        self.methods = self._of_actions(gateway, registry)
        wanted = {name: [one.name for one in members] for name, members in self.messages.items()}
        self.numbers = numbered(locked() if given is None else given, wanted)
        self.file = self._file()
        self.pool = descriptor_pool.DescriptorPool()
        self.pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
        self.pool.AddSerializedFile(self.file.SerializeToString())

    def kind(self, message: str) -> Any:
        """Return the class of a message."""
        found = self.pool.FindMessageTypeByName(f"{PACKAGE}.{message}")
        return message_factory.GetMessageClass(found)

    @property
    def services(self) -> list[str]:
        """The full names of the services."""
        return [f"{PACKAGE}.{one.name}" for one in self.file.service]

    # --- actions

    def _of_actions(self, gateway: Gateway, registry: Registry) -> list[Method]:
        operations = gateway.operations()
        actions = [registry.action(one.action) for one in operations]
        shapes, components = shapes_of(actions)
        stems = ["".join(map(camel, one.action.partition(".")[::2])) for one in operations]
        pairs = [f"{stem}{end}" for stem in stems for end in ("Request", "Response")]
        types = Messages(components, PACKAGE, (*COMMON, *pairs))
        methods = []
        for action in actions:
            subsystem, _, verb = action.spec.name.partition(".")
            service, name = f"{camel(subsystem)}Service", camel(verb)
            shape, files = shapes[action.spec.name], action.spec.files
            stem = f"{camel(subsystem)}{name}"
            asked, answered = f"{stem}Request", f"{stem}Response"
            self.messages[asked] = [
                _sent(one, files.get(one.name)) for one in types.members(shape.input)
            ]
            output = types.message(shape.output)
            writes, whole = "out" in files.values(), output != VALUE
            members = types.members(shape.output) if whole else [Member("value", VALUE)]
            if writes:
                members = [Member("value", output), Member("files", f"{OWN}FileContent", True)]
            self.messages[answered] = members
            wraps = writes or not whole
            methods.append(Method(service, name, action.spec.name, wraps, asked, answered))
        self.messages.update(types.made)
        return methods

    # --- the file

    def _file(self) -> FileDescriptorProto:
        file = FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
        file.dependency.append("google/protobuf/struct.proto")
        for name in sorted(self.messages):
            message = file.message_type.add(name=name)
            maybe = []
            for member in self.messages[name]:
                field = message.field.add(
                    name=member.name,
                    number=self.numbers[name][member.name],
                    label=F.LABEL_REPEATED if member.repeated else F.LABEL_OPTIONAL,
                )
                if member.kind in KINDS:
                    field.type = KINDS[member.kind]
                else:
                    field.type, field.type_name = F.TYPE_MESSAGE, member.kind
                if member.optional:
                    maybe.append(field)
            for field in maybe:  # proto3 `optional`: each in a group of its own, after all others
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")
        for service in sorted({one.service for one in self.methods}):
            made = file.service.add(name=service)
            for one in self.methods:
                if one.service == service:
                    made.method.add(
                        name=one.name, input_type=OWN + one.given, output_type=OWN + one.answered
                    )
        self._streams(file)
        return file

    @staticmethod
    def _streams(file: FileDescriptorProto) -> None:
        events = next((one for one in file.service if one.name == EVENTS), None)
        events = events or file.service.add(name=EVENTS)
        events.method.add(
            name="Follow",
            input_type=f"{OWN}FollowRequest",
            output_type=f"{OWN}Event",
            server_streaming=True,
        )
        blobs = file.service.add(name=BLOBS)
        blobs.method.add(
            name="Put",
            input_type=f"{OWN}BlobChunk",
            output_type=f"{OWN}BlobReference",
            client_streaming=True,
        )
        blobs.method.add(
            name="Get",
            input_type=f"{OWN}BlobRequest",
            output_type=f"{OWN}BlobChunk",
            server_streaming=True,
        )
        file.service.add(name=CALLS).method.add(
            name="Stream",
            input_type=f"{OWN}CallRequest",
            output_type=f"{OWN}CallAnswer",
            client_streaming=True,
            server_streaming=True,
        )


def _sent(member: Member, way: str | None) -> Member:
    """Return a field of an input: content, where an action takes a path."""
    return Member(member.name, f"{OWN}Content") if way in ("in", "json") else member


def source(file: FileDescriptorProto) -> str:
    """Return the file as people write it."""
    lines = [f'syntax = "{file.syntax}";', "", f"package {file.package};", ""]
    lines += [f'import "{one}";' for one in file.dependency]
    names = {kind: name for name, kind in KINDS.items()}
    for service in file.service:
        lines += ["", f"service {service.name} {{"]
        for method in service.method:
            given = ("stream " if method.client_streaming else "") + method.input_type[1:]
            answered = ("stream " if method.server_streaming else "") + method.output_type[1:]
            lines.append(f"  rpc {method.name}({given}) returns ({answered});")
        lines.append("}")
    for message in file.message_type:
        lines += ["", f"message {message.name} {{"]
        for field in message.field:
            kind = field.type_name[1:] if field.type == F.TYPE_MESSAGE else names[field.type]
            label = "repeated " if field.label == F.LABEL_REPEATED else ""
            label = "optional " if field.proto3_optional else label
            lines.append(f"  {label}{kind} {field.name} = {field.number};")
        lines.append("}")
    return "\n".join(lines) + "\n"
