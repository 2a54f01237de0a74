"""Verbs that make texts, sets and corpora: world, sets, align, corpus folder | manifests | recipe | text | ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.options import Continuing, Workers, check_seed

app = typer.Typer()
corpus_app = typer.Typer(no_args_is_help=True, help="Corpora: recordings with what is said in them, and when.")
app.add_typer(corpus_app, name="corpus")

Out = Annotated[Path, typer.Argument(help="The corpus directory; an interrupted one goes on.")]
Aligner = Annotated[
    str, typer.Option(help="pocketsphinx (English), a hub id or directory of a CTC model, or none.")
]  # fmt: skip
Lowest = Annotated[float | None, typer.Option(help="Reject alignments below, 0 to 1; default: the aligner's own.")]
Phones = Annotated[bool, typer.Option(help="Find phones too (pocketsphinx); `units fit` needs them.")]
Longest = Annotated[float | None, typer.Option(help="Seconds; what is longer is cut at pauses. Default: no cuts.")]
Language = Annotated[str, typer.Option(help="Kept with every utterance that names none.")]


@app.command()
def world(
    out: Annotated[Path, typer.Argument(help="The world's directory.")],
    seed: Annotated[int, typer.Option(callback=check_seed, help="Of facts and stories.")] = 0,
    people: Annotated[
        int, typer.Option(help="With four facts each, two of them only ever read; a multiple of 12.")
    ] = 240,
    stories: Annotated[int, typer.Option(help="Of each list: to read, and to speak.")] = 4000,
    questions: Annotated[int, typer.Option(help="About stories, and about each kind of facts; even.")] = 500,
) -> None:
    """Write a small world of people, facts about them, stories and questions.

    text.txt and stories.jsonl (all facts, to read), spoken.jsonl (heard facts
    only, to speak), clozes.jsonl (questions), questions.jsonl (their options as
    texts to speak), people.json, facts.json.

    Example: smoltolk world world --stories 400
    """
    from smoltolk.cli.printing import kept, show
    from smoltolk.common.errors import InputError
    from smoltolk.common.files import atomic_directory, write_jsonl
    from smoltolk.common.lock import hold
    from smoltolk.common.made import made_before, record
    from smoltolk.data.world.stories import World
    from smoltolk.data.world.world_files import ask_all, write_world
    from smoltolk.evaluation.questions import option_texts, option_voices

    if stories < 1 or questions < 0 or questions % 2:
        found = f"--stories {stories} --questions {questions}"
        raise InputError("a world has a story at least, and an even number of questions", found, "correct them")
    made = World(seed, people)
    command = {"verb": "world", "seed": seed, "people": people, "stories": stories, "questions": questions}
    with hold(out):
        figures = made_before(out, command)
        if figures is None:
            clozes = ask_all(made, questions, questions)
            # All options of two questions that mirror each other are spoken by one voice.
            spoken = zip(option_texts(clozes), option_voices(clozes), strict=True)
            options = ({"id": name, "text": text, "voice": voice} for (name, text), voice in spoken)
            heard = len(made.facts_where(heard=True))
            figures = {
                "people": len(made.people),
                "facts": f"{len(made.facts)}, {heard} of them heard",
                "each heard fact": f"said {made.times_heard(stories):.1f} times in {stories} spoken stories",
                "questions": len(clozes),
                "words": len(made.vocabulary),
            }
            with atomic_directory(out) as directory:
                write_world(directory, made, stories, clozes)
                write_jsonl(directory / "questions.jsonl", options)
                record(directory, command, figures)
        else:
            kept(out)
    show(f"world in {out}", {**figures, "stories": f"{stories} to read, {stories} to speak"})


@app.command()
def sets(
    out: Annotated[Path, typer.Argument(help="A folder with a folder for each task.")],
    seed: Annotated[int, typer.Option(callback=check_seed, help="Of the world, its voices and all choices.")] = 0,
    world: Annotated[
        Path | None, typer.Option(help="Whose people are asked about, e.g. quickstart/world; made with --seed.")
    ] = None,
    people: Annotated[int | None, typer.Option(help="Of a world without files, in twelves; default: 240.")] = None,
    items: Annotated[int, typer.Option(min=4, help="Of each task.")] = 40,
    voices: Annotated[int, typer.Option(min=2, help="That speak.")] = 8,
) -> None:
    """Write small sets of every task of `evaluate`, of a story world.

    Words and sentences (the sLM21 tree), StoryCloze, sHellaSwag, SALMon, spoken
    questions, choices, texts to hear and to say, a task file of lm-eval; in hub/
    the same in other layouts. They measure models of that world: the one that
    `world` or the quick start wrote, or one of as many --people and the same seed.

    Example: smoltolk sets sets --world quickstart/world
    """
    from smoltolk.cli.printing import kept, show
    from smoltolk.common.errors import InputError
    from smoltolk.common.files import atomic_directory
    from smoltolk.common.lock import hold
    from smoltolk.common.made import made_before, record
    from smoltolk.common.progress import bar
    from smoltolk.data.world.stories import World
    from smoltolk.data.world.world_files import read_world
    from smoltolk.evaluation.sets.writing import NAMES, SetSizes, num_sets, write_sets

    if world is not None and people is not None:
        raise InputError("the files of a world tell how many people it has", f"--people {people}", "leave it out")
    made = read_world(world, seed) if world is not None else World(seed, 240 if people is None else people)
    sizes = SetSizes(items, voices, seed)
    command = {"verb": "sets", "seed": seed, "people": made.num_people, "items": items, "voices": voices}
    with hold(out):
        figures = made_before(out, command)
        if figures is None:
            with atomic_directory(out) as directory, bar("sets", num_sets(), "sets") as progress:
                figures = write_sets(directory, out, made, sizes, progress)
                record(directory, command, figures)
        else:
            kept(out)
    show(f"sets in {out}", {**figures, "tasks": ", ".join(NAMES)})


@corpus_app.command("folder", cls=Continuing)
def corpus_folder(
    folder: Annotated[Path, typer.Argument(help="wav, flac, mp3, m4a, ..., each with .txt, .TextGrid or .json.")],
    out: Out,
    aligner: Aligner = "pocketsphinx",
    link: Annotated[bool, typer.Option(help="Link to the recordings instead of copying them as flac.")] = False,
    longest: Longest = None,
    lowest_confidence: Lowest = None,
    phones: Phones = True,
    tier: Annotated[str | None, typer.Option(help="Of TextGrids, the one with the words.")] = None,
    language: Language = "en",
    workers: Workers = None,
) -> None:
    """Make a corpus of your own recordings, with what is said in a file beside each.

    Words with times (.TextGrid, .json) are taken as they are; a forced aligner
    finds those of a .txt. What cannot be used goes to OUT/rejected.jsonl with its
    reason: no text, no audio, words outside the recording, or sound that does not
    say its text. The first folder below FOLDER is the name of the speaker.

    Example: smoltolk corpus folder recordings corpus
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.data.corpora.recordings import collect, left_alone

    counts = collect(
        folder, out, aligner=_named(aligner), phones=phones, lowest_confidence=lowest_confidence, longest=longest,
        link=link, tier=tier, language=language, workers=workers,
    )  # fmt: skip
    show_counts(counts, out, left_alone(folder))


@corpus_app.command("manifests", cls=Continuing)
def corpus_manifests(
    manifests: Annotated[Path, typer.Argument(help="lhotse's cuts or supervisions (.jsonl.gz), or a directory.")],
    out: Out,
    aligner: Aligner = "none",
    audio_root: Annotated[Path | None, typer.Option(help="Where relative paths of recordings begin.")] = None,
    text_key: Annotated[str | None, typer.Option(help="Where the text stands, e.g. custom.texts.1")] = None,
    longest: Longest = None,
    language: Language = "en",
    workers: Workers = None,
) -> None:
    """Make a corpus of lhotse manifests: an utterance for each supervision.

    Words come from the supervisions' alignments where they have some. The
    recordings of x_supervisions_y.jsonl.gz lie beside it in
    x_recordings_y.jsonl.gz. What cannot be used goes to OUT/rejected.jsonl.

    Example: smoltolk corpus manifests manifests corpus
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.data.corpora.lhotse_corpora import TEXT_KEYS, collect_manifests

    counts = collect_manifests(
        manifests, out, aligner=_named(aligner), audio_root=audio_root,
        text_keys=TEXT_KEYS if text_key is None else (text_key,), longest=longest, language=language, workers=workers,
    )  # fmt: skip
    show_counts(counts, out)


@corpus_app.command("recipe", cls=Continuing)
def corpus_recipe(
    recipe: Annotated[str, typer.Argument(help="One of lhotse's, e.g. librispeech, tedlium.")],
    folder: Annotated[Path, typer.Argument(help="The data set on this machine, as the recipe wants it.")],
    out: Annotated[Path, typer.Argument(help="The corpus directory; its manifests go to OUT/manifests.")],
    option: Annotated[list[str] | None, typer.Option(help="Of the recipe, NAME=VALUE; may be repeated.")] = None,
    aligner: Aligner = "none",
    longest: Longest = None,
    language: Language = "en",
    workers: Workers = None,
) -> None:
    """Make a corpus of a public data set, through a recipe of lhotse.

    Nothing is downloaded. Files that cannot be opened are rejected, and do not
    stop the recipe; what it leaves out is in OUT/manifests/recipe.log.

    Example: smoltolk corpus recipe librispeech LibriSpeech corpus --option normalize_text=lower
    """
    from smoltolk.cli.printing import show, show_counts
    from smoltolk.data.corpora.lhotse_corpora import collect_recipe

    counts, warnings = collect_recipe(
        recipe, folder, out, _options(option or []), aligner=_named(aligner), longest=longest, language=language,
        workers=workers,
    )  # fmt: skip
    if warnings:
        show(f"recipe {recipe}", {"warnings": f"{warnings}, in {out / 'manifests' / 'recipe.log'}"})
    show_counts(counts, out)


@corpus_app.command("text")
def corpus_text(
    source: Annotated[str, typer.Argument(help="Directory of a data set, or a hub name: NAME:CONFIG:SPLIT.")],
    out: Annotated[Path, typer.Argument(help="The .jsonl file, a document a line.")],
    documents: Annotated[int | None, typer.Option(help="Take the first ones only; default: all.")] = None,
    column: Annotated[str, typer.Option(help="Of the texts.")] = "text",
) -> None:
    """Write the texts of a data set as a file, for `train --text` and `backbone`.

    It is streamed: of a large one only what is needed is fetched.

    Example: smoltolk corpus text HuggingFaceFW/fineweb-edu:sample-10BT text.jsonl --documents 100000
    """
    from smoltolk.cli.printing import show
    from smoltolk.common.lock import hold
    from smoltolk.data.texts.text_datasets import save_documents

    with hold(out):
        count = save_documents(source, out, most=documents, column=column)
    show(str(out), {"documents": count})


@corpus_app.command("validate")
def corpus_validate(corpus: Annotated[Path, typer.Argument(help="A corpus directory.")]) -> None:
    """Say what is wrong with a corpus, item by item; the exit code is 1 if anything is.

    Recordings that are missing, unreadable or of another length; words outside
    their recording or out of order; empty texts; ids that occur twice.

    Example: smoltolk corpus validate corpus
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.data.corpora.corpus import Counts, Problem, check_corpus

    counts, problems = Counts(), 0
    for found in check_corpus(corpus):
        if isinstance(found, Problem):
            problems += 1
            print(f"{found.part:05d} {found.id}: {found.rule}")
        else:
            counts += Counts(1, 0, found.seconds)
    show_counts(counts, corpus)
    print(f"  problems    {problems}" if problems else "  no problems")
    if problems:
        raise typer.Exit(1)


@corpus_app.command("export")
def corpus_export(
    corpus: Annotated[Path, typer.Argument(help="A corpus directory.")],
    out: Annotated[Path, typer.Argument(help="A new directory for the manifests.")],
) -> None:
    """Write a corpus as lhotse's manifests, for other tools.

    recordings.jsonl.gz and supervisions.jsonl.gz; words and phones are their
    alignments. The recordings stay where they are.

    Example: smoltolk corpus export corpus manifests
    """
    from smoltolk.cli.printing import show
    from smoltolk.common.quantities import duration
    from smoltolk.data.corpora.lhotse_export import export_manifests

    counts = export_manifests(corpus, out)
    left_out = {"left out": f"{counts.num_rejected} without a recording"} if counts.num_rejected else {}
    show(str(out), {"utterances": f"{counts.num_utterances}, {duration(counts.seconds)}", **left_out})


@app.command(cls=Continuing)
def align(
    corpus: Annotated[Path, typer.Argument(help="Corpus with texts; stays as it is.")],
    out: Annotated[Path, typer.Argument(help="The aligned corpus; an interrupted one goes on.")],
    aligner: Aligner = "pocketsphinx",
    lowest_confidence: Lowest = None,
    phones: Phones = True,
    longest: Longest = None,
    language: Annotated[str, typer.Option(help="Of the texts; numbers are spelled out in it.")] = "en",
    workers: Workers = None,
) -> None:
    """Find when each word of a corpus is said, and how sure that is.

    A confidence from 0 to 1 for each word. Recordings that do not say their text
    are dropped: OUT/rejected.jsonl has the reasons, OUT/alignment.json
    counts them. With --longest, long recordings become several utterances.

    Example: smoltolk align corpus aligned --longest 30
    """
    from smoltolk.cli.printing import show
    from smoltolk.common.errors import InputError
    from smoltolk.common.quantities import duration
    from smoltolk.data.corpora.realign import align_corpus

    name = _named(aligner)
    if name is None:
        raise InputError("aligning needs an aligner", "--aligner none", "name one")
    report = align_corpus(
        corpus,
        out,
        aligner=name,
        language=language,
        lowest_confidence=lowest_confidence,
        phones=phones,
        longest=longest,
        workers=workers,
    )
    sure = ", ".join(f"{q[1:]}% below {value:.2f}" for q, value in report["confidence"].items())
    show(
        str(out),
        {
            "recordings": report["asked"],
            "utterances": f"{report['utterances']}, {duration(3600 * report['hours'])}",
            "words": f"{report['words']}, confidence: {sure}",
            **({"dropped": f"{sum(report['dropped'].values())}, see rejected.jsonl"} if report["dropped"] else {}),
        },
    )
    for reason, count in report["dropped"].items():
        print(f"    {count}  {reason}")


def _named(aligner: str) -> str | None:
    return None if aligner == "none" else aligner


def _options(given: list[str]) -> dict[str, object]:
    """``NAME=VALUE`` pairs; values are JSON where they can be read as such, else strings."""
    import json

    from smoltolk.common.errors import InputError

    options: dict[str, object] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise InputError("an option of a recipe is NAME=VALUE", repr(pair), "write it so")
        try:
            options[name.replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            options[name.replace("-", "_")] = value
    return options
