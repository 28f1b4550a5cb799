"""MiniLM: an Embedder that runs the sentence transformer's six layers in plain
numpy.

A framework for this one network would weigh twenty times as much as its
weights. The arithmetic is BERT's encoder (post-norm, exact GELU), then the mean
over tokens, then unit length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = NDArray[np.float32]

LAYERS = 6
HEADS = 12
SIZE = 384
TOKENS_MAX = 256
BATCH = 32
EPSILON = np.float32(1e-12)


class MiniLmEmbedder:
    """An Embedder. `files` returns the weights and the tokenizer when first
    needed.
    """

    size = SIZE

    def __init__(self, model: str, files: Callable[[], tuple[Path, Path]]) -> None:
        self.model = model
        self._files = files
        self._network: Network | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="squad-minilm")

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text, in order, computed off the event
        loop.
        """
        if not texts:
            return []
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._embed, list(texts))

    def _embed(self, texts: list[str]) -> list[list[float]]:
        if self._network is None:
            self._network = Network.load(*self._files())
        return self._network.embed(texts)


class Network:
    """The weights and what is computed with them."""

    def __init__(self, weights: Mapping[str, Array], tokenizer: Any) -> None:
        self._weights = weights
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, weights: Path, tokenizer: Path) -> Network:
        """Read both files; matrices are turned round once instead of at every
        use.
        """
        loaded: dict[str, Array] = {}
        for name, value in load_file(weights).items():
            turned = value.ndim == 2 and "embeddings" not in name
            array = np.ascontiguousarray(value.T) if turned else value
            if array.dtype.kind == "f":
                loaded[name.removeprefix("bert.")] = array.astype(np.float32, copy=False)
        reader = Tokenizer.from_file(str(tokenizer))
        reader.enable_truncation(TOKENS_MAX)
        reader.enable_padding()
        return cls(loaded, reader)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text; similar lengths go together to waste
        no padding.
        """
        vectors: list[list[float]] = [[] for _ in texts]
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH):
            indexes = order[start : start + BATCH]
            rows = self._encode([texts[index] for index in indexes])
            for index, row in zip(indexes, rows.tolist(), strict=True):
                vectors[index] = row
        return vectors

    def _encode(self, texts: Sequence[str]) -> Array:
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = np.array([item.ids for item in encoded])
        mask = np.array([item.attention_mask for item in encoded], dtype=np.float32)
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        hidden = (1.0 - mask)[:, None, None, :] * np.float32(-1e4)
        for layer in range(LAYERS):
            x = self._layer(x, hidden, f"encoder.layer.{layer}")
        total = (x * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        unit: Array = total / np.linalg.norm(total, axis=1, keepdims=True)
        return unit

    def _layer(self, x: Array, hidden: Array, name: str) -> Array:
        attended = self._attend(x, hidden, f"{name}.attention.self")
        x = self._norm(
            x + self._dense(attended, f"{name}.attention.output.dense"),
            f"{name}.attention.output.LayerNorm",
        )
        inner = _gelu(self._dense(x, f"{name}.intermediate.dense"))
        return self._norm(
            x + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _attend(self, x: Array, hidden: Array, name: str) -> Array:
        batch, length, size = x.shape
        shape = (batch, length, HEADS, size // HEADS)

        def heads(part: str) -> Array:
            return self._dense(x, f"{name}.{part}").reshape(shape).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2)
        scores = scores / np.float32(np.sqrt(size // HEADS)) + hidden
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores = scores / scores.sum(axis=-1, keepdims=True)
        mixed: Array = (scores @ heads("value")).transpose(0, 2, 1, 3).reshape(x.shape)
        return mixed

    def _dense(self, x: Array, name: str) -> Array:
        result: Array = x @ self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return result

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + EPSILON)
        result: Array = (
            centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )
        return result


def _gelu(x: Array) -> Array:
    """Apply x * Phi(x), with erf by Abramowitz and Stegun 7.1.26 (error below
    1.5e-7).
    """
    z = np.abs(x) / np.float32(np.sqrt(2.0))
    t = 1.0 / (1.0 + np.float32(0.3275911) * z)
    tail = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    erf = np.sign(x) * (1.0 - tail * np.exp(-z * z))
    result: Array = (0.5 * x * (1.0 + erf)).astype(np.float32)
    return result
