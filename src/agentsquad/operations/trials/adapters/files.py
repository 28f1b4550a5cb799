"""Python files that users name, and tests that are written for them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentsquad.kernel.errors import InvalidError
from agentsquad.operations.trials.contract import TrialFileError


class DiskTrialFiles:
    """The file system and the import system."""

    def load(self, name: str) -> Mapping[str, Any]:
        """Return the names a Python file or module defines."""
        path = Path(name)
        try:
            if path.suffix != ".py":
                return vars(importlib.import_module(name.partition(":")[0]))
            known = f"agentsquad_trial_{path.stem}"
            spec = importlib.util.spec_from_file_location(known, path.resolve())
            if spec is None or spec.loader is None or not path.is_file():
                raise TrialFileError(f"there is no file {name}", hint="name a Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[known] = module
            spec.loader.exec_module(module)
        except InvalidError:
            raise
        except Exception as error:
            raise TrialFileError(
                f"{name} cannot be loaded: {type(error).__name__}: {error}",
                hint="it must run by itself: python " + name,
            ) from error
        return vars(module)

    def write(self, folder: str, name: str, text: str) -> str:
        """Write a file into a folder and return its path."""
        target = Path(folder) / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        except OSError as error:
            raise TrialFileError(
                f"{target} cannot be written: {error.strerror}",
                hint="name a folder you may write to",
            ) from error
        return str(target)
