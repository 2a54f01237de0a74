"""What is said for a text: a table that can be read line by line, and what holds for any text."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smoltolk.speech.spelling.readings import readings, spoken, spoken_words

# A text, and what is said for it: tokens apart by "|".
SPOKEN = [
    # Plain words, their marks, hyphens and apostrophes.
    ("Fox,", "Fox"),
    ("twenty-one", "twenty one"),
    ("don\u2019t don\u00b4t don\u2032t don`t", "don't|don't|don't|don't"),
    ("\u201cWhy?\u201d 'quoted' rock'n'roll", "Why|quoted|rock'n'roll"),
    ("na\u00efve \uff46\uff4f\uff58 \ufb01ne", "na\u00efve|fox|fine"),
    ("so\u00adft wo\u200brd wo\x7frd \ufeffbom", "soft|word|word|bom"),
    ("\u2014 ... - * a", "||||a"),
    ("end.Then a*b <switch> <|endoftext|>", "end Then|a b|switch|endoftext"),
    # Quantities, and years.
    ("0 21 101 1,234", "zero|twenty one|one hundred and one|one thousand two hundred and thirty four"),
    ("1984 1900 2005 2024", "nineteen eighty four|nineteen hundred|two thousand and five|twenty twenty four"),
    ("8500", "eight thousand five hundred"),
    ("12345678901234567890", "one two three four five six seven eight nine zero " * 2),
    ("007 05", "zero zero seven|zero five"),
    ("3,4,5 10,20", "three four five|ten twenty"),
    ("1990s '90s 80s 1900s 2000s", "nineteen nineties|nineties|eighties|nineteen hundreds|two thousands"),
    # Points, fractions, powers, signs.
    ("3.14 0.5 .5", "three point one four|zero point five|point five"),
    ("1,234.5", "one thousand two hundred and thirty four point five"),
    ("1\u00bd \u00be 1/2 3/4 5/8 2/3", "one and a half|three quarters|one half|three quarters|five eighths|two thirds"),
    ("10\u00b2 x\u00b3 10^6", "ten squared|x cubed|ten to the power of six"),
    ("-5 \u22125 -0.5", "minus five|minus five|minus zero point five"),
    ("50% 20\u00b0C & +1 2\u00d73", "fifty percent|twenty degrees celsius|and|plus one|two times three"),
    ("1st 22nd 100th", "first|twenty second|one hundredth"),
    # Money.
    ("$1 $2.50 $0.99 \u00a31", "one dollar|two dollars and fifty cents|ninety nine cents|one pound"),
    ("\u20ac1,50 5\u20ac", "one euro and fifty cents|five euros"),
    ("$5M -$3bn", "five million dollars|minus three billion dollars"),
    ("$5 million", "five|million dollars"),
    ("a $1.5 billion, deal", "a|one point five|billion dollars|deal"),
    ("$5-10", "five to ten dollars"),
    # Times and dates.
    ("7:05pm 7:00 3:05. 17:30 7pm", "seven oh five P M|seven o'clock|three oh five|seventeen thirty|seven P M"),
    ("10 a.m. sharp", "ten|A M|sharp"),
    ("May 5, 2020", "May|fifth|twenty twenty"),
    ("12/25/2020 2020-05-17", "December twenty fifth twenty twenty|May seventeenth twenty twenty"),
    # Ranges, telephone numbers, versions, codes.
    ("3-4 pages 1990-1995", "three to four|pages|nineteen ninety to nineteen ninety five"),
    ("555-1234 123-4567", "five five five one two three four|one two three four five six seven"),
    ("1-800-555-1234", "one eight zero zero five five five one two three four"),
    ("1.2.3 192.168.1.1", "one point two point three|one nine two point one six eight point one point one"),
    ("H.323 B2B MP3 A4 R2D2", "H three two three|B two B|M P three|A four|R two D two"),
    ("BBC NASA IAX USA CDs", "B B C|NASA|I A X|U S A|C D's"),
    ("U.S. U.S.A., J. Smith b", "U S|U S A|J|Smith|b"),
    # Units.
    ("5kg 10 km 60mph 90km/h", "five kilograms|ten|kilometers|sixty miles per hour|ninety kilometers per hour"),
    ("5\u20326\u2033 I am in", "five feet six inches|I|am|in"),
    # Short forms.
    ("Mr. Dr. Who etc. vs. Jan. 3", "mister|doctor|Who|et cetera|versus|January|third"),
    ("St. Mary in Main St. now", "saint|Mary|in|Main|street|now"),
    ("i.e. that, e.g. this", "that is|that|for example|this"),
    ("No. 5 No. Then", "number|five|No|Then"),
    ("w/o and/or 24/7 AT&T salt&pepper", "without|and or|twenty four seven|A T and T|salt and pepper"),
    # Roman numbers, and the pronoun.
    ("Henry VIII and Chapter IV", "Henry|the eighth|and|Chapter|four"),
    ("World War II Louis XIV", "World|War|two|Louis|the fourteenth"),
    ("I know Henry I think", "I|know|Henry|I|think"),
    ("MIX CIVIC vi", "MIX|CIVIC|vi"),
    # Addresses.
    ("www.example.com", "w w w dot example dot com"),
    ("https://foo.org/a_b", "foo dot org slash a underscore B"),
    ("me.too@example.co.uk", "me dot too at example dot co dot uk"),
    # Capitals throughout tell nothing.
    ("THE OLD TRAIN LEFT USA", "THE|OLD|TRAIN|LEFT|USA"),
]  # fmt: skip

# A token between two words, and ways that must be among its readings.
READINGS = [
    ("1234", ["one thousand two hundred and thirty four", "one thousand two hundred thirty four", "twelve thirty four",
              "one two three four", "twelve hundred thirty four", "a thousand two hundred and thirty four"]),
    ("8500", ["eighty five hundred", "eight five zero zero", "eight five oh oh"]),
    ("2005", ["two thousand and five", "two thousand five", "twenty oh five"]),
    ("2024", ["two thousand twenty four", "twenty twenty four"]),
    ("100", ["one hundred", "a hundred", "one zero zero", "one oh oh"]),
    ("0", ["zero", "oh"]),
    ("007", ["double oh seven", "oh oh seven"]),
    ("H.323", ["H three twenty three", "H three hundred and twenty three", "H point three two three"]),
    ("IAX", ["IAX", "I A X"]),
    ("NASA", ["NASA", "N A S A"]),
    ("St.", ["saint", "street"]),
    ("Dr.", ["doctor", "drive"]),
    ("1/2", ["one half", "a half", "one over two", "one two", "January second"]),
    ("9/11", ["nine eleven"]),
    ("7:30", ["seven thirty", "half past seven"]),
    ("7:45", ["a quarter to eight"]),
    ("$2.50", ["two dollars fifty", "two fifty", "two point five zero dollars"]),
    ("3-4", ["three to four", "three four"]),
    ("-5", ["negative five", "five"]),
    ("e.g.", ["for example", "E G"]),
    ("#1", ["number one", "hashtag one"]),
    ("https://a.com", ["a dot com", "h t t p s colon slash slash a dot com"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SPOKEN)
def test_what_is_said_for_a_text(text: str, expected: str) -> None:
    found = [" ".join(words) for words in spoken(text.split())]
    assert found == [" ".join(words.split()) for words in expected.split("|")]


@pytest.mark.parametrize(("token", "expected"), READINGS)
def test_readings_of_a_token(token: str, expected: list[str]) -> None:
    found = [" ".join(words) for words in readings(["the", token, "left"])[1]]
    assert set(expected) <= set(found) and len(found) == len(set(found)) <= 30


def test_a_plain_text_has_one_reading() -> None:
    text = "The old fox's twenty-one friends left, I think; \u2014 in Oslo no one knew."
    assert all(len(ways) == 1 for ways in readings(text.split()))


def test_other_languages_spell_numbers_only() -> None:
    assert spoken_words("21 \u00c4pfel, 1.234 f\u00fcr 3,5 \u20ac", "de") == (
        ["einundzwanzig", "Äpfel", "eintausendzweihundertvierunddreißig", "für", "drei", "Komma", "fünf"]
    )
    assert ("zwei", "eins") in readings(["21"], "de")[0]
    assert spoken_words("1,234", "ja") == spoken_words("1234", "ja") and spoken_words("12 x", "qq") == ["12", "x"]
    hindi = "\u0939\u093f\u0928\u094d\u0926\u0940"  # its vowels are marks
    assert spoken_words(f"{hindi}!", "hi") == [hindi]


pieces = st.lists(
    st.sampled_from([*"0123456789.,:-/$\u20ac%'\u2032\u00bd\u00b2()+#&@ IVXabAB", "St.", "pm", "million", "km", "1990"])
    | st.characters(),
    max_size=12,
).map("".join)


@given(pieces)
@example("9" * 5_000)
@example("1" * 400 + "$")
@example("\u0663\u0664 \u2075")
@example("7:05p.m. 1//2 1/0 5-5-5-5 0/0/00 99/99/9999 2020-99-99 00s 0s $-5 $ $5,00,0 ..5 :-5")
@settings(max_examples=400, deadline=None)
def test_any_text_has_words_of_letters_that_every_token_owns(text: str) -> None:
    tokens = text.split()
    found = readings(tokens)
    assert len(found) == len(tokens) and all(ways and len(ways) == len(set(ways)) for ways in found)
    for ways in found:
        assert len(ways) == 1 or all(ways), "where there is a choice, something is said"
        for word in (word for way in ways for word in way):
            assert word.strip("'") == word and word
            assert all(letter == "'" or unicodedata.category(letter)[0] in "LM" for letter in word)
    assert spoken(tokens) == [ways[0] for ways in found]
