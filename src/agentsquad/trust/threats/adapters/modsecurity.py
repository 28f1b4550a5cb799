"""The OWASP Core Rule Set in libmodsecurity, the engine it is written for.

The rules are other people's files in a folder that the operator names; nothing
of them is here. The engine only reports: what the scores mean is the shield's
to say, so that one rule set serves every mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from libmodsecurity import ModSecurity, RulesSet

from agentsquad.trust.threats.contract import Found, Hit, ProtectionError

# Initialisation, methods, scanners, protocol, files, remote files, commands,
# generic (SSRF among them), XSS, SQL, sessions, Java, the sum.
FILES = (901, 911, 913, 920, 921, 930, 931, 932, 934, 941, 942, 943, 944, 949)
SCORES = {0: 5, 1: 5, 2: 5, 3: 4, 4: 3, 5: 2}  # by severity, as the rule set counts
SUMS = range(949_000, 950_000)  # they say how much it was, not what
SERVER = "127.0.0.1"
# What the rules expect of any request, for calls that came by another protocol.
CALL = {"host": "localhost", "user-agent": "squad", "accept": "*/*"}

_SETUP = r"""
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRequestBodyLimit 134217728
SecRequestBodyNoFilesLimit 134217728
SecRequestBodyJsonDepthLimit 256
SecResponseBodyAccess Off
SecAuditEngine Off
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecDefaultAction "phase:1,log,auditlog,pass"
SecDefaultAction "phase:2,log,auditlog,pass"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z0-9.-]+[+])?json" \
    "id:1,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application(?:/soap[+]|/)|text/)xml" \
    "id:2,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=XML"
SecAction "id:3,phase:1,pass,nolog,t:none,\
    setvar:tx.crs_setup_version=480,\
    setvar:tx.blocking_paranoia_level={paranoia},\
    setvar:tx.detection_paranoia_level={paranoia},\
    setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE CONNECT',\
    setvar:'tx.allowed_request_content_type=|application/json| |application/yaml| \
|application/xml| |text/xml| |text/plain| |application/msgpack| |application/octet-stream| \
|application/x-www-form-urlencoded| |multipart/form-data| |application/graphql-response+json| \
|application/edi-x12| |application/scim+json| |application/merge-patch+json|',\
    ctl:ruleRemoveById=920350,\
    setvar:tx.max_num_args=10000"
"""


class CoreRules:
    """One loaded rule set."""

    def __init__(self, folder: Path, paranoia: int = 1) -> None:
        rules = folder / "rules" if (folder / "rules").is_dir() else folder
        self._engine = ModSecurity()
        self._rules = RulesSet()
        self._found: list[Found] = []
        self._load(_SETUP.replace("{paranoia}", str(paranoia)), "the setup")
        loaded = 0
        for number in FILES:
            for file in sorted(rules.glob(f"REQUEST-{number}-*.conf")):
                loaded += self._checked(self._rules.load_from_uri(str(file)), file.name)
        if not loaded:
            raise ProtectionError(
                f"there are no rules in {folder}",
                hint="a folder of the OWASP Core Rule Set: its rules/REQUEST-942-*.conf and others",
            )
        self._engine.set_rule_message_callback(self._hear)
        self.count = loaded
        self.about = f"{self._engine.who_am_i().split(' ')[0]}, {loaded} rules, level {paranoia}"

    def _load(self, text: str, what: str) -> None:
        self._checked(self._rules.load(text), what)

    def _checked(self, loaded: int, what: str) -> int:
        if loaded < 0:
            raise ProtectionError(
                f"the rules in {what} are not understood",
                details={"error": self._rules.get_parser_error()[:500]},
            )
        return loaded

    def _hear(self, message: Any) -> None:
        if message.rule_id not in SUMS:
            self._found.append(
                Found(
                    rule=str(message.rule_id),
                    score=SCORES.get(message.severity, 0),
                    message=message.message,
                    where=_where(message),
                )
            )

    def inspect(self, hit: Hit) -> Sequence[Found]:
        """Return the rules that fit; takes a few milliseconds."""
        self._found = []
        # Without a name the engine draws one from the clock.
        with self._engine.transaction(self._rules, "squad") as one:
            one.process_connection(hit.address or SERVER, 1, SERVER, 80)
            query = f"?{hit.query}" if hit.query else ""
            method = "POST" if hit.method == "CALL" else hit.method
            path = quote("/" + hit.path.lstrip("/"), safe="/:@!$&'()*+,;=~")
            one.process_uri(path + query, method, "1.1")
            for name, value in _headers(hit).items():
                if name != "authorization":  # a credential is no input, and never logged
                    one.add_request_header(name, value)
            one.process_request_headers()
            if hit.body:
                one.append_request_body(hit.body)
            one.process_request_body()
        return self._found

    def close(self) -> None:
        """Let go of the engine's callback."""
        self._engine.set_rule_message_callback(None)


def _headers(hit: Hit) -> Mapping[str, str]:
    if hit.method != "CALL":
        return hit.headers
    return {**CALL, "content-type": "application/json", "content-length": str(len(hit.body))}


def _where(message: Any) -> str:
    """Return what a rule fits; bytes that are no text must not hide that it
    does."""
    try:
        return str(message.data)[:200]
    except UnicodeDecodeError:
        return ""
