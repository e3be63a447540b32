"""The family's tokenizer: CLIP's byte-level BPE, every grammar word one token."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from imgtool_tabletop.captions.words import all_words

POSITIONS = 128
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
END = "</w>"


def learned_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Merges that make each word one token: the most frequent pair first, ties by spelling.

    The library's trainer breaks ties by chance, and a tower's words must not change their numbers.
    """
    pieces = [[*word[:-1], word[-1] + END] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for word in pieces for pair in pairwise(word)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = [_merged(word, best) for word in pieces]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    for piece in word:
        if found and (found[-1], piece) == pair:
            found[-1] += piece
        else:
            found.append(piece)
    return found


def write_tokenizer(folder: Path) -> None:
    """Write a `CLIPTokenizer` folder. Any other text falls back to pieces and single bytes."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = learned_merges(all_words())
    tokens = [*alphabet, *(byte + END for byte in alphabet), *("".join(m) for m in merges)]
    vocab = {token: index for index, token in enumerate(dict.fromkeys([*tokens, BOS, EOS]))}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=POSITIONS)
    tokenizer.save_pretrained(folder)
