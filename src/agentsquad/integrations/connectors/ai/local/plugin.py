"""Plugin: models on this machine, if the extra `local` is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from agentsquad.integrations.connectors.ai.contract import (
    Environment,
    ModelExtraError,
    ProviderError,
)
from agentsquad.integrations.connectors.ai.local.weights import MINILM, SMOLLM2
from agentsquad.workforce.agents.contract import Embedder, Model

EXTRA = "install 'agentsquad[local]'"
OFF = "turned off by SQUAD_MODELS=off"
ENGINE = ("xllamacpp",)
EMBEDDING = ("numpy", "safetensors", "tokenizers", MINILM.module)


def lacking(environment: Environment) -> str | None:
    """Return what is missing to run models here, None if nothing is."""
    if environment.get("SQUAD_MODELS") == "off":
        return OFF
    needed = list(ENGINE + EMBEDDING)
    if not environment.get("SQUAD_LOCAL_MODEL"):
        needed.append(SMOLLM2.module)
    return EXTRA if any(find_spec(module) is None for module in needed) else None


def offered(environment: Environment) -> tuple[str, ...]:
    """Return the model's name: of the user's file, else of the one in the
    package.
    """
    file = environment.get("SQUAD_LOCAL_MODEL")
    return (Path(file).stem.lower() if file else SMOLLM2.name,)


def embedders() -> tuple[str, ...]:
    """Return the names of embedders."""
    return (MINILM.name,)


def build(environment: Environment) -> Model:
    """Return the generator. Settings: SQUAD_LOCAL_MODEL, _SHA256 and
    SQUAD_LOCAL_THREADS.
    """
    _require(ENGINE, environment)
    from agentsquad.integrations.connectors.ai.local.adapters import files, gguf

    named = environment.get("SQUAD_LOCAL_MODEL")
    pinned = environment.get("SQUAD_LOCAL_MODEL_SHA256")

    def file() -> Path:
        if not named:
            return next(iter(files.verified(SMOLLM2).values()))
        path = Path(named)
        if not path.is_file():
            raise ProviderError(
                f"SQUAD_LOCAL_MODEL names {named!r}, which is not a file",
                hint="the path of a GGUF file",
            )
        return files.check(path, f"sha256:{pinned}") if pinned else path

    threads = environment.get("SQUAD_LOCAL_THREADS") or "0"
    if not threads.isdigit():
        raise ProviderError(f"SQUAD_LOCAL_THREADS is {threads!r}, not a number")
    return gguf.GgufModel(offered(environment)[0], file, threads=int(threads))


def build_embedder(environment: Environment) -> Embedder:
    """Return the sentence embedder."""
    _require(EMBEDDING, environment)
    from agentsquad.integrations.connectors.ai.local.adapters import files, threads

    threads.single_for_arrays()
    from agentsquad.integrations.connectors.ai.local.adapters import minilm

    def both() -> tuple[Path, Path]:
        weights, tokenizer = files.verified(MINILM).values()
        return weights, tokenizer

    return minilm.MiniLmEmbedder(MINILM.name, both)


def _require(modules: tuple[str, ...], environment: Environment) -> None:
    if environment.get("SQUAD_MODELS") == "off":
        raise ModelExtraError(f"local models are {OFF}", hint="unset SQUAD_MODELS")
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ModelExtraError(
            f"local models need {', '.join(missing)}: {EXTRA}",
            hint="or use a rule, or a provider with an endpoint",
        )
