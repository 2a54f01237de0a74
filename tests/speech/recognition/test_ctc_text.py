"""Texts in the letters, or pieces, that models know."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.speech.recognition.ctc_text import STAR, CtcVocabulary


@pytest.fixture(scope="module")
def letters(ctc_dir: Path):
    return AutoTokenizer.from_pretrained(ctc_dir)


def pieces_tokenizer(*pieces: str) -> PreTrainedTokenizerFast:
    vocabulary = [("<unk>", 0.0), ("<pad>", 0.0), *((piece, -float(rank)) for rank, piece in enumerate(pieces))]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")


def written(vocabulary: CtcVocabulary, tokenizer, text: str) -> str:
    encoded = vocabulary.encode(text)
    return "".join("*" if one == STAR else tokenizer.convert_ids_to_tokens(int(one)) for one in encoded.ids)


def test_letters_numbers_marks_and_case(letters) -> None:
    vocabulary = CtcVocabulary(letters)
    assert vocabulary.by_letter
    assert written(vocabulary, letters, "Tom\u2019s 21 — caf\u00e9s!") == "tom's|twenty|one|cafes"
    encoded = vocabulary.encode("a — bc")
    assert encoded.owners.tolist() == [0, -1, 2, 2] and encoded.unknown == ()


def test_unknown_letters_become_one_star_and_are_named(letters) -> None:
    encoded = CtcVocabulary(letters).encode("a \u0416\u0443b \u0416")
    assert (encoded.ids == STAR).sum() == 2
    assert encoded.unknown == ("\u0416", "\u0443")


def test_other_languages_spell_their_numbers(letters) -> None:
    assert written(CtcVocabulary(letters, "de"), letters, "Es sind 3 B\u00e4ren.") == "es|sind|drei|baren"
    assert CtcVocabulary(letters, "xx").encode("ab 3").unknown == ("3",)


def test_upper_case_vocabularies(tmp_path: Path) -> None:
    capitals = {token: index for index, token in enumerate(["<pad>", "<unk>", "|", "A", "B", "S"])}
    from transformers import Wav2Vec2CTCTokenizer

    (tmp_path / "v.json").write_text(str(capitals).replace("'", '"'))
    tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "v.json"), bos_token=None, eos_token=None)
    assert written(CtcVocabulary(tokenizer), tokenizer, "ab sa\u00df's") == "AB|SASSS"


def test_pieces_of_words() -> None:
    tokenizer = pieces_tokenizer("\u2581the", "\u2581fox", "es", "\u2581", "a", "b")
    vocabulary = CtcVocabulary(tokenizer)
    assert not vocabulary.by_letter
    assert written(vocabulary, tokenizer, "The foxes.") == "\u2581the\u2581foxes"
    encoded = vocabulary.encode("foxes az\u0416b")
    assert encoded.owners[-1] == 1 and STAR in encoded.ids.tolist() and "\u0416" in encoded.unknown


def test_decoding_is_the_way_back(letters) -> None:
    vocabulary = CtcVocabulary(letters)
    ids = vocabulary.encode("hello all").ids.tolist()
    frames = [one for index in ids for one in (index, index, 0)]
    assert vocabulary.decode(frames, blank=0) == "hello all"
    assert vocabulary.decode([0, 0], blank=0) == ""
    pieces = CtcVocabulary(pieces_tokenizer("\u2581the", "\u2581fox"))
    assert pieces.decode([2, 2, 1, 3], blank=1) == "the fox"


def test_texts_that_cannot_be_found(letters) -> None:
    vocabulary = CtcVocabulary(letters)
    with pytest.raises(InputError, match="must have a word"):
        vocabulary.encode(" — ")
    with pytest.raises(InputError, match="know some letters"):
        vocabulary.encode("\u0416\u0443\u043a")
    with pytest.raises(InputError, match="letters or pieces of words"):
        CtcVocabulary(pieces_tokenizer("1", "2"))
