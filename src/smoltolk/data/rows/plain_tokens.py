"""Texts of users to ids: whatever they write is text, also where it spells the name of a special token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.texts import encodable


def plain_encoding(tokenizer: Any, texts: Sequence[str], **options: Any) -> Any:
    """Texts encoded without any special token: ``<|endoftext|>`` in a text is thirteen letters, not its end.

    Args:
        tokenizer: of transformers.
        texts: as written; halves of characters are U+FFFD.
        options: of the tokenizer, e.g. ``return_offsets_mapping``.

    Returns:
        what the tokenizer returns; only its ``input_ids`` are sure to be there.

    Raises:
        InputError: a text that this tokenizer can only write with a special token.
    """
    encoded = tokenizer(
        [encodable(text) for text in texts], add_special_tokens=False, split_special_tokens=True, **options
    )
    control = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id, *tokenizer.all_special_ids}
    unknown = tokenizer.unk_token_id
    ends = {tokenizer.eos_token_id, tokenizer.bos_token_id}
    if unknown not in ends:
        control.discard(unknown)
    # Vocabularies of whole words, and of pieces by their likelihood, may hold the names of special tokens as well.
    for text, ids in zip(texts, encoded["input_ids"], strict=True):
        if control.isdisjoint(ids):
            continue
        if unknown is None or unknown in ends:
            names = tokenizer.convert_ids_to_tokens(sorted(control.intersection(ids)))
            raise InputError(
                "a text must have ids of its own, without the special tokens",
                f"{', '.join(names)} in {text[:80]!r}",
                "write it in another way, or take a tokenizer with an unknown token",
            )
        ids[:] = [unknown if one in control else one for one in ids]
    return encoded


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of one text; see :func:`plain_encoding`."""
    return plain_encoding(tokenizer, [text])["input_ids"][0]
