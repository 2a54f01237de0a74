"""Verbs that measure: evaluate, overlap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smoltolk.cli.options import Continuing, check_seed
from smoltolk.common.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer()


@app.command(cls=Continuing)
def evaluate(
    model: Annotated[str | None, typer.Argument(help="Directory of a model, or hub id.")] = None,
    tasks: Annotated[list[str] | None, typer.Argument(help="What to measure; see above.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run: records, results.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="Folder of tasks, or TASK=FOLDER.")] = None,
    units: Annotated[Path | None, typer.Option(help="What recordings become.")] = None,
    shards: Annotated[Path | None, typer.Option(help="Stored units instead.")] = None,
    questions: Annotated[Path | None, typer.Option(help="Of `world`: its directory.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="NAME[,KEY=VALUE]; the first decides what is fed.")] = None,
    from_run: Annotated[Path | None, typer.Option("--from", help="Judge a stored run again.")] = None,
    directions: Annotated[
        str, typer.Option(show_default=False, help="Default: S->S,T->T,S->T,T->S.")
    ] = "S->S,T->T,S->T,T->S",
    split: Annotated[str | None, typer.Option(help="dev or test (swuggy, sblimp).")] = None,
    synthesizer: Annotated[str | None, typer.Option(help="Speaks what is only written.")] = None,
    before: Annotated[str | None, typer.Option(help="Text model, for text/NAME.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(callback=check_seed, help="Of draws and bootstrap.")] = 0,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    no_prompts: Annotated[bool, typer.Option("--no-prompts", help="Score options alone: faster.")] = False,
    vocoder: Annotated[Path | None, typer.Option(help="Speaks in `synthesis`.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Of `synthesis`; 0: the likeliest.")] = 0.0,
    judge: Annotated[str | None, typer.Option(help="Hears it: pocketsphinx, or a hub id.")] = None,
    judge_texts: Annotated[Path | None, typer.Option(help="What pocketsphinx may hear.")] = None,
    quality: Annotated[str | None, typer.Option(help="Command: wav paths in, JSON lines out.")] = None,
    quality_timeout: Annotated[float, typer.Option(min=1, help="Seconds that it may take.")] = 3600,
) -> None:
    """Measure a model; every score tells its rule and its 95% interval.

    Tasks: swuggy, sblimp, ssc, tsc, shellaswag, salmon, choices, world,
    llama-questions, web-questions, trivia-qa, openbookqa, mmsu, recognition,
    synthesis, text/NAME (lm-eval).
    Rules: ours, smoltolk-release, lf2ar, slamkit. An interrupted run goes on.
    Several devices: torchrun --nproc-per-node 8 --no-python smoltolk ...

    Example: smoltolk evaluate model world --questions world --shards asked
    --out run
    """
    from rich.console import Console

    from smoltolk.cli.printing import show
    from smoltolk.common.files import write_json, write_text
    from smoltolk.common.hub import check_place
    from smoltolk.common.progress import bar
    from smoltolk.evaluation.runs.presets import rule_named
    from smoltolk.evaluation.runs.request import OFFLINE, Request, check_names
    from smoltolk.evaluation.runs.run_place import check_run_place

    if from_run is None and model is not None and out is not None:  # before torch and transformers are loaded
        check_names(tasks or [])
        for name in rule or ():
            rule_named(name)
        check_place(model, "a SmolTolk model")
        check_run_place(out, model, tasks or [])
    from smoltolk.evaluation.runs.evaluating import evaluate as measure
    from smoltolk.evaluation.runs.results import about_stored, judge_again, none_scored
    from smoltolk.report.task_plot import task_svg
    from smoltolk.report.task_table import task_markdown, text_rows
    from smoltolk.report.transcription_table import transcription_rows

    if from_run is not None:
        if model is not None:
            raise InputError("a stored run is judged without a model", f"--from and {model!r}", "leave the model out")
        names = rule or [about_stored(from_run)["rule"]]
        results: dict[str, Any] | None = judge_again(
            from_run, [rule_named(name) for name in names], judge=judge, judge_texts=judge_texts, quality=quality,
            quality_timeout=quality_timeout,
        )  # fmt: skip
        parts = [name.replace("=", "-").replace(",", "-") for name in names]
        parts += [f"judge-{Path(judge).name}"] if judge else []
        place = out or from_run / "again" / "+".join(parts)
        if results is not None:
            write_json(place / "results.json", results)
    else:
        if model is None or out is None:
            found = "no model" if model is None else "no --out"
            raise InputError("a run has a model, tasks and --out, or --from", found, "give them, or --from RUN")
        place = out
        results = measure(
            Request(
                model, tasks or [], out, _places(data or []), units, shards, questions, rule or [], limit, seed,
                _directions(directions), split, synthesizer, before, bf16, not no_prompts,
                vocoder=vocoder, judge=judge or OFFLINE, judge_texts=judge_texts, temperature=temperature,
                quality=quality, quality_timeout=quality_timeout,
            ),
            bar,
        )  # fmt: skip
    if results is None:  # not the first process
        return
    write_text(place / "results.md", task_markdown(results))
    drawn = task_svg(results)
    if drawn is not None:
        write_text(place / "results.svg", drawn)
    for rules, alike in _by_rules(results).items():
        for number, name in enumerate(rules, 1):
            print(f"rule {number}: {name}")
        Console().print(_table(alike, rules))
        figures = _published(alike)
        if figures is not None:
            Console().print(figures)
    for name, task in results.get("transcription", {}).items():
        show(f"{name}: {task['scored']:,} of {task['items']:,} scored", transcription_rows(task))
    for name, scores in results.get("text", {}).items():
        show(f"text/{name}", text_rows(scores))
    print(f"records and results in {place}")
    if results.get("failed"):
        raise none_scored(results["failed"])


def _places(data: list[str]) -> dict[str, Path]:
    """``DIR`` and ``TASK=DIR`` by task; ``""`` is the folder of all. A path may have an equals sign."""
    from smoltolk.evaluation.runs.request import KEYS

    places: dict[str, Path] = {}
    for one in data:
        name, sign, place = one.partition("=")
        if sign and name in KEYS:
            places[name] = Path(place)
        elif sign and not Path(one).exists():
            raise InputError(f"--data is DIR, or TASK=DIR of {', '.join(KEYS)}", repr(one), "name one of these tasks")
        else:
            places[""] = Path(one)
    return places


def _directions(text: str) -> tuple[str, ...]:
    from smoltolk.report.results import DIRECTIONS

    asked = tuple(dict.fromkeys(text.replace(" ", "").split(",")))
    wrong = [way for way in asked if way not in DIRECTIONS]
    if wrong:
        raise InputError(f"directions are {', '.join(DIRECTIONS)}", ", ".join(wrong), "name some of them")
    return asked


def _by_rules(results: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Tasks that were judged by the same rules, together."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, task in results["tasks"].items():
        groups.setdefault(tuple(task["rules"]), {})[name] = task
    return groups


def _table(tasks: dict[str, Any], rules: tuple[str, ...]) -> Table:
    """Accuracies in percent, a column for each rule."""
    from rich import box
    from rich.table import Table

    title = "Accuracy, % [95% interval]"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("task", overflow="fold")
    for head in ("n", *(f"rule {number}" for number in range(1, len(rules) + 1))):
        table.add_column(head, justify="right", no_wrap=True)
    for name, task in tasks.items():
        for cell, first in task["rules"][rules[0]]["cells"].items():
            each = [task["rules"][rule]["cells"][cell] for rule in rules]
            table.add_row(f"{name} {cell}", str(first["n"]), *map(_shown, each))
            if first.get("pair"):
                table.add_row("  in pairs", str(first["pair"]["n"]), *(_shown(one["pair"]) for one in each))
    return table


def _published(tasks: dict[str, Any]) -> Table | None:
    """What others published of the same cells, with the rule that each was measured by; None: nothing."""
    from rich import box
    from rich.table import Table

    from smoltolk.report.wording import percent

    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for name, task in tasks.items():
        asked = next(iter(task["rules"].values()))["cells"]
        for one in task["published"]:
            if one["cell"] in asked:
                rows.setdefault((name, one["system"], one["rule"]), {})[one["cell"]] = percent(one["accuracy"])
    if not rows:
        return None
    cells = list(dict.fromkeys(cell for row in rows.values() for cell in row))
    table = Table(
        title="Published, by the rule that comes closest, %", title_justify="left", box=box.SIMPLE_HEAD,
        padding=(0, 1), show_edge=False,
    )  # fmt: skip
    for head in ("task", "system", "rule"):
        table.add_column(head, overflow="fold")
    for cell in cells:
        table.add_column(cell, justify="right", no_wrap=True)
    for names, row in rows.items():
        table.add_row(*names, *(row.get(cell, "") for cell in cells))
    return table


def _shown(cell: dict[str, Any]) -> str:
    accuracy, low, high = (100 * cell[name] for name in ("accuracy", "low", "high"))
    return f"{accuracy:.1f} \\[{low:.0f}, {high:.0f}]"  # a bracket would be markup


@app.command()
def overlap(
    train: Annotated[list[Path], typer.Argument(help="Training data: shards or texts (.txt, .jsonl), one or more.")],
    test: Annotated[Path, typer.Argument(help="What a model is measured on: shards or texts.")],
    words: Annotated[int, typer.Option(min=1, help="Of a run.")] = 8,
    units: Annotated[int, typer.Option(min=1, help="Of a run.")] = 25,
    out: Annotated[Path | None, typer.Option(help="A .json file for the figures and the ids of whole items.")] = None,
) -> None:
    """Look how much of a test set stands in the training data, by words and units.

    Runs of neighbouring words (or units) of the test set are looked for; of a
    shorter item the whole.

    Example: smoltolk overlap shards world/text.txt asked
    """
    from dataclasses import asdict

    from smoltolk.cli.printing import show
    from smoltolk.common.files import write_json
    from smoltolk.common.progress import bar
    from smoltolk.evaluation.overlap import overlap as look

    with bar("overlap", len(train), "places") as progress:
        found = look(train, test, words=words, units=units, progress=progress)
    for kind, one in found.items():
        rows = {
            f"runs of {one.length} found": f"{one.found:,} of {one.runs:,} ({one.found / one.runs:.1%})",
            "items with one of them": f"{one.touched:,} of {one.items:,} ({one.touched / one.items:.1%})",
            "items found whole": f"{one.whole:,} ({one.whole / one.items:.1%})",
        }
        show(kind, rows)
    if out is not None:
        write_json(out, {kind: asdict(one) for kind, one in found.items()})


@app.command()
def continuations(
    model: Annotated[Path, typer.Argument(help="Directory of a model.")],
    shards: Annotated[Path, typer.Argument(help="Shards of recordings; their first 3 s are continued.")],
    vocoder: Annotated[Path, typer.Option(help="Of the model's units, or their codec.")],
    text_model: Annotated[str, typer.Option(help="Reads what is heard; not the model's own backbone.")],
    judge: Annotated[str, typer.Option(help="Writes down what is heard: hub id or directory.")],
    out: Annotated[Path, typer.Option(help="A .jsonl file for every continuation.")],
    limit: Annotated[int, typer.Option(min=1, help="Recordings that are continued.")] = 1000,
    temperature: Annotated[float, typer.Option(help="Of sampling; 0: the likeliest unit.")] = 0.8,
    most: Annotated[int, typer.Option(min=1, help="Units of a continuation.")] = 150,
    seed: Annotated[int, typer.Option(callback=check_seed, help="Of sampling.")] = 0,
) -> None:
    """Measure spoken continuations by GenPPL and AutoBLEU-2.

    Prompts of 3 s are continued and spoken, a recogniser writes down what is
    heard, and a text model reads that. Recordings shorter than 3 s are left out.

    Example: smoltolk continuations model asked --vocoder vocoder --text-model
    lm --judge whisper --out said.jsonl
    """
    from smoltolk.cli.printing import sampling_of, show
    from smoltolk.common.progress import bar
    from smoltolk.data.shards.parquet import read_shards
    from smoltolk.evaluation.continuations import continuations as measure
    from smoltolk.evaluation.continuations import long_prompts
    from smoltolk.evaluation.text_model import check_text_model, load_text_model
    from smoltolk.inference.part_files import Part, check_part
    from smoltolk.inference.parts import load_config, load_parts
    from smoltolk.speech.recognition.recognisers import recogniser_named

    spoken = read_shards(shards)
    about = spoken.metadata
    check_part(model, load_config(model), "shards", Part(about.fingerprint, about.num_units, about.num_codebooks))
    prompts = long_prompts(spoken, limit)
    check_text_model(text_model)
    listens = recogniser_named(judge)
    loaded, _, _, speaks = load_parts(model, None, vocoder)
    if speaks is None:
        raise InputError("continuations are spoken", f"{vocoder} does not speak", "name a vocoder")
    with bar("continuations", len(prompts), "prompts") as progress:
        found = measure(
            loaded, prompts, loaded.config.id_space, speaks, listens, *load_text_model(text_model),
            sampling=sampling_of(temperature), most=most, seed=seed, progress=progress, log_path=out,
        )  # fmt: skip
    rows = {
        "GenPPL": f"{found.gen_ppl:.2f}, of {found.scored:,} transcripts",
        "AutoBLEU-2": f"{100 * found.auto_bleu:.2f}%",
        "no end": f"{found.no_end:.1%} within {most} units",
        "units a second": f"{found.units_per_second:,.0f}",
    }
    show(f"{len(prompts):,} continuations in {out}", rows)
