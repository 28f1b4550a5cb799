"""Writes the generated pages of docs/reference from what the code declares.

Actions, kinds and workflows come from every room's `plugin`, errors from the
classes, codes and the one mapping table. Events and settings are found in the
source and described in events.toml and settings.toml beside the pages; one that
is not described, or no longer exists, is a fault. `--check` writes nothing and
fails when a page is not current.
"""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

import agentsquad
from agentsquad.kernel import errors
from agentsquad.kernel.action import Action
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.surfaces.gateway.operation import Operation, operations
from agentsquad.surfaces.rest.contract import Options
from agentsquad.surfaces.rest.openapi import document

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
SOURCE = ROOT / "src" / "agentsquad"
HEAD = "<!-- Written by tools/reference.py (`make docs`); change the code, not this page. -->\n"

# "proceed" ends like the past tense and is not.
EVENT = re.compile(
    r"(?!.*proceed$)[a-z][a-z_]*\.(?:[a-z_]*(?:ed|sent|given|held|lost|met|made|withdrawn)|read_back"
    r"|ambiguous|waiting|set)"
)
SETTING = re.compile(r"SQUAD_[A-Z][A-Z0-9_]*[A-Z0-9]")
# Dotted words in the past tense that are not events: file names and error
# codes.
NOT_EVENTS = {"code", "error"}


def module_names() -> list[str]:
    """Return every module of the package but the adapters, which load SDKs."""
    found = pkgutil.walk_packages(agentsquad.__path__, "agentsquad.", onerror=_raise)
    return [module.name for module in found if ".adapters" not in module.name]


def _raise(name: str) -> None:
    raise ImportError(f"cannot import {name}")


def plugins() -> list[Plugin]:
    """Return what every room offers, by name."""
    found = []
    for name in module_names():
        if name.endswith(".plugin"):
            value = getattr(importlib.import_module(name), "plugin", None)
            if isinstance(value, Plugin):
                found.append(value)
    return sorted(found, key=lambda plugin: plugin.name)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in row) + " |\n" for row in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def sentence(text: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def type_name(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """Say in a few words what a JSON Schema asks for."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        part = parts.get(name, {})
        return type_name(part, parts) if "enum" in part else name
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_name(one, parts) for one in schema["anyOf"]))
    kind = schema.get("type", "any")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {type_name(schema['items'], parts)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {type_name(schema['additionalProperties'], parts)}"
    return str(kind)


def fields(title: str, type_: Any) -> str:
    """Return the table of a Struct's fields, or one line for another type."""
    if type_ is None or type_ is type(None):
        return ""
    try:
        (schema,), parts = msgspec.json.schema_components([type_], ref_template="#/{name}")
    except TypeError as error:
        raise SystemExit(f"{type_.__module__}.{type_.__qualname__}: {error}") from error
    body = parts.get(schema.get("$ref", "").rpartition("/")[2], schema)
    rows = []
    for name, part in body.get("properties", {}).items():
        required = "required" if name in body.get("required", ()) else ""
        default = f"default `{part['default']}`" if part.get("default") not in (None, "") else ""
        words = [part.get("description", ""), required, default]
        rows.append([f"`{name}`", type_name(part, parts), "; ".join(filter(None, words))])
    if not rows:
        return ""
    return f"\n{title}\n\n{table(['field', 'type', 'meaning'], rows)}"


def action_text(action: Action) -> str:
    """Return the section of one action."""
    spec = action.spec
    # An empty path says: a step of runs, offered to nobody.
    words = tuple(spec.name.split(".", 1)) if spec.cli is None else spec.cli
    command = f"command `squad {' '.join(words)}`" if words else "only as a step of a run"
    facts = [f"effect **{spec.effect.value}**", command]
    facts += [
        f"{what} by `{name}`"
        for what, name in (
            ("undone", spec.compensate),
            ("reconciled", spec.reconcile),
            ("previewed", spec.preview),
        )
        if name
    ]
    if spec.timeout_ms:
        facts.append(f"timeout {spec.timeout_ms} ms")
    if spec.scopes:
        facts.append("scopes " + ", ".join(f"`{scope}`" for scope in spec.scopes))
    text = f"## {spec.name}\n\n{_cell(spec.summary)}\n\n"
    if spec.description:
        text += f"{spec.description}\n\n"
    text += " · ".join(facts) + "\n"
    text += fields("Input", spec.input) + fields("Output", spec.output)
    if spec.examples:
        text += "\n```text\n" + "\n".join(spec.examples) + "\n```\n"
    return text + "\n"


def actions_page(mounted: Iterable[Plugin]) -> str:
    """Describe every action."""
    found = sorted((action for plugin in mounted for action in plugin.actions), key=_name)
    text = f"# Actions\n\n{HEAD}\nThe {len(found)} things that can be asked for. "
    text += "Commands, their help and the checks of what is given are made from them.\n\n"
    rows = [
        [f"[`{a.name}`](#{_anchor(a.name)})", a.spec.effect.value, sentence(a.spec.summary)]
        for a in found
    ]
    text += table(["action", "effect", "what it does"], rows) + "\n"
    return text + "".join(map(action_text, found))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower())


def kinds_page(mounted: Iterable[Plugin]) -> str:
    """Describe every kind of resource and every workflow."""
    mounted = list(mounted)
    kinds = sorted((kind for plugin in mounted for kind in plugin.kinds), key=_name)
    flows = sorted((flow for plugin in mounted for flow in plugin.workflows), key=_name)
    text = f"# Kinds and workflows\n\n{HEAD}\n## Kinds\n\n"
    text += table(
        ["kind", "spec", "what it is"],
        [
            [
                f"`{kind.name}`",
                ", ".join(f"`{name}`" for name in kind.schema.get("properties", {})),
                sentence(kind.summary),
            ]
            for kind in kinds
        ],
    )
    text += "\n## Workflows\n\n"
    return text + table(
        ["workflow", "what it does"],
        [[f"`{flow.name}`", sentence(getattr(flow, "summary", ""))] for flow in flows],
    )


def _name(value: Any) -> str:
    return str(value.name)


def errors_page(trees: Mapping[str, ast.Module]) -> str:
    """Describe the classes, their mapping and every stable code."""
    declared = error_classes(trees)
    text = f"# Errors\n\n{HEAD}\n"
    text += (
        "Every error has a stable dotted `code`, a message, and mostly a `hint`. "
        "Its class says what to do next.\n\n## Classes\n\n"
    )
    text += table(
        ["class", "HTTP", "gRPC", "exit", "retry", "meaning"],
        [
            [
                f"`{cls.__name__}`",
                row.http,
                row.grpc,
                row.exit,
                "yes" if row.retryable else "no",
                sentence(cls.__doc__),
            ]
            for cls, row in errors.TABLE.items()
        ],
    )
    codes: dict[str, tuple[str, str]] = {}
    for cls in declared:
        codes[cls.code] = (_next(cls), sentence(cls.__doc__))
    classes = {cls.__name__: cls for cls in declared}
    for tree in trees.values():
        for name, code, message in raised(tree):
            if name in classes and code not in codes:
                codes[code] = (_next(classes[name]), message)
    text += "\n## Codes\n\n"
    return text + table(
        ["code", "class", "meaning"],
        [[f"`{code}`", f"`{cls}`", meaning] for code, (cls, meaning) in sorted(codes.items())],
    )


def error_classes(trees: Mapping[str, ast.Module]) -> list[type[errors.SquadError]]:
    """Return every class of errors that the source declares, by place and
    name.

    What happens to be imported already changes nothing: a page must not
    depend on who asks for it.
    """
    found = []
    for path, names in _declared(trees).items():
        parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
        name = ".".join(("agentsquad", *parts))
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise SystemExit(f"{name} declares errors and needs {error.name}: make dev") from error
        found += [getattr(module, one) for one in names]
    return [cls for cls in found if issubclass(cls, errors.SquadError)]


def _declared(trees: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Return the names of classes that descend from the root of errors by
    what their bases are called, by file.
    """
    classes = [
        (path, node.name, {ast.unparse(base).rpartition(".")[2] for base in node.bases})
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    ]
    known = {errors.SquadError.__name__}
    while more := {name for _, name, bases in classes if bases & known} - known:
        known |= more
    found: dict[str, list[str]] = {}
    for path, name, bases in classes:
        if bases & known:
            found.setdefault(path, []).append(name)
    return found


def _next(cls: type[errors.SquadError]) -> str:
    return next(parent.__name__ for parent in cls.__mro__ if parent in errors.TABLE)


def raised(tree: ast.Module) -> list[tuple[str, str, str]]:
    """Return (class, code, message) of errors made with a literal `code=`."""
    found = []
    for node in _nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    message = _message(node.args[0]) if node.args else ""
                    found.append((node.func.id, str(keyword.value.value), message))
    return found


def _message(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return ""


@functools.cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Return all of a tree; each tree is read several times."""
    return tuple(ast.walk(tree))


@functools.cache
def literals(tree: ast.Module) -> set[str]:
    """Return the string literals of a module that are not docstrings."""
    skip = set()
    for node in _nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skip.add(id(node.value))
        if isinstance(node, ast.keyword) and node.arg in NOT_EVENTS:
            skip.add(id(node.value))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(one, ast.Name) and one.id in NOT_EVENTS for one in targets):
                skip.add(id(node.value))
    return {
        node.value
        for node in _nodes(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skip
    }


def found_in(trees: Mapping[str, ast.Module], shape: re.Pattern[str]) -> dict[str, list[str]]:
    """Return each literal of this shape with the rooms it appears in."""
    places: dict[str, set[str]] = {}
    for name, tree in trees.items():
        room = ".".join(name.split("/")[:2]).removesuffix(".py")
        for literal in literals(tree):
            if shape.fullmatch(literal):
                places.setdefault(literal, set()).add(room)
    return {literal: sorted(rooms) for literal, rooms in sorted(places.items())}


def described(
    title: str, intro: str, found: Mapping[str, list[str]], file: str
) -> tuple[str, list[str]]:
    """Return a page of things found in code and described in a TOML file."""
    texts = tomllib.loads((PAGES / file).read_text(encoding="utf-8"))
    faults = [f"docs/reference/{file}: describe {name!r}" for name in found if name not in texts]
    faults += [f"docs/reference/{file}: {name!r} is gone" for name in texts if name not in found]
    rows = [
        [f"`{name}`", texts.get(name, ""), ", ".join(f"`{room}`" for room in rooms)]
        for name, rooms in found.items()
    ]
    return f"# {title}\n\n{HEAD}\n{intro}\n\n" + table(["name", "meaning", "room"], rows), faults


class _Offered:
    """What a gateway offers of some plugins, for the description of REST."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._found = {one.action: one for one in operations(registry) if not one.local}

    def operations(self) -> list[Operation]:
        """Return what may be called from afar."""
        return [self._found[name] for name in sorted(self._found)]

    def operation(self, action: str) -> Operation:
        """Return one of them."""
        return self._found[action]

    def kinds(self) -> Mapping[str, Any]:
        """Return the kinds of resources."""
        return self._registry.kinds


def rest_page(mounted: Iterable[Plugin]) -> str:
    """Return the page of REST: its addresses, and what its answers mean."""
    registry = Registry(mounted)
    found = document(_Offered(registry), registry, Options())  # type: ignore[arg-type]
    rows, count = [], 0
    for path, item in found["paths"].items():
        for method, told in item.items():
            if path.startswith("/v1/actions/"):
                count += method == "post"
                continue
            given = [
                one.get("name") for one in told.get("parameters", ()) if one.get("in") == "query"
            ]
            words = told["summary"] + (f" Parameters: `{'`, `'.join(given)}`." if given else "")
            rows.append((f"`{method.upper()} {path}`", words))
    statuses = [
        (name[1:], one["description"]) for name, one in found["components"]["responses"].items()
    ]
    xml = '<map xmlns="http://www.w3.org/2005/xpath-functions"><string key="a">x</string></map>'
    return (
        f"{HEAD}# REST\n\nThe whole, with schemas and examples, is at `/openapi.json` of a server"
        " (OpenAPI 3.1), and at `/docs` to read and try.\n\n"
        + str(found["info"]["description"])
        + f'\nIn XML `{{"a": "x"}}` is `{xml}`. An integer longer than'
        " 64 bits is text in MessagePack. A document type, an entity, a key given twice, more than"
        " 64 levels or 8 MiB (blobs: 64 MiB) are refused.\n\n## Addresses\n\n"
        f"`POST /v1/actions/NAME` calls and `GET` describes each of {count}"
        " [actions](actions.md). Besides:\n\n"
        + table(("Address", "What"), rows)
        + "\nEach begins with `/v1/namespaces/NAMESPACE` as well. `/login`, `/logout` and"
        " `/auth/…` are told in [signing in](../howto/sign-in.md).\n\n## Answers\n\n"
        + table(("Status", "When"), statuses)
        + "\nA problem has the `code` and `hint` of [errors](errors.md), and `class`, which says"
        " what to do next.\n"
    )


def pages() -> tuple[dict[str, str], list[str]]:
    """Return every generated page by file name, and what keeps it
    incomplete.
    """
    trees = {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }
    mounted = plugins()
    actions = {action.name for plugin in mounted for action in plugin.actions}
    codes = {code for tree in trees.values() for _, code, _ in raised(tree)}
    # `budget.set` is what one does and what was done.
    said = tomllib.loads((PAGES / "events.toml").read_text(encoding="utf-8"))
    # Worlds of the test kit write events of their own, which no user has.
    written = {path: tree for path, tree in trees.items() if not path.startswith("testing/")}
    events = {
        name: rooms
        for name, rooms in found_in(written, EVENT).items()
        if name in said or name not in actions | codes
    }
    events_text, faults = described(
        "Events", "Facts in the log, in the past tense.", events, "events.toml"
    )
    settings_text, more = described(
        "Settings",
        "Environment variables, read once when the program starts.",
        found_in(trees, SETTING),
        "settings.toml",
    )
    return {
        "actions.md": actions_page(mounted),
        "kinds.md": kinds_page(mounted),
        "errors.md": errors_page(trees),
        "events.md": events_text,
        "settings.md": settings_text,
        "rest.md": rest_page(mounted),
    }, faults + more


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` only compare them."""
    texts, faults = pages()
    for name, text in texts.items():
        path = PAGES / name
        current = path.read_text(encoding="utf-8") if path.exists() else None
        if "--check" in arguments and current != text:
            faults.append(f"docs/reference/{name} is not current: run make docs")
        elif "--check" not in arguments and current != text:
            path.write_text(text, encoding="utf-8")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
