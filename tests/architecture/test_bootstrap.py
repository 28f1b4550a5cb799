"""Setting up says what is missing and how to get it, and never half
succeeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    return path


def bootstrap(python: Path, venv: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", str(ROOT / "tools" / "bootstrap.sh"), str(venv)],
        env={"PYTHON": str(python), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_refused_with_what_to_install(tmp_path: Path) -> None:
    old = program(tmp_path / "python3", "exit 1")
    done = bootstrap(old, tmp_path / "venv", "/usr/bin:/bin")
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr and "apt-get install" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_names_the_package_that_brings_it(tmp_path: Path) -> None:
    body = f'[[ "$*" == *ensurepip* ]] && exit 1; exec {sys.executable} "$@"'
    bare = program(tmp_path / "python3", body)
    # Only what the script itself calls: no virtualenv to fall back on.
    done = bootstrap(bare, tmp_path / "venv", str(tmp_path))
    assert done.returncode == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"python{version}-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.slow
def test_a_fitting_python_makes_an_environment_and_keeps_one_that_works(tmp_path: Path) -> None:
    first = bootstrap(Path(sys.executable), tmp_path / "venv", os.environ["PATH"])
    assert first.returncode == 0 and "creating" in first.stdout
    again = bootstrap(tmp_path / "absent", tmp_path / "venv", os.environ["PATH"])
    assert again.returncode == 0 and again.stdout == ""
