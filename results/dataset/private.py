"""What is personal or of somebody's machines leaves no run by way of a dataset: it is hashed with a salt nobody keeps.

Settings and facts are let through by what they are: numbers, truth values, and words under a key known to hold a public
name; every other word becomes a token such as `port-1f0a9c34d2`. The same word has the same token within a dataset, and
no relation to that in another. Free text keeps its words, less those words and whatever looks private.
"""

from __future__ import annotations

import getpass
import hmac
import json
import re
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from results.records import Facts, RunHeader

PUBLIC_KEYS = frozenset(
    # settings
    {"name", "kind", "model", "profile", "sensor", "standard", "serve", "at", "marks", "chips", "channels", "channel"}
    | {"by", "input", "compress", "hold", "otherwise", "frequencies"}
    | {"policies", "actions", "action", "energy", "environments", "options", "method", "firmware", "supply_by"}
    # facts of a trial
    | {"source", "distribution", "measured", "proposed", "failure", "governor", "power_mode", "target", "precision"}
    # of a calibration and a model
    | {"says", "created", "expires", "accuracy", "sha256"}
)
"""below these, words are free text"""
PRIVATE_KEYS = re.compile(r"serial|ssid|(^|_)mac(_|$)|user|host|node|imei|uuid", re.IGNORECASE)
"""below these, numbers are hashed too"""
_VOUCHING = frozenset({"options", "sha256", "frequencies"})
"""keys that make public what lies below, whatever its own key"""
_SETTINGS = frozenset({"", "local", "emulated", "none"})
"""words that stand where private ones might, and tell nothing"""
_NOBODYS = _SETTINGS | {
    "localhost",
    "root",
    "host",
    "user",
    "admin",
    "pi",
    "raspberry",
    "raspberrypi",
    "jetson",
    "nvidia",
}
_NOBODYS |= {"ubuntu", "debian", "linux"}
"""names that come with a system: they tell nobody, and stand in names of boards"""
_LEAST_LOOSE = 5
"""letters from which on a private word is also found between hyphens and dots: "pi" must not hit "raspberry-pi-5\""""
_MEMO = 1 << 14

_LOOKS = {
    "url": re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>,;)\]}]+"),
    "mail": re.compile(r"[\w.+-]+@[A-Za-z][\w-]*(?:\.[\w-]+)*\.[A-Za-z]{2,}"),
    "mac": re.compile(r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?:[:-][0-9A-Fa-f]{2}){0,2}\b"),
    "ssid": re.compile(r"(?i)\bb?ssid[ =:]+[^\s,;]+"),
    "home": re.compile(r"(?:/home|/Users|/root|/media|/run/user|[A-Za-z]:\\Users)(?:[/\\][^\s\"':,;)\]}]+)+"),
    "device": re.compile(r"/dev/(?:serial|disk)/[^\s\"':,;)\]}]+"),
    "address": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?::\d+)?"),
}
"""kind of a private thing -> what it looks like in free text"""
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:%\w+)?(?![\w:])")


def looks_private(text: str) -> list[str]:
    """Whatever in a text looks like an address, a URL, a mailbox, a MAC address, a home folder or a device's name."""
    found = [match.group() for look in _LOOKS.values() for match in look.finditer(text)]
    return found + [match.group() for match in _IPV6.finditer(text) if _is_ipv6(match.group())]


@lru_cache(maxsize=_MEMO)
def is_private(key: str) -> bool:
    """Whether what stands below a key is private whatever it is."""
    return PRIVATE_KEYS.search(key) is not None


def words_of_this_host() -> set[str]:
    """How this machine, its user and the user's folder are called."""
    words = {socket.gethostname(), socket.gethostname().partition(".")[0], str(Path.home()), Path.home().name}
    with suppress(KeyError, OSError):  # a user without a name has none to leak
        words.add(getpass.getuser())
    return {word for word in words if _tells(word)}


class Private:
    """Hides what is private, of one dataset. The salt dies with it."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        """`words` are private wherever they occur in a text."""
        self._salt = secrets.token_bytes(32)
        self._words: dict[str, str] = {}
        self._loose = self._strict = re.compile(r"(?!)")
        self._memo: dict[str, str] = {}
        self._learn((word, "host") for word in words)

    def learn(self, header: RunHeader) -> None:
        """Takes note of every private word of a run's header, to find it in texts."""
        self._learn(_private_words([header.bench, header.suite, *(facts.record for facts in header.calibrations)]))
        self._learn(_private_words([{"node": header.host.get("node")}]))

    def token(self, value: str, kind: str) -> str:
        """What stands for a private value."""
        digest = hmac.new(self._salt, value.encode(), "sha256").hexdigest()
        return f"{re.sub('[^a-z_]', '', kind.lower()) or 'word'}-{digest[:10]}"

    def text(self, text: str) -> str:
        """Free text without what is private in it."""
        known = self._memo.get(text)
        if known is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            known = self._memo[text] = self._hidden(text)
        return known

    def facts(self, facts: Facts) -> Facts:
        """Settings or facts without what is private in them."""
        return {self.text(key): self._below(key, value, public=False) for key, value in facts.items()}

    def json(self, facts: Facts) -> str:
        """The same as one line of JSON."""
        return json.dumps(self.facts(facts), allow_nan=False, separators=(",", ":"))

    def words(self, words: Mapping[str, str]) -> str:
        """Public words by name, free text each, as one line of JSON."""
        return json.dumps({self.text(name): self.text(word) for name, word in words.items()}, separators=(",", ":"))

    def _below(self, key: str, value: Any, *, public: bool) -> Any:
        public = (public or key in PUBLIC_KEYS) and not is_private(key)
        if isinstance(value, dict):
            # What a model or an action is made of may be paths: a public key above vouches only for lists and words.
            return {self.text(name): self._below(name, part, public=key in _VOUCHING) for name, part in value.items()}
        if isinstance(value, list):
            return [self._below(key, part, public=public) for part in value]
        if isinstance(value, str):
            return self.text(value) if public or value in _SETTINGS else self.token(value, key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and is_private(key):
            return self.token(str(value), key)
        return value

    def _hidden(self, text: str) -> str:
        for kind, look in _LOOKS.items():
            text = look.sub(partial(self._token_of, kind), text)
        text = _IPV6.sub(
            lambda match: self._token_of("address", match) if _is_ipv6(match.group()) else match.group(), text
        )
        for pattern in (self._loose, self._strict):
            text = pattern.sub(lambda match: self.token(match.group(), self._words[match.group()]), text)
        return text

    def _token_of(self, kind: str, match: re.Match[str]) -> str:
        return self.token(match.group(), kind)

    def _learn(self, words: Iterable[tuple[str, str]]) -> None:
        self._words |= {word: kind for word, kind in words if _tells(word)}
        by_length = sorted(self._words, key=len, reverse=True)
        loose = [re.escape(word) for word in by_length if len(word) >= _LEAST_LOOSE]
        strict = [re.escape(word) for word in by_length if len(word) < _LEAST_LOOSE]
        self._loose = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(loose) or '(?!)'})(?![A-Za-z0-9])")
        self._strict = re.compile(rf"(?<![\w.-])(?:{'|'.join(strict) or '(?!)'})(?![\w-])")
        self._memo.clear()


def _private_words(facts: Iterable[Facts]) -> Iterator[tuple[str, str]]:
    for each in facts:
        for key, value in each.items():
            yield from _words_below(key, value, public=False)


def _words_below(key: str, value: Any, *, public: bool) -> Iterator[tuple[str, str]]:
    public = (public or key in PUBLIC_KEYS) and not is_private(key)
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _words_below(name, part, public=key in _VOUCHING)
    elif isinstance(value, list):
        for part in value:
            yield from _words_below(key, part, public=public)
    elif isinstance(value, str) and not public:
        yield value, key
        if "://" in value:
            yield from _words_of_url(value)
    elif isinstance(value, int) and not isinstance(value, bool) and is_private(key):
        yield str(value), key


def _words_of_url(url: str) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    for word in (parts.username, parts.hostname, (parts.hostname or "").partition(".")[0]):
        if word:
            yield word, "user" if word == parts.username else "host"


def _tells(word: str) -> bool:
    return len(word) > 1 and word.lower() not in _NOBODYS and not word.isspace()


def _is_ipv6(found: str) -> bool:
    try:
        IPv6Address(found.partition("%")[0])
    except AddressValueError:
        return False
    return any(letter.isalnum() for letter in found)
