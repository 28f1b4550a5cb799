"""Passwords: which ones are too easy to guess.

Long is what counts; characters of every kind are not asked for. What a guesser
tries first (common words, rows of keys, repetition, the name) is taken out
before what is left is measured.
"""

from __future__ import annotations

import re
import unicodedata

from agentsquad.trust.identity.contract import PasswordWeakError

LENGTH_MIN = 12
LENGTH_MAX = 256
LEFT_MIN = 6  # characters that follow from nothing a guesser tries first
DIFFERENT_MIN = 5

# What common passwords are made of, longest first, so that none hides another.
_WORDS = """
abc access admin administrator agent agentsquad amanda america andrea andrew angel anthony apple
ashley asshole austin autumn banana barcelona baseball basketball batman bailey biteme blink
buster butterfly changeme charlie cheese chelsea chicken chocolate chris computer cookie correct
corvette cowboy dallas daniel default dragon eagle eminem family father ferrari fishing flower
football forever freedom friend fuckyou gandalf george ginger golfer google guest guitar hannah
harley heather hello hockey horse hunter iloveyou internet jackson jasmine jennifer jessica
jordan joshua justin killer knight letmein liverpool login london love lovely maggie manager
marina martin master matrix matthew maverick mercedes merlin michael michelle midnight minecraft
money monkey monster mother mustang naruto ncc nicole nothing oliver orange p4ssw0rd pass
passcode passphrase password passwort patrick peanut pepper phoenix pokemon porsche princess
private purple qazwsx qwerty qwertz rachel ranger robert root samantha samsung secret security
server service shadow silver slipknot soccer spider spring squad staple starwars steelers summer
sunshine superman sweety system taylor test thomas thunder tigger trustno user victoria welcome
whatever william winner winter wizard yankees yellow zaq zxcvbn january february march april
june july august september october november december monday tuesday wednesday thursday friday
saturday sunday battery horsebattery
"""
COMMON = tuple(sorted(_WORDS.split(), key=lambda word: (-len(word), word)))
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop",
         "abcdefghijklmnopqrstuvwxyz", "01234567890", "1qaz2wsx3edc4rfv5tgb6yhn7ujm")  # fmt: skip
_SPELLED = str.maketrans("@4301!$57", "aaeoiisst")


def check(password: str, *names: str) -> None:
    """Raise PasswordWeakError unless a password is good enough for the account
    of these names."""
    problem = weakness(password, *names)
    if problem is not None:
        raise PasswordWeakError(
            f"the password {problem}",
            hint=f"four or five words that do not belong together are good;"
            f" at least {LENGTH_MIN} characters",
        )


def weakness(password: str, *names: str) -> str | None:
    """Say what is wrong with a password, None where nothing is."""
    text = normal(password)
    if len(text) < LENGTH_MIN:
        return f"is shorter than {LENGTH_MIN} characters"
    if len(text) > LENGTH_MAX:
        return f"is longer than {LENGTH_MAX} characters"
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        return "holds a character that cannot be typed"
    if len(set(text)) < DIFFERENT_MIN:
        return f"has fewer than {DIFFERENT_MIN} different characters"
    if len(left(text, *names)) < LEFT_MIN:
        return "is made of what is tried first: common words, rows of keys, repetition or the name"
    return None


def normal(password: str) -> str:
    """Return a password as it is compared, however its letters were
    composed."""
    return unicodedata.normalize("NFKC", password)


def left(password: str, *names: str) -> str:
    """Return the characters of a password that follow from nothing common.

    Words count by their number too: the second common word is worth two
    characters, since which ones stand together is something to guess.
    """
    text = password.lower()
    spelled = text.translate(_SPELLED)
    if len(spelled) == len(text):
        text = spelled if _words(spelled, names) > _words(text, names) else text
    for part in sorted({p for name in names for p in _parts(name)}, key=len, reverse=True):
        text = text.replace(part, "\0")
    found = 0
    for word in COMMON:
        while word in text and len(word) > 2:
            text = text.replace(word, "\0", 1)
            found += 1
    for row in _ROWS:
        for way in (row, row[::-1]):
            for size in range(len(way), 2, -1):
                for start in range(len(way) - size + 1):
                    text = text.replace(way[start : start + size], "\0")
    text = re.sub(r"(.{1,8}?)\1+", r"\1", text.replace("\0", ""))
    text = re.sub(r"(19|20)\d\d", "", text)
    return text + "  " * max(0, found - 1)


def _words(text: str, names: tuple[str, ...]) -> int:
    return sum(word in text for word in COMMON) + sum(p in text for n in names for p in _parts(n))


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[^a-z0-9]+", name.lower()) if len(part) > 2]
