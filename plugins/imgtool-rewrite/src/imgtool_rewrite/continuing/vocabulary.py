"""Keeps a text that is written token by token to a list of words. No model is asked here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Path = tuple[int, ...]


class Writer:
    """Each word of a list once at most, with or without a comma between two.

    Parameters
    ----------
    words : tokens of each word, as it stands after another.
    comma : tokens of a comma, as it stands after a word.
    after_comma : whether the text so far ends where no comma may stand.

    Attributes
    ----------
    tokens : what is written.
    whole : how many of them end with a whole word.
    """

    def __init__(self, words: Iterable[Path], comma: Path, after_comma: bool = True) -> None:
        self.comma = comma
        self.tokens: list[int] = []
        self.whole = 0
        self._left = dict.fromkeys(path for path in words if path)
        self._begun: Path = ()
        self._may_comma = not after_comma
        self._done = 0

    @property
    def words(self) -> int:
        """How many words are written."""
        return self._done + self._is_word()

    def allowed(self) -> list[int]:
        """Tokens that may come next; none: there is nothing left to write."""
        inside = self._next(self._begun, self._items(self._left, self._may_comma))
        if not self._ended():
            return inside
        others = [path for path in self._left if path != self._begun]
        return list(dict.fromkeys([*inside, *self._next((), self._items(others, self._is_word()))]))

    def write(self, token: int) -> None:
        """Take a token of `allowed`; one that goes on with what is begun is taken so."""
        self.tokens.append(token)
        items = self._items(self._left, self._may_comma)
        if token in self._next(self._begun, items):
            self._begun = (*self._begun, token)
        else:
            self._may_comma = self._is_word()
            self._done += self._is_word()
            self._left.pop(self._begun, None)
            self._begun = (token,)
        if self._is_word():
            self.whole = len(self.tokens)

    def _items(self, words: Iterable[Path], may_comma: bool) -> list[Path]:
        """What may be written: a comma only where a word can follow."""
        found = list(words)
        return [*found, self.comma] if found and may_comma else found

    @staticmethod
    def _next(begun: Path, items: Sequence[Path]) -> list[int]:
        at = len(begun)
        return list(dict.fromkeys(p[at] for p in items if len(p) > at and p[:at] == begun))

    def _is_word(self) -> bool:
        return self._begun in self._left

    def _ended(self) -> bool:
        return self._is_word() or (self._may_comma and self._begun == self.comma)
