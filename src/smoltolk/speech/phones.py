"""The phone inventory: 40 classes of English in ARPAbet's names, and silence.

Labels follow the sound, not the spelling: what an accent pronounces alike gets one name. A vowel and the r
that colours it are one phone in espeak, so they are one class here ("star" is S T AA in every accent).
"""

from __future__ import annotations

from smoltolk.common.errors import InputError

SILENCE = "sil"
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AX", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    "B",
    "CH",
    "D",
    "DH",
    "F",
    "G",
    "HH",
    "JH",
    "K",
    "L",
    "M",
    "N",
    "NG",
    "P",
    "R",
    "S",
    "SH",
    "T",
    "TH",
    "V",
    "W",
    "Y",
    "Z",
    "ZH",
)
PHONES = (SILENCE, *VOWELS, *CONSONANTS)

# Class <- espeak-ng's phoneme mnemonics without stress marks. It often has several for one sound: I, I2, I#.
_CLASSES = {
    "AA": "0 A: A@ A",
    "AE": "a aa a/ & &:",
    "AH": "V",
    "AO": "O: O@ o@ O2 O o o:",
    "AW": "aU aU@",
    "AX": "@ @- a# 3 @2 @5",
    "AY": "aI aI2 aI3 aI@",
    "EH": "E e e@ E2 E: E#",
    "ER": "3: VR IR @R",
    "EY": "eI e:",
    "IH": "I I2 I#",
    "IY": "i i: i@ i@3 I@",
    "OW": "oU oU#",
    "OY": "OI",
    "UH": "U U@ U2",
    "UW": "u u: y y:",
    "B": "b",
    "CH": "tS ts",
    "D": "d t# d#",
    "DH": "D",
    "F": "f",
    "G": "g Q",
    "HH": "h H x C",
    "JH": "dZ",
    "K": "k q c",
    "L": "l @L l# l/ l- l^",
    "M": "m m-",
    "N": "n n- n^ n#",
    "NG": "N",
    "P": "p pF",
    "R": "r r- r/ R R2 r#",
    "S": "s",
    "SH": "S S;",
    "T": "t t2 t[ ?",
    "TH": "T",
    "V": "v B",
    "W": "w w# w/",
    "Y": "j ; l; n;",
    "Z": "z",
    "ZH": "Z Z;",
}
_GENERAL = {name: phone for phone, names in _CLASSES.items() for name in names.split()}
# Where one name stands for another sound in an accent.
_BY_ACCENT: dict[str, dict[str, str]] = {
    "en-us": {"3": "ER"},
    "en-gb-scotland": {"3:": "EH"},
    "en-gb-x-rp": {"aa": "AA", "U@": "AO"},
    "en-gb-x-gbclan": {"V": "UH"},
    "en-gb-x-gbcwmd": {"V": "UH"},
}
_STRESS = "',%=|"  # before the name: primary, secondary, unstressed marks
_MARKS = ':#;-/~^[]`"*.!0123456789'  # behind it: length, colour, variants of one sound


def phone_class(name: str, accent: str) -> str:
    """The class of an espeak phoneme.

    Args:
        name: espeak's mnemonic, e.g. ``"'oU"``, ``"I2"``, ``"_:"`` (every pause begins with ``_``).
        accent: espeak's language name, e.g. ``"en-us"``.

    Returns:
        One of :data:`PHONES`. A name that is not listed gets the class of the sound it varies: its marks are
        taken off from the right until a listed name is left.

    Raises:
        InputError: no listed name is left.
    """
    plain = name.lstrip(_STRESS)
    if not plain or plain.startswith("_"):
        return SILENCE
    table = _GENERAL | _BY_ACCENT.get(accent, {})
    while plain not in table and len(plain) > 1 and plain[-1] in _MARKS:
        plain = plain[:-1]
    if plain not in table:
        raise InputError(
            "every phoneme of espeak must have a class",
            f"{name!r} in {accent}, perhaps a word of another language",
            "write the word in English letters",
        )
    return table[plain]
