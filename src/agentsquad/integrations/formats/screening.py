"""Screening: how alike a name is to the names of a list, and why.

A score from 0 to 1 out of parts that can be shown: words are compared by
Jaro-Winkler and by consonants, weighed by how rare they are on the list, and
aligned regardless of order. Country and address only add evidence. Whether a
score stops a payment is policy, not this file.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from heapq import nlargest
from math import log

import msgspec

from agentsquad.integrations.formats.ofac import Entry, SanctionsList

LEGAL_FORMS = frozenset(
    re.findall(
        r"\w+",
        """ab ag aktiengesellschaft anonim aps as asa bhd bv bvba cjsc co company corp corporation
        cv doo eirl eood fze fzc fzco fzllc gesellschaft gmbh inc incorporated jsc kft kg kk lda
        limited limitada llc llp lp ltd ltda mbh nv oao ojsc ooo ou oy oyj pao pjsc plc pt pte pty
        pvt sa sae sal saoc sarl sas sasu sca sdn se sirketi sl snc societe sp spa spol sro srl
        tov ug zao zoo zrt""",
    )
)
"""Words that say what kind of company it is, not which."""

FILLERS = frozenset(
    re.findall(
        r"\w+",
        "a abi abou abu al and ar ash az bin bint de del der di do el for ibn la le of the ul um"
        " umm und van von y",
    )
)
"""Words that hardly tell names apart; they count a little."""

_SHORT = {
    "assn": "association", "centre": "center", "dept": "department", "govt": "government",
    "inds": "industries", "intl": "international", "mfg": "manufacturing", "natl": "national",
    "org": "organization", "univ": "university",
}  # fmt: skip
_CYRILLIC = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ",
        re.findall(
            r"[a-z.]+",
            "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch . y . e yu ya i yi ye g",
        ),
        strict=True,
    )
)
_LATIN = {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
_LETTERS = str.maketrans({key: text.strip(".") for key, text in (_CYRILLIC | _LATIN).items()})
_INITIALS = re.compile(r"\b(?:\w\.){2,}")
_SERVANT = re.compile(r"\babd(?:[ -]?(?:[aeu]l|ur|us|as|ar))?[ -]?(\w{3,})")  # Abd al-Karim
_SOUNDS = (
    ("x", "ks"), ("kh", "k"), ("gh", "g"), ("ph", "f"), ("sch", "s"), ("sh", "s"), ("ch", "c"),
    ("dh", "d"), ("th", "t"), ("tz", "z"), ("ts", "z"), ("ck", "k"), ("q", "k"), ("w", "v"),
    ("j", "y"), ("c", "k"),
)  # fmt: skip
_PREFIX_SCALE = 0.05  # at the usual 0.1 Tropical passes for Tropicana
_WORD_MIN = 0.86  # words less alike are different words
_SOUND_ALIKE = 0.95
_SOUND_MIN = 0.7
_FILLER_WEIGHT = 0.15
_CANDIDATES_MAX = 100
_COMMON_SHARE = 0.03
_CACHE_MAX = 4096
_JOINED_MIN = 8


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to screen; country and address help if they are known."""

    name: str
    country: str | None = None
    address: str | None = None


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One listed party that may be meant.

    `score` = name + country + address, at most 1. `words` shows each pair of
    words and how alike they are.
    """

    score: float
    entry: int
    listed: str
    matched: str
    name: float
    country: float = 0.0
    address: float = 0.0
    words: tuple[tuple[str, str, float], ...] = ()
    weak: bool = False


class _Name(msgspec.Struct, frozen=True):
    text: str
    words: tuple[str, ...]
    joined: str
    entry: int
    weak: bool


@lru_cache(maxsize=_CACHE_MAX)
def normalise(name: str) -> tuple[str, ...]:
    """Return the words that name a party, plain and without legal forms."""
    text = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS))
    text = "".join(char for char in text if not unicodedata.combining(char)).translate(_LETTERS)
    text = _INITIALS.sub(lambda found: found[0].replace(".", ""), text)
    text = re.sub(r"['’`ʼ´]", "", text)
    words = tuple(re.findall(r"[^\W_]+", _SERVANT.sub(r"abd\1", text)))
    kept = tuple(_SHORT.get(word, word) for word in words if word not in LEGAL_FORMS)
    return kept or words


def jaro(left: str, right: str) -> float:
    """Return Jaro's similarity: letters in reach, less transpositions."""
    if left == right:
        return 1.0
    if not left or not right:
        return 0.0
    reach = max(len(left), len(right)) // 2 - 1
    taken = [False] * len(right)
    common = []
    for at, letter in enumerate(left):
        for other in range(max(0, at - reach), min(len(right), at + reach + 1)):
            if not taken[other] and right[other] == letter:
                taken[other] = True
                common.append(letter)
                break
    if not common:
        return 0.0
    again = [letter for letter, was in zip(right, taken, strict=True) if was]
    moved = sum(a != b for a, b in zip(common, again, strict=True)) // 2
    count = len(common)
    return (count / len(left) + count / len(right) + (count - moved) / count) / 3


def jaro_winkler(left: str, right: str, *, scale: float = 0.1) -> float:
    """Return Jaro's similarity raised for up to four equal first letters."""
    plain = jaro(left, right)
    prefix = 0
    for a, b in zip(left[:4], right[:4], strict=False):
        if a != b:
            break
        prefix += 1
    return plain + prefix * scale * (1 - plain)


@lru_cache(maxsize=1 << 16)
def sound(word: str) -> str:
    """Return the consonants of a word as spellings of one name share them."""
    for written, heard in _SOUNDS:
        word = word.replace(written, heard)
    first, rest = word[:1], re.sub("[aeiouyh]", "", word[1:])
    return re.sub(r"(.)\1+", r"\1", ("a" if first in "aeiou" else first) + rest)


def alike(left: str, right: str) -> float:
    """Return how alike two words are; 0 if they are different words."""
    if left == right:
        return 1.0
    if min(len(left), len(right)) < 4 or left.isdigit() or right.isdigit():
        return 0.0
    score = jaro_winkler(left, right, scale=_PREFIX_SCALE)
    if score >= _SOUND_MIN and len(sound(left)) >= 2 and sound(left) == sound(right):
        score = max(_SOUND_ALIKE, (1 + score) / 2)
    return score if score >= _WORD_MIN else 0.0


class Screen:
    """A list made ready to be asked many times."""

    def __init__(self, sanctions: SanctionsList) -> None:
        self.digest = sanctions.digest
        self._entries = {entry.id: entry for entry in sanctions.entries}
        self._names = [name for entry in sanctions.entries for name in _names(entry)]
        self._postings: dict[str, list[int]] = defaultdict(list)
        for at, name in enumerate(self._names):
            for word in set(name.words):
                self._postings[word].append(at)
        self._vocabulary = sorted(self._postings)
        self._weights = {word: self._rarity(len(seen)) for word, seen in self._postings.items()}
        self._weights.update(dict.fromkeys(FILLERS, _FILLER_WEIGHT))
        self._grams: dict[str, list[int]] = defaultdict(list)
        self._sounds: dict[str, list[int]] = defaultdict(list)
        for at, word in enumerate(self._vocabulary):
            for gram in _grams(word):
                self._grams[gram].append(at)
            self._sounds[sound(word)].append(at)
        self._sizes = [len(_grams(word)) for word in self._vocabulary]
        self._joined: dict[str, list[int]] = defaultdict(list)
        for at, name in enumerate(self._names):
            if len(name.joined) >= _JOINED_MIN:
                self._joined[sound(name.joined)].append(at)
        self._similar: dict[str, dict[str, float]] = {}
        self._common: dict[str, frozenset[int]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def weight(self, word: str) -> float:
        """Return how much a word tells: rare ones more, fillers hardly."""
        known = self._weights.get(word)
        return self._rarity(0) if known is None else known

    def _rarity(self, seen: int) -> float:
        count = len(self._names)
        return log(1 + count / (1 + seen)) / log(2 + count / 2)

    def screen(self, party: Party, *, minimum: float = 0.7, limit: int = 5) -> list[Match]:
        """Return the listed parties most like this one, best first."""
        words = normalise(party.name)
        best: dict[int, Match] = {}
        for at in self._candidates(words):
            name = self._names[at]
            score, pairs = self._compare(words, name)
            if score < minimum - 0.05:
                continue
            match = self._evidence(party, name, score, pairs)
            known = best.get(name.entry)
            if match.score >= minimum and (known is None or match.score > known.score):
                best[name.entry] = match
        return sorted(best.values(), key=lambda match: (-match.score, match.entry))[:limit]

    def _candidates(self, words: Sequence[str]) -> list[int]:
        """Return the names that share the most telling words, or near ones."""
        common = max(50, int(len(self._names) * _COMMON_SHARE))
        points: dict[int, float] = defaultdict(float)
        late: list[tuple[int, str, float]] = []
        for word in dict.fromkeys(words):
            for near, score in self._near(word).items():
                found = self._postings[near]
                worth = score * self.weight(near)
                if len(found) > common:
                    late.append((len(found), near, worth))
                    continue
                for at in found:
                    points[at] += worth
        for _, near, worth in sorted(late):
            if points:  # a common word only orders what the rarer ones found
                for at in points.keys() & self._common_names(near):
                    points[at] += worth
            else:
                points.update(dict.fromkeys(self._postings[near], worth))
        best = nlargest(_CANDIDATES_MAX, points, key=lambda at: (points[at], -at))
        joined = "".join(words)
        if len(joined) >= _JOINED_MIN:
            best += [at for at in self._joined.get(sound(joined), ()) if at not in best]
        return best

    def _common_names(self, word: str) -> frozenset[int]:
        known = self._common.get(word)
        if known is None:
            known = self._common[word] = frozenset(self._postings[word])
        return known

    def _near(self, word: str) -> dict[str, float]:
        """Return the words of the list that may be this word."""
        known = self._similar.get(word)
        if known is not None:
            return known
        grams = _grams(word)
        shared: Counter[int] = Counter()
        for gram in grams:
            shared.update(self._grams.get(gram, ()))
        tried = {
            at
            for at, count in shared.items()
            if count >= 3 and count * 4 >= len(grams) + self._sizes[at]  # Dice at least 0.5
        }
        tried.update(self._sounds.get(sound(word), ()))
        found = {}
        for at in sorted(tried):
            other = self._vocabulary[at]
            score = alike(word, other)
            if score:
                found[other] = score
        if word in self._postings:
            found[word] = 1.0
        if len(self._similar) >= _CACHE_MAX:
            self._similar.clear()
        self._similar[word] = found
        return found

    def _compare(
        self, words: Sequence[str], name: _Name
    ) -> tuple[float, tuple[tuple[str, str, float], ...]]:
        """Align words best first; return the score and the pairs."""
        near = [self._near(word) for word in words]
        ranked = sorted(
            (-score, a, b)
            for a, scores in enumerate(near)
            for b, other in enumerate(name.words)
            if (score := scores.get(other))
        )
        mine = [self.weight(word) for word in words]
        theirs = [self.weight(word) for word in name.words]
        left, right = set(range(len(words))), set(range(len(name.words)))
        pairs, got_mine, got_theirs, telling, rarest = [], 0.0, 0.0, 0, 0.0
        for negative, a, b in ranked:
            if a in left and b in right:
                score = -negative
                left.discard(a)
                right.discard(b)
                pairs.append((words[a], name.words[b], round(score, 3)))
                got_mine += mine[a] * score * score  # doubt weighs more
                got_theirs += theirs[b] * score * score
                telling += name.words[b] not in FILLERS
                rarest = max(rarest, min(1.0, theirs[b]))
        covers = sorted((got_mine / (sum(mine) or 1), got_theirs / (sum(theirs) or 1)))
        # One word alone is weak evidence, and so are many common ones.
        trust = 0.5 + (0.15 * rarest if telling >= 2 else 0.0)
        score = trust * covers[1] + (1 - trust) * covers[0]
        joined = "".join(words)
        if min(len(joined), len(name.joined)) >= _JOINED_MIN:  # words run together or split
            whole = jaro(joined, name.joined)
            if whole >= 0.95:
                score = max(score, whole)
        return min(score, 1.0), tuple(pairs)

    def _evidence(
        self, party: Party, name: _Name, score: float, pairs: tuple[tuple[str, str, float], ...]
    ) -> Match:
        entry = self._entries[name.entry]
        country, address = _country(party, entry), _address(party, entry)
        if name.weak:
            score *= 0.95
        return Match(
            score=round(max(0.0, min(1.0, score + country + address)), 4),
            entry=entry.id,
            listed=entry.name,
            matched=name.text,
            name=round(score, 4),
            country=country,
            address=address,
            words=pairs,
            weak=name.weak,
        )


def _names(entry: Entry) -> list[_Name]:
    found = [_Name(entry.name, (), "", entry.id, False)]
    found += [_Name(alias.name, (), "", entry.id, alias.weak) for alias in entry.aliases]
    return [
        msgspec.structs.replace(name, words=words, joined="".join(words))
        for name in found
        if (words := normalise(name.text))
    ]


def _grams(word: str) -> set[str]:
    padded = f"^{word}$"
    return {padded[at : at + 2] for at in range(len(padded) - 1)}


def _country(party: Party, entry: Entry) -> float:
    """Return what the country adds: a little for, a little against."""
    listed = {normalise(one.country) for one in entry.addresses if one.country}
    if not party.country or not listed:
        return 0.0
    return 0.03 if normalise(party.country) in listed else -0.03


def _address(party: Party, entry: Entry) -> float:
    """Return what equal words of the address add, at most 0.05."""
    mine = {word for word in normalise(party.address or "") if len(word) > 2}
    best = 0.0
    for one in entry.addresses:
        theirs = {
            word for word in normalise(f"{one.street or ''} {one.city or ''}") if len(word) > 2
        }
        if mine and theirs:
            best = max(best, len(mine & theirs) / min(len(mine), len(theirs)))
    return round(0.05 * best, 4) if best >= 0.5 else 0.0
