"""The Rego engine behind the policy port: compile once, then decide.

An engine may only be touched by the thread that made it, so each thread gets
its own on first use (a few milliseconds). Only the engine's JSON interface is
used: its object interface cannot hold sets of objects. Evaluation is strict: a
built-in that fails is an error, and an error denies.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files as resource_files
from typing import Any

import msgspec
import regorus  # type: ignore[import-untyped]

from agentsquad.kernel.policy import Decision, Question
from agentsquad.runtime.policy.adapters.rego_error import STATIC, located, problem
from agentsquad.runtime.policy.adapters.rego_test import run_tests
from agentsquad.runtime.policy.adapters.rego_tree import (
    Module,
    check_calls,
    check_parts,
    packages_of,
)
from agentsquad.runtime.policy.contract import (
    DECISION,
    PackageInfo,
    PolicyDataError,
    PolicyFile,
    PolicyInvalidError,
    PolicyQueryError,
    Problem,
    RuleInfo,
    TestReport,
    question_document,
)
from agentsquad.runtime.policy.mount import NAME, mounted
from agentsquad.runtime.policy.rulebook import (
    RESERVED,
    Rulebook,
    contradictions,
    is_path,
    prefixes,
)

_CACHE_MAX = 8
OFTEN = 20  # evaluations after which an engine of their own has paid for itself
FEW_MAX = 8  # of one thread, 1.5 MB each
ANSWERED_MAX = 4096
FAILED = ("policy.error",)
_EMPTY = "{}"


class _Answer(msgspec.Struct):
    """What `data.squad.decision` looks like."""

    allow: bool
    clauses: list[str]
    reason: str
    obligations: list[dict[str, Any]]


class _Expression(msgspec.Struct):
    value: Any = None


class _Row(msgspec.Struct):
    expressions: list[_Expression]


class _Rows(msgspec.Struct):
    result: list[_Row] = []


_read_answer = msgspec.json.Decoder(_Answer).decode
_read_rows = msgspec.json.Decoder(_Rows).decode


class _Engines(threading.local):
    """The engines of one thread by revision, the oldest given up first; and
    those that ask but a few packages, by revision and which."""

    def __init__(self) -> None:
        self.by_revision: dict[str, Any] = {}
        self.few: dict[tuple[str, tuple[int, ...]], Any] = {}
        self.asked: dict[tuple[str, tuple[int, ...]], int] = {}


_engines = _Engines()


class RegoPolicy:
    """A compiled policy; may be shared between threads."""

    def __init__(
        self, book: Rulebook, modules: Sequence[Module], packages: Sequence[PackageInfo]
    ) -> None:
        self._book = book
        self._packages = tuple(packages)
        self._ungoverned: dict[tuple[str, str], Decision] = {}
        self._answered: dict[bytes, Decision] = {}
        self._governing: dict[str, tuple[int, ...]] = {}
        self._rules = tuple(rule for module in modules for rule in module.rules)

    def _engine(self) -> Any:
        engine = _engines.by_revision.get(self.revision)
        if engine is None:
            while len(_engines.by_revision) >= _CACHE_MAX:
                _engines.by_revision.pop(next(iter(_engines.by_revision)))
            engine = _engines.by_revision[self.revision] = self.fresh_engine()
        return engine

    def _engine_of(self, governing: tuple[int, ...]) -> Any:
        """Return an engine that asks these packages: one of their own once
        they were asked often, else the one that asks all and costs double."""
        key = (self.revision, governing)
        engine = _engines.few.get(key)
        if engine is not None:
            return engine
        if len(_engines.asked) >= ANSWERED_MAX:
            _engines.asked.clear()
        asked = _engines.asked[key] = _engines.asked.get(key, 0) + 1
        if asked < OFTEN:
            return self._engine()
        while len(_engines.few) >= FEW_MAX:
            gone = next(iter(_engines.few))
            del _engines.few[gone]
            _engines.asked.pop(gone, None)
        engine = _engines.few[key] = self.fresh_engine(governing)
        return engine

    def fresh_engine(self, asks: tuple[int, ...] | None = None) -> Any:
        """Return an engine of the calling thread's own, ready to decide; with
        `asks` by the packages at these places alone."""
        engine = new_engine()
        for file in self._book.modules:
            engine.add_policy(file.name, file.text)
        packages = self._packages if asks is None else [self._packages[one] for one in asks]
        engine.add_policy(NAME, mounted(packages))
        engine.add_data_json(json.dumps(self._book.data))
        return engine

    def _governs(self, action: str) -> tuple[int, ...]:
        """Return the places of the packages that govern an action.

        The others would contribute nothing, and looking that up with every
        question is half of what one costs.
        """
        known = self._governing.get(action)
        if known is None:
            subject = f"{action} "
            known = tuple(
                place
                for place, package in enumerate(self._packages)
                if any(subject.startswith(prefix) for prefix in prefixes(package.actions))
            )
            if len(self._governing) >= ANSWERED_MAX:
                self._governing.clear()
            self._governing[action] = known
        return known

    @property
    def revision(self) -> str:
        """Digest of all rules and data, `sha256:…`."""
        return self._book.revision

    @property
    def files(self) -> tuple[PolicyFile, ...]:
        """Every file that takes part, in load order."""
        return self._book.files

    @property
    def rules(self) -> tuple[RuleInfo, ...]:
        """Every rule, in load order."""
        return self._rules

    @property
    def packages(self) -> tuple[PackageInfo, ...]:
        """Every package that takes part in decisions."""
        return self._packages

    def decide(self, question: Question) -> Decision:
        """Answer one question; what goes wrong on the way denies.

        No rule speaks of an action that no package governs, so what the base
        rules say of it depends on its name and effect alone and is asked once.
        Of what is governed the same question is evaluated once: rules know no
        time and no chance (`check_calls`), so the answer follows from the
        rules and the whole question, and another revision is another policy.
        """
        governing = self._governs(question.action)
        key = (question.action, question.effect)
        known = None if governing else self._ungoverned.get(key)
        if known is not None:
            return known
        try:
            text = msgspec.json.encode(question_document(question))
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            return self._failed(error)
        if not governing:
            return _keep(self._ungoverned, key, self._decided(text, governing))
        mark = hashlib.sha256(text).digest()
        known = self._answered.get(mark)
        if known is not None:
            return known
        decision = self._decided(text, governing)
        return decision if decision.clauses == FAILED else _keep(self._answered, mark, decision)

    def _decided(self, text: bytes, governing: tuple[int, ...]) -> Decision:
        try:
            with _no_panic():
                engine = self._engine_of(governing)
                engine.set_input_json(text.decode())
                answer = _read_answer(engine.eval_rule_as_json(DECISION))
                engine.take_prints()  # else they would pile up
        except (RuntimeError, TypeError, ValueError, msgspec.MsgspecError) as error:
            return self._failed(error)
        return Decision(
            allow=answer.allow,
            reason=answer.reason,
            revision=self.revision,
            clauses=tuple(sorted(answer.clauses)),
            obligations=tuple(answer.obligations),
        )

    def _failed(self, error: Exception) -> Decision:
        return Decision(
            allow=False,
            reason=f"the policy could not be evaluated: {located(error)}",
            revision=self.revision,
            clauses=FAILED,
        )

    def query(self, path: str, value: Any) -> Any:
        """Evaluate one rule on any input; None when it is undefined.

        Raises PolicyQueryError, because here nobody is there to deny.
        """
        if not is_path(path):
            raise PolicyQueryError(
                f"{path!r} is not the path of a rule", hint="write data.PACKAGE.RULE"
            )
        try:
            text = msgspec.json.encode(value).decode()
            with _no_panic():
                return _evaluate(self._engine(), path, text)
        except (RuntimeError, TypeError, ValueError) as error:
            found = problem(error)
            raise PolicyQueryError(
                f"{path} could not be evaluated: {located(error)}", hint=found.hint
            ) from None


def _keep(kept: dict[Any, Decision], key: Any, decision: Decision) -> Decision:
    """Remember a decision; all are forgotten when there are too many."""
    if len(kept) >= ANSWERED_MAX:
        kept.clear()
    kept[key] = decision
    return decision


class RegoCompiler:
    """Compiles rulebooks; the last few stay compiled, by revision."""

    def __init__(self) -> None:
        self._compiled: dict[str, RegoPolicy] = {}

    def compile(self, files: Sequence[PolicyFile]) -> RegoPolicy:
        """Return the policy; PolicyInvalidError holds every problem."""
        book = Rulebook((*shipped(), *files))
        known = self._compiled.get(book.revision)
        if known is not None:
            return known
        policy = _compile(book)
        while len(self._compiled) >= _CACHE_MAX:
            self._compiled.pop(next(iter(self._compiled)))
        self._compiled[book.revision] = policy
        return policy

    def test(self, files: Sequence[PolicyFile]) -> TestReport:
        """Run each `test_` rule against the other and the shipped files."""
        policy = _compile(Rulebook((*shipped(), *files)))
        return run_tests(policy.fresh_engine(), policy.rules)


@lru_cache(maxsize=1)
def shipped() -> tuple[PolicyFile, ...]:
    """Return the rules every policy stands on."""
    room = resource_files("agentsquad.runtime.policy")
    text = room.joinpath("rules/decision.rego").read_text("utf-8")
    return (PolicyFile(name="squad/decision.rego", text=text, origin="agentsquad", layer=0),)


def _compile(book: Rulebook) -> RegoPolicy:
    engine = new_engine()
    problems: list[Problem] = []
    for file in book.modules:
        try:
            engine.add_policy(file.name, file.text)
        except RuntimeError as error:
            problems.append(problem(error, file.name))
    if problems:
        raise PolicyInvalidError(problems)
    modules = tuple(Module(tree) for tree in json.loads(engine.get_ast_as_json()))
    _check_reserved(book, modules, problems)
    problems += check_parts(modules)
    problems += check_calls(modules, builtins())
    if problems:
        raise PolicyInvalidError(problems)
    replaced = contradictions(book.data, ((r.package, r.name) for m in modules for r in m.rules))
    if replaced:
        raise PolicyDataError(
            f"data.{replaced[0]} is both a rule and a value in a data file",
            hint="data may not stand in for a rule: rename one of them",
        )
    engine.add_data_json(json.dumps(book.data))
    engine.add_policy(NAME, mounted(()))
    engine.set_input_json(_EMPTY)
    _check_static(engine, modules, problems)
    packages, more = packages_of(modules, _constants(engine))
    problems += more
    if problems:
        raise PolicyInvalidError(problems)
    return RegoPolicy(book, modules, packages)


def _check_reserved(book: Rulebook, modules: Sequence[Module], problems: list[Problem]) -> None:
    layers = {file.name: file.layer for file in book.modules}
    for module in modules:
        if module.package.partition(".")[0] == RESERVED and layers[module.file] > 0:
            problems.append(
                Problem(
                    file=module.file,
                    line=module.package_line,
                    column=1,
                    message=f"the package {module.package} belongs to the product",
                    hint="name the package after what it governs, e.g. `package p2p.limits`",
                )
            )


def _check_static(engine: Any, modules: Sequence[Module], problems: list[Problem]) -> None:
    """Evaluate everything once, for the faults no input can avoid."""
    seen = set()
    for module in modules:
        names = [f"data.{module.package}"]
        names += [f"data.{r.package}.{r.name}(null)" for r in module.rules if r.kind == "function"]
        for name in names:
            try:
                engine.eval_query_as_json(name)
            except RuntimeError as error:
                found = problem(error, module.file)
                if any(mark in found.message for mark in STATIC) and str(found) not in seen:
                    seen.add(str(found))
                    problems.append(found)


def _constants(engine: Any) -> Callable[[str], Any]:
    def evaluate(path: str) -> Any:
        try:
            return _evaluate(engine, path, _EMPTY)
        except RuntimeError:
            return None

    return evaluate


@contextmanager
def _no_panic() -> Iterator[None]:
    """Turn a panic of the engine, which no `except Exception` stops, around."""
    try:
        yield
    except BaseException as error:
        if type(error).__module__ == "pyo3_runtime":
            raise RuntimeError("the policy engine gave up") from None
        raise


def _evaluate(engine: Any, path: str, text: str) -> Any:
    engine.set_input_json(text)
    rows = _read_rows(engine.eval_query_as_json(path)).result
    return rows[0].expressions[0].value if rows else None


def new_engine() -> Any:
    """Return an empty engine with the built-ins we add."""
    # RUST_BACKTRACE would add a native stack trace to each error, which nobody
    # sees (rego_error.py) and which costs a quarter of a second at start.
    os.environ.setdefault("RUST_LIB_BACKTRACE", "0")
    engine = regorus.Engine()
    engine.set_gather_prints(True)
    for name, (arity, function) in _EXTENSIONS.items():
        engine.add_extension(name, arity, function)
    return engine


@lru_cache(maxsize=1)
def builtins() -> frozenset[str]:
    """Return the names of all functions that rules may call."""
    rows = _read_rows(regorus.Engine().eval_query_as_json("opa.runtime().builtins")).result
    return frozenset((*rows[0].expressions[0].value, *_EXTENSIONS, "print"))


def _hex(name: str) -> Callable[[str], str]:
    def compute(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    return compute


def _hmac_sha256(text: str, key: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _hmac_equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


_EXTENSIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "crypto.md5": (1, _hex("md5")),
    "crypto.sha1": (1, _hex("sha1")),
    "crypto.sha256": (1, _hex("sha256")),
    "crypto.hmac.sha256": (2, _hmac_sha256),
    "crypto.hmac.equal": (2, _hmac_equal),
}
"""Built-ins of the language that the engine lacks."""

__all__ = ["RegoCompiler", "RegoPolicy", "builtins", "new_engine", "shipped"]
