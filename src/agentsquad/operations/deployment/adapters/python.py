"""Loading Python source by its digest, several versions side by side.

The modules of a version are called `agentsquad_deployed.d<digest>.<name>`, so
that no two versions meet in `sys.modules`, and nobody else's module is touched.
An import inside finds the version's own modules first, then what is installed,
and nothing else: a file that lies about on this machine is not part of what
was deployed.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import msgspec

from agentsquad.kernel.action import Action
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.deployment.contract import OfferError, Source, SourceError
from agentsquad.operations.deployment.source import modules
from agentsquad.runtime.engine.contract import Workflow

PREFIX = "agentsquad_deployed"
SHORT = 16  # hex digits of the digest in a module's name


class PythonLoader:
    """Python's import system, with versions in it."""

    def __init__(self) -> None:
        self._loaded: dict[str, Plugin] = {}

    def load(self, source: Source) -> Plugin:
        """Return what this source offers."""
        plugin = self._loaded.get(source.digest)
        if plugin is None:
            unit = Unit(source)
            FINDER.add(unit)
            try:
                module = importlib.import_module(unit.full(source.entry))
                plugin = offered(source, unit, module)
            except (SourceError, OfferError):
                FINDER.drop(unit)
                raise
            except Exception as error:
                FINDER.drop(unit)
                raise unit.located(error) from error
            self._loaded[source.digest] = plugin
        return plugin


class Unit:
    """One version: its modules, and the name they all stand under."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = f"{PREFIX}.d{source.digest.removeprefix('sha256:')[:SHORT]}"
        self.modules = modules(source.files)
        self.tops = {name.partition(".")[0] for name in self.modules}
        self.builtins = {**vars(builtins), "__import__": self._import}

    def full(self, name: str) -> str:
        """Return what a module of the version is called in this process."""
        return f"{self.name}.{name}"

    def file(self, path: str) -> str:
        """Return the file name that tracebacks show."""
        return f"deployed:{self.name.rpartition('.d')[2]}/{path}"

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        """Carry out an import statement of one of its modules."""
        top = name.partition(".")[0]
        if level == 0 and top in self.tops:
            found = builtins.__import__(self.full(name), globals, locals, fromlist or (), 0)
            return found if fromlist else sys.modules[self.full(top)]
        if level == 0 and not installed(top):
            raise ModuleNotFoundError(f"no module named {name!r} beside it or installed", name=name)
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    def located(self, error: Exception) -> SourceError:
        """Return an error of its code with file and line."""
        place = self.source.origin or self.source.name
        if isinstance(error, SyntaxError) and error.filename:
            place = f"{self._path(error.filename)}:{error.lineno}"
        own = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(self.file(""))
        ]
        if own:
            place = f"{self._path(own[-1].filename)}:{own[-1].lineno}"
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        missing = isinstance(error, ImportError)
        return SourceError(
            f"{place}: {type(error).__name__}: {said}",
            hint="install the package, or put the module beside it" if missing else None,
            details={"digest": self.source.digest},
        )

    def _path(self, file: str) -> str:
        return file.removeprefix(self.file(""))


class Finder(importlib.abc.MetaPathFinder):
    """Finds modules of versions."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}

    def add(self, unit: Unit) -> None:
        """Let a version be imported."""
        if self not in sys.meta_path:
            sys.meta_path.append(self)
            root = ModuleType(PREFIX, "What was deployed into the store, by digest.")
            root.__path__ = []
            sys.modules[PREFIX] = root
        self.units[unit.name] = unit

    def drop(self, unit: Unit) -> None:
        """Forget a version that could not be loaded."""
        self.units.pop(unit.name, None)
        for name in [one for one in sys.modules if f"{one}.".startswith(f"{unit.name}.")]:
            del sys.modules[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to load a module of a version."""
        if not fullname.startswith(f"{PREFIX}.d"):
            return None
        unit = self.units.get(".".join(fullname.split(".")[:2]))
        if unit is None:
            return None
        name = fullname.removeprefix(unit.name).removeprefix(".")
        file, package = unit.modules.get(name, ("", True))
        inner = f"{name}." if name else ""
        if not file and not any(one.startswith(inner) for one in unit.modules):
            return None
        loader = ModuleLoader(unit, file)
        origin = unit.file(file) if file else None
        return importlib.util.spec_from_loader(fullname, loader, origin=origin, is_package=package)


class ModuleLoader(importlib.abc.InspectLoader):
    """Loads one module of a version."""

    def __init__(self, unit: Unit, file: str) -> None:
        self._unit = unit
        self._file = file

    def get_source(self, fullname: str) -> str:
        """Return its text, for tracebacks and for `inspect`."""
        data = self._unit.source.files.get(self._file, b"")
        return importlib.util.decode_source(data)

    def is_package(self, fullname: str) -> bool:
        """Whether it holds modules."""
        return not self._file or self._file.endswith("__init__.py")

    def get_code(self, fullname: str) -> CodeType:
        """Return it compiled."""
        data = self._unit.source.files.get(self._file, b"")
        return compile(data, self._unit.file(self._file), "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        """Run it, with imports as the version sees them."""
        vars(module)["__builtins__"] = self._unit.builtins
        if self._file:
            module.__file__ = self._unit.file(self._file)
        exec(self.get_code(module.__name__), vars(module))


FINDER = Finder()


@cache
def installed(top: str) -> bool:
    """Whether a module belongs to Python or to an installed package."""
    if top in sys.stdlib_module_names or top in sys.builtin_module_names or top == "agentsquad":
        return True
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = [spec.origin or "", *(spec.submodule_search_locations or ())]
    paths = sysconfig.get_paths()
    roots = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    if any(root in Path(place).resolve().parents for place in places if place for root in roots):
        return True
    return top in importlib.metadata.packages_distributions()


def offered(source: Source, unit: Unit, module: ModuleType) -> Plugin:
    """Return what a version offers: its `plugin`, or the workflows and actions
    it defines."""
    names = vars(module)
    plugins = [one for one in names.values() if isinstance(one, Plugin)]
    own = names.get("plugin")
    if isinstance(own, Plugin):
        plugin = own
    elif len(plugins) == 1:
        plugin = plugins[0]
    elif plugins:
        raise OfferError(
            f"{source.origin or source.name} holds {len(plugins)} plugins",
            hint="call the one to deploy 'plugin'",
        )
    else:
        values = list({id(one): one for one in names.values()}.values())
        flows = [one for one in values if isinstance(one, Workflow) and _of(unit, one.fn)]
        plugin = Plugin(
            name=flows[0].name if len(flows) == 1 else source.name,
            workflows=tuple(flows),
            actions=tuple(one for one in values if isinstance(one, Action) and _of(unit, one.fn)),
        )
    if not plugin.workflows:
        raise OfferError(
            f"{source.origin or source.name} holds no workflow",
            hint='write @workflow("name") before an async function of (ctx, input)',
        )
    if plugin.kinds or plugin.sources:
        raise OfferError(
            "kinds of resources and sources cannot be deployed",
            hint="install them as a package; deploy workflows, actions and rules",
        )
    return msgspec.structs.replace(
        plugin,
        workflows=tuple(
            msgspec.structs.replace(one, digest=source.digest) for one in plugin.workflows
        ),
        policies={**rules(source), **plugin.policies},
        trials=(),
    )


def _of(unit: Unit, fn: Any) -> bool:
    return str(getattr(fn, "__module__", "")).startswith(f"{unit.name}.")


def rules(source: Source) -> dict[str, str]:
    """Return the rules that lie beside the code."""
    try:
        return {
            path: data.decode() for path, data in source.files.items() if not path.endswith(".py")
        }
    except UnicodeDecodeError as error:
        raise SourceError(f"rules of {source.name} are not UTF-8 text") from error
