"""What systems, questions and outcomes are called where people read of them."""

from __future__ import annotations

from smoltolk.report.wording import arrow

SYSTEM_TITLES = {
    "late": "Late fusion",
    "early": "Early fusion",
    "early_plus": "Early fusion+",
    "early_long": "Early fusion, 3× longer",
}
# Within a sentence.
SYSTEM_NAMES = {
    "late": "late fusion",
    "early": "early fusion",
    "early_plus": "early fusion+",
    "early_long": "early fusion trained three times as long",
}
# Heads of columns in a terminal, and rows in figures.
SYSTEM_SHORT = {"late": "late", "early": "early", "early_plus": "early+", "early_long": "early 3×"}
SYSTEM_LEGENDS = {
    "late": "Late fusion (SmolTolk)",
    "early": "Early fusion (larger vocabulary)",
    "early_plus": "Early fusion+ (as many layers as late fusion)",
    "early_long": "Early fusion, trained 3× longer",
}
KIND_TITLES = {
    "story": "Stories",
    "fact_heard": "Facts heard, whole sentence",
    "fact_read": "Facts only read, whole sentence",
    "fact_heard_answer": "Facts heard, answer alone",
    "fact_read_answer": "Facts only read, answer alone",
}
LENS_TITLES = {"S->S": "While listening", "T->S": "After reading"}
# What is asked, on a second line below an outcome's title; keys are names of ``results.OUTCOMES``.
OUTCOME_MEASURES = {
    "answer S->T": "answer alone, S → T",
    "answer S->S": "answer alone, S → S",
    "answer T->S": "answer alone, T → S",
    "lens S->S": "text head, last layer, S → S",
}
OUTCOME_QUESTIONS = {
    "answer S->T": "It hears a sentence up to its answer. Does it rate the right word higher than another, written?",
    "answer S->S": "It hears a sentence up to its answer. Does it rate the right word higher than another, spoken?",
    "answer T->S": "It reads a sentence up to its answer. Does it rate the right word higher than another, spoken?",
    "lens S->S": "While it listens, its text head is put on the last layer before the answer: does that favour "
    "the right word, though speech is to follow?",
}
# Where late fusion leads or does not, within a sentence.
OUTCOME_PLACES = {
    "answer S->T": "in what it writes after listening",
    "answer S->S": "in what it says after listening",
    "answer T->S": "in what it says after reading",
    "lens S->S": "inside while it listens",
}


def cell_title(cell: str) -> str:
    """``fact_read S->T`` of a story world -> ``Facts only read, whole sentence: S → T``; other cells as they are."""
    kind, _, way = cell.partition(" ")
    return f"{KIND_TITLES[kind]}: {arrow(way)}" if kind in KIND_TITLES and "->" in way else cell
