"""What signs, units, titles and other short forms are called in English; likeliest first where there are several."""

from __future__ import annotations

from smoltolk.speech.spelling.numbers import MONTHS
from smoltolk.speech.spelling.ways import Ways

SYMBOLS: dict[str, Ways] = {
    "&": ("and",),
    "%": ("percent",),
    "‰": ("per mille",),
    "+": ("plus",),
    "=": ("equals", "is"),
    "@": ("at",),
    "#": ("number", "hash", "hashtag", "pound"),
    "°C": ("degrees celsius", "degrees"),
    "°F": ("degrees fahrenheit", "degrees"),
    "°": ("degrees",),
    "×": ("times", "by"),
    "÷": ("divided by",),
    "±": ("plus or minus",),
    "²": ("squared",),
    "³": ("cubed",),
    "§": ("section", "paragraph"),
    "©": ("copyright", ""),
    "™": ("", "trademark"),
    "®": ("", "registered"),
}
# Sign -> one, many, and a hundredth of it.
CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "¢": ("cent", "cents", "", ""),
}
SCALES = ("hundred", "thousand", "million", "billion", "trillion")
# Behind an amount of money, or a number: $5M, 10k.
SCALE_LETTERS: dict[str, Ways] = {
    "k": ("thousand", "K"), "K": ("thousand", "K"), "m": ("million",), "M": ("million", "M"), "mn": ("million",),
    "b": ("billion",), "B": ("billion",), "bn": ("billion",), "tn": ("trillion",), "T": ("trillion",),
}  # fmt: skip
# Behind a number only.
UNITS: dict[str, Ways] = {
    "km": ("kilometers", "kilometer"), "m": ("meters", "million", "meter"), "cm": ("centimeters", "centimeter"),
    "mm": ("millimeters", "millimeter"), "kg": ("kilograms", "kilos", "kilogram"), "g": ("grams", "G", "gram"),
    "mg": ("milligrams", "milligram"), "l": ("liters", "liter"), "ml": ("milliliters", "milliliter"),
    "ft": ("feet", "foot"), "in": ("in", "inches", "inch"), "lb": ("pounds", "pound"), "lbs": ("pounds",),
    "oz": ("ounces", "ounce"), "mph": ("miles per hour", "M P H"),
    "km/h": ("kilometers per hour", "kilometers an hour"),
    "kmh": ("kilometers per hour", "kilometers an hour"), "Hz": ("hertz",), "kHz": ("kilohertz",),
    "MHz": ("megahertz",), "GHz": ("gigahertz",), "KB": ("kilobytes", "K B"), "MB": ("megabytes", "M B"),
    "GB": ("gigabytes", "G B", "gigs"), "TB": ("terabytes", "T B"), "s": ("seconds", "S"), "sec": ("seconds",),
    "min": ("minutes", "minute"), "h": ("hours", "H", "hour"), "hrs": ("hours",), "ms": ("milliseconds",),
    "kW": ("kilowatts",), "W": ("watts",), "V": ("volts",), "x": ("times", "X"), "k": ("thousand", "K"),
    "am": ("A M",), "pm": ("P M",), "AM": ("A M",), "PM": ("P M",),
}  # fmt: skip
# Lower case, with their dot.
ABBREVIATIONS: dict[str, Ways] = {
    "mr.": ("mister",), "mrs.": ("missus",), "ms.": ("miz", "miss"), "prof.": ("professor",), "gen.": ("general",),
    "col.": ("colonel",), "capt.": ("captain",), "lt.": ("lieutenant",), "sgt.": ("sergeant",), "rev.": ("reverend",),
    "gov.": ("governor",), "sen.": ("senator",), "rep.": ("representative",), "hon.": ("honorable",),
    "jr.": ("junior",), "sr.": ("senior",), "ave.": ("avenue",), "rd.": ("road",), "blvd.": ("boulevard",),
    "mt.": ("mount",), "ft.": ("fort", "feet", "featuring"), "vs.": ("versus", "V S"), "etc.": ("et cetera",),
    "approx.": ("approximately",), "dept.": ("department",), "inc.": ("incorporated", "ink"), "ltd.": ("limited",),
    "co.": ("company", "co"), "corp.": ("corporation", "corp"), "vol.": ("volume",), "fig.": ("figure",),
    "i.e.": ("that is", "I E"), "e.g.": ("for example", "E G", "for instance"), "a.m.": ("A M",), "p.m.": ("P M",),
    "cf.": ("compare", "C F"), "et al.": ("et al",), "ph.d.": ("P H D",),
    **{f"{month[:3].lower()}.": (month,) for month in MONTHS if month != "May"},
    "sept.": ("September",),
}  # fmt: skip
# As written; the same without a dot.
SHORT_FORMS: dict[str, Ways] = {
    "PhD": ("P H D",), "MHz": ("megahertz",), "GHz": ("gigahertz",), "kHz": ("kilohertz",),
    "w/o": ("without",), "w/": ("with",), "c/o": ("care of", "C O"),
    "24/7": ("twenty four seven",), "9/11": ("nine eleven", "September eleventh"),
}  # fmt: skip
# Capitals with a vowel that are said letter by letter; those without one are anyhow, others may be words (NASA, NOT).
SPELLED_OUT = frozenset(
    """
    USA US UK EU UN UAE IBM CIA FBI AI API ATM ISO CEO CIO ID IP IQ URL USB CPU GPU HIV DNA RNA FAQ NBA AC DIY EV
    IRA IRS IRC AM UFO UI UX VIP SUV IPA IAX ABC MBA USSR IEEE EEG ECG AAA BA MA AT&T Q&A R&D
    """.split()  # noqa: SIM905 - a table is read more easily so
)
# Before a Roman number that is a plain one; before any other name it is an ordinal: Henry VIII.
COUNTED = frozenset(
    """
    act appendix article book canto chapter class episode figure grade lesson level mark model no number page part
    phase plate problem psalm rule scene season section stage step table title type unit verse volume war world bowl
    bk ch pt vol fig sec
    """.split()  # noqa: SIM905 - a table is read more easily so
)
# A number I alone is read behind these names; elsewhere it is a pronoun.
RULERS = frozenset(
    """
    Albert Alexander Benedict Catherine Charles Christian Clement Edward Elizabeth Ferdinand Francis Frederick
    George Gregory Gustav Henry James John Joseph Leo Leopold Louis Maximilian Napoleon Nicholas Paul Peter Philip
    Pius Richard Rudolf Urban Wilhelm William
    """.split()  # noqa: SIM905 - a table is read more easily so
)
DOMAINS = "com|org|net|edu|gov|mil|int|info|io|ai|dev|app|co|uk|de|fr|eu|us|ca|au|ch|nl|se|jp|cn|in|br|ru|tv|me"
