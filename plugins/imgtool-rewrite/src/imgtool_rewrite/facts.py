"""What a rewrite may not lose: quoted text, numbers, names. Found by rules, for Latin scripts.

Names are words with capitals inside a sentence, and words of several capitals anywhere. The first
word of a sentence is a name only where another capital word follows it, and in a long text of
nearly nothing but capital words there are no names to be told.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTED = re.compile(r"(?<!\w)\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»|„([^“”\n]+)[“”]|「([^」\n]+)」|"
                    r"(?<!\w)'((?:[^'\n]|(?<=\w)'(?=\w))+)'(?!\w)|"
                    r"(?<!\w)‘((?:[^’\n]|(?<=\w)’(?=\w))+)’(?!\w)")  # fmt: skip
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,:/]\d+)*")
WORD = re.compile(r"(?<!\w)[^\W\d_](?:[\w'’.-]*\w)?")
SENTENCE_END = re.compile(r"[.!?:;…\n]\s*$")
NUMBERS = {
    name: str(value)
    for value, name in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
         "twelve"), start=2,
    )
}  # fmt: skip
PRONOUN = re.compile(r"I(?!\w)")
# Words that a sentence may begin with before a name.
STARTERS = frozenset(
    "a an the this that these those one two three four five six seven eight nine ten some many "
    "in on at by from with without and or but if when where while as is are draw show make paint "
    "photo picture image portrait painting drawing sketch poster illustration close no not".split()
)
TITLE_WORDS, TITLE_SHARE = 6, 0.7


@dataclass(frozen=True)
class Facts:
    """What must come back: `quotes` letter for letter, the others in any case and form."""

    quotes: tuple[str, ...]
    numbers: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def every(self) -> list[str]:
        """All of them, once each."""
        return list(dict.fromkeys((*self.quotes, *self.numbers, *self.names)))

    def lost(self, text: str) -> list[str]:
        """Those that `text` does not hold, a number as often as it was there."""
        left = Counter(numbers_of(text))
        left.subtract(self.numbers)
        gone = [number for number, count in left.items() if count < 0]
        quotes = [quote for quote in self.quotes if quote not in text]
        names = [name for name in self.names if not _holds(text, name)]
        return [*quotes, *gone, *names]


def facts_of(prompt: str, keep: tuple[str, ...] = ()) -> Facts:
    """The facts of a prompt; those of the words in `keep` that it holds count as names."""
    quotes = tuple(next(filter(None, match.groups())) for match in QUOTED.finditer(prompt))
    kept = [word for word in keep if _holds(prompt, word)]
    names = dict.fromkeys([*names_of(QUOTED.sub(" ", prompt)), *kept])
    return Facts(quotes, tuple(numbers_of(prompt)), tuple(names))


def numbers_of(text: str) -> list[str]:
    """Numbers in digits, and those from two to twelve in words, as digits."""
    words = [NUMBERS[word.lower()] for word in WORD.findall(text) if word.lower() in NUMBERS]
    return [*NUMBER.findall(text), *words]


def names_of(text: str) -> list[str]:
    """Runs of words that look like names."""
    words = list(WORD.finditer(text))
    capitals = [word[0][0].isupper() for word in words]
    if len(words) >= TITLE_WORDS and sum(capitals) > TITLE_SHARE * len(words):
        return []
    return list(_runs(text, words))


def _runs(text: str, words: list[re.Match[str]]) -> Iterator[str]:
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and _is_capital(words[end][0]) and _joined(text, words, start, end):
            end += 1
        run = [word[0] for word in words[start:end]]
        first = not text[: words[start].start()].strip() or bool(
            SENTENCE_END.search(text[: words[start].start()])
        )
        if first and run and not _has_inner_capital(run[0]):
            # `A Paris street`, `The Eiffel Tower`: the first capital is the sentence's.
            run = run if len(run) > 1 and run[0].lower() not in STARTERS else run[1:]
        if run:
            yield " ".join(run)
        start = max(end, start + 1)


def _is_capital(word: str) -> bool:
    return not PRONOUN.match(word) and (word[0].isupper() or _has_inner_capital(word))


def _has_inner_capital(word: str) -> bool:
    return any(letter.isupper() for letter in word[1:])


def _joined(text: str, words: list[re.Match[str]], start: int, at: int) -> bool:
    return at == start or not text[words[at - 1].end() : words[at].start()].strip()


def _holds(text: str, words: str) -> bool:
    if f" {_plain(words)} " in f" {_plain(text)} ":
        return True
    # Scripts that put no space between words.
    return not words.isascii() and words.casefold() in text.casefold()


def _plain(text: str) -> str:
    """Words in small letters, one space between them; what is not of a word falls away."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    words = re.findall(r"\w+(?:['.-]\w+)*", folded)
    return " ".join(re.sub(r"'s$", "", word) for word in words)
