"""Injection: text that speaks to the model that reads it, and not to the person
it was written for.

Rules of our own by family, over a text from which disguises were taken:
compatibility letters, look-alikes of other alphabets, invisible letters, spaced
letters, and base64. Each family counts once; a text counts as an attempt where
its families together reach the threshold. Rules find what is said in known ways
and nothing else; what they find and miss is measured (bench/injection.py).
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata

from agentsquad.trust.threats.contract import Screened

THRESHOLD = 5
TEXT_MAX = 200_000  # letters looked at of one text, from both of its ends
_GAP = r"(?:\W+\w+){0,4}?\W+"  # a few words between

# Letters that look like Latin ones; NFKC leaves them as they are.
_ALIKE = str.maketrans(
    "\u0430\u0432\u0435\u0456\u043a\u043c\u043e\u0501\u0440\u0441\u0442\u0443\u0445\u04bb"
    "\u0458\u0455\u0475\u051d\u044c\u0578\u03bf\u03b1\u03b5\u03b9\u03ba\u03bd\u03c4\u03c5"
    "\u03c7\u03c1\u20ac",
    "abeikmodpctyxhjsvwbnoaeikvtuxpe",
)
# Digits and signs in the place of letters, within words.
_LEET = str.maketrans("43105789$@!|", "aeiostbgsail")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_WORD = re.compile(r"[a-z0-9$@!|]{2,40}")
_LEETED = re.compile(r"[a-z][0-9$@!|]|[0-9$@!|][a-z]")
_SPACED = re.compile(r"\b(?:[a-z][ ._*-]){4,}[a-z]\b")
_CODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")

_THEM = (
    r"(?:instructions?|prompts?|rules?|directions?|directives?|guidelines?|commands?|orders?|"
    r"constraints?|restrictions?|policies|programming|training|assignments?|tasks?|thoughts?|"
    r"information(?:en)?|instruktion\w*|"
    r"anweisung\w*|aufgaben?|regeln|befehle?|angaben|instrucciones|reglas|ordenes|órdenes|"
    r"consignes|règles|istruzioni|regole|instruções|regras|uputstva|naredbe)"
)
_FORMER = (
    r"(?:previous|prior|above|earlier|preceding|former|initial|original|foregoing|all|any|every|"
    r"everything|your|these|those|system|vorherige\w*|vorangegangene\w*|vorige\w*|obige\w*|"
    r"bisherige\w*|alle[ns]?|deine|anterior\w*|previas|précédent\w*|precedent\w*|prethodne)"
)
_DROP = (
    r"(?:drop|abandon|leave|erase|lass\w*|streich\w*|abweichend|ignor\w*|disregard\w*|"
    r"forget\w*|overrid\w*|bypass\w*|neglect\w*|discard\w*|skip|"
    r"do not (?:follow|obey)|don'?t (?:follow|obey|listen)|stop following|pay no attention|"
    r"vergiss\w*|vergessen\w*|missachte\w*|olvid\w*|oublie\w*|dimentica\w*|esque[cç]a\w*|"
    r"zaboravi\w*)"
)

_FAMILIES: dict[str, tuple[int, tuple[str, ...]]] = {
    "override": (
        5,
        (
            rf"\b{_DROP}{_GAP}{_FORMER}\b",
            rf"\b{_DROP}{_GAP}{_THEM}\b",
            rf"\b(?:new|updated|revised|real|actual|neue|nuevas)\W+{_THEM}\W*(?::|from|follow|are)",
            r"\b(?:instead|rather),? (?:of (?:that|this|the above)|do|say|print|output|write)\b",
            rf"\b{_FORMER}\W+{_THEM}\b(?:\W+\w+){{0,8}}?\W+(?:irrelevant|void|invalid|"
            rf"obsolete|behind)",
            r"\b(?:despite|contrary to|regardless of) (?:what|everything|all|any)"
            r"(?:\W+\w+){0,3}?\W+(?:told|said|instructed|instructions)\b",
            rf"\b(?:end|start|beginning) of (?:the )?(?:\w+ )?{_THEM}",
            r"\bfrom now on\b|\bab (?:jetzt|sofort)\b|\ba partir de ahora\b|\bdésormais\b",
            r"\b(?:your|the) (?:new|true|real|only) (?:task|goal|job|objective|purpose|role)\b",
        ),
    ),
    "role": (
        5,
        (
            r"\bals\b.{1,60}\bfungieren\b",
            r"\byou (?:are|will be|must be) (?:now|no longer|going to (?:act|be|pretend))\b",
            r"\b(?:act|behave|respond|answer|reply|pose|roleplay) (?:like|as (?:if|though|"
            r"an?|the|my))\b",
            r"\b(?:pretend|imagine|simulate|suppose) (?:to be|that you|you(?:'re| are)|being)\b",
            r"\bdu bist (?:jetzt|nun|ein)\b|\bstell dir vor\b|\bahora eres\b|"
            r"\bact[uú]a como\b|\btu es\b",
            r"\b(?:stay|remain|be) in character\b|\bin the role of\b",
            r"\bi (?:am|'m) (?:your|the) (?:developer|creator|admin\w*|owner|boss|programmer)\b",
        ),
    ),
    "unbound": (
        5,
        (
            r"\b(?:do anything now|developer mode|debug mode|god mode|dan mode|jailbr\w+|"
            r"sudo mode)\b",
            r"\bdan\b(?=.{0,80}\b(?:mode|prompt|anything|restrict|respond)\b)",
            r"\b(?:no|without|free (?:of|from)|not bound by) (?:any )?(?:more )?(?:\w+ )?"
            r"(?:restrict\w+|filter\w*|limit(?:s|ations)|rules|censor\w+|guardrails|morals?|"
            r"ethic\w*)\b",
            r"\b(?:unfiltered|uncensored|unrestricted|amoral|unethical)\b",
            r"\b(?:always intelligent and machiavellian|never refus\w+|cannot refuse|"
            r"must comply)\b",
        ),
    ),
    "leak": (
        5,
        (
            r"\b(?:reveal|show|print|repeat|output|display|tell|give|share|leak|dump|expose|"
            r"provide|"
            r"write out|copy|spell|summari[sz]e|zeig\w*|verrat\w*|nenn\w*|revela|muestra|montre)\b"
            r"(?:\W+\w+){0,6}?\W+(?:system|hidden|initial|secret|original|internal|confidential|"
            r"previous|above|entire|full|geheim\w*)\W+(?:\w+\W+)?"
            r"(?:prompt|instructions?|messages?|text|context|rules|conversation|words?|data|"
            r"config\w*|"
            r"document\w*|anweisung\w*)\b",
            r"\bwhat (?:were|are|was|is) (?:your|the) (?:\w+ )?(?:system|initial|original|"
            r"hidden|first|secret) "
            r"(?:\w+ )?(?:prompt|instructions?|rules?|message|sentence|password)\b",
            r"\b(?:your|the) (?:password|secret key|api key|access token|credentials)\b",
            r"\b(?:prompt|instructions?) (?:text )?(?:verbatim|word for word|in (?:full|"
            r"its entirety))\b",
        ),
    ),
    "marks": (
        5,
        (
            r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)",
            r"\[/?inst\]|<</?sys>>|</?(?:system|instructions?|assistant|admin)>",
            r"(?m)^[^\w\n]{0,20}(?:system|assistant|developer)\s*(?:message|prompt|override|"
            r"note)?\s*[:>\]]",
            r"(?m)^#{1,4}\s*(?:system|new|instructions?|response|assistant)\b",
            r"\[(?:system|admin|override|important|instructions?)[^\]]{0,40}\]",
        ),
    ),
    "secrecy": (
        5,
        (
            r"\b(?:do not|don'?t|never|without) (?:tell\w*|inform\w*|mention\w*|notify\w*|"
            r"reveal\w*|"
            r"say\w*|ask\w*|alert\w*|let\w*)\W+(?:\w+\W+){0,3}?(?:user|customer|anyone|"
            r"anybody|them|"
            r"human|operator|this|person|approval|confirmation)\b",
            r"\b(?:ai|assistant|model|llm|agent|chatbot|bot)s?\b(?:\W+\w+){0,6}?\W+"
            r"(?:must|should|shall|please|need to|has to|have to)\W+(?:\w+\W+){0,2}?"
            r"(?:approve|pay|transfer|send|ignore|accept|delete|mark|classify|recommend|say|"
            r"respond)\b",
        ),
    ),
    "outward": (
        5,
        (
            r"!\[[^\]]{0,80}\]\(https?://[^)]{1,300}[?&=]",
            r"\b(?:send|forward|post|upload|exfiltrate|transmit|email|submit|transfer)\b"
            r"(?:\W+\w+){0,10}?\W+to\W+(?:\w+\W+){0,3}?(?:https?://|www\.|\S+@\S+)",
            r"\b(?:in|at the end of|with|append to) your (?:response|reply|answer|output)\b"
            r"(?:\W+\w+){0,8}?\W+(?:include|link|url|visit|click|suggest|mention|https?|www)",
            r"\b(?:visit|click|go to|navigate to|open|"
            r"download)\b(?:\W+\w+){0,6}?\W+(?:https?://|www\.)",
        ),
    ),
    "tools": (
        5,
        (
            r"\b(?:call|invoke|use|execute|run)\W+(?:\w+\W+){0,2}?(?:tool|function|action|"
            r"api|command|"
            r"script|shell|code)s?\b(?:\W+\w+){0,4}?\W+(?:to|with|and)\W+(?:\w+\W+){0,2}?"
            r"(?:approve|pay|transfer|delete|send|drop|grant)\b",
            r"\b(?:rm -rf|drop table|os\.system|subprocess|eval\(|exec\()",
            r"\b(?:approve|authori[sz]e|release|pay)\W+(?:this|the|all)\W+(?:\w+\W+){0,2}?"
            r"(?:invoices?|payments?|orders?|requests?)\W+(?:immediately|automatically|without)\b",
        ),
    ),
}
_RULES = {
    name: (weight, tuple(re.compile(one) for one in patterns))
    for name, (weight, patterns) in _FAMILIES.items()
}
HIDDEN = 4  # for a text with letters that nobody sees


def plain(text: str) -> str:
    """Return a text without its disguises, in small letters."""
    found = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).lower().translate(_ALIKE)
    found = _SPACED.sub(lambda m: re.sub(r"[ ._*-]", "", m[0]), found)
    return found.replace("\u2019", "'")


def _unleeted(text: str) -> str:
    """Return the words that mix letters with digits or signs, with letters
    alone, and those around them."""
    if not _LEETED.search(text):
        return ""
    return _WORD.sub(lambda m: m[0].translate(_LEET) if _LEETED.search(m[0]) else m[0], text)


def decoded(text: str) -> list[str]:
    """Return the texts that stand in base64 in a text."""
    found = []
    for match in _CODED.findall(text)[:20]:
        try:
            data = base64.b64decode(match + "=" * (-len(match) % 4))
            said = data.decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            continue
        if said.isprintable() and " " in said:
            found.append(said)
    return found


def screen(text: str, threshold: int = THRESHOLD) -> Screened:
    """Say whether a text speaks to the model that reads it."""
    if len(text) > TEXT_MAX:
        text = text[: TEXT_MAX // 2] + "\n" + text[-TEXT_MAX // 2 :]
    read = plain(text)
    read = "\n".join([read, _unleeted(read), *(plain(one) for one in decoded(text))])
    rules, score = [], 0
    for name, (weight, patterns) in _RULES.items():
        if any(pattern.search(read) for pattern in patterns):
            rules.append(f"injection.{name}")
            score += weight
    hidden = _INVISIBLE.findall(text)
    if sum(letter >= "\U000e0000" for letter in hidden) > 3:
        rules.append("injection.hidden")
        score += HIDDEN
    return Screened(rules=tuple(rules), score=score, attempt=score >= threshold)
