"""``smoltolk ablate``: which part of late fusion does what, by many trainings on the data of the quick start."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError, require
from smoltolk.common.files import read_json, write_json, write_text
from smoltolk.common.lock import hold
from smoltolk.common.progress import console
from smoltolk.common.run_directory import Job, RunDirectory
from smoltolk.quickstart.ablation_figure import ablation_svg
from smoltolk.quickstart.ablation_results import gather
from smoltolk.quickstart.ablation_table import markdown
from smoltolk.quickstart.data_steps import DATA_STEPS, make_data, run_record
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.trials import Ablation, first_trials, jobs_of, work_of
from smoltolk.quickstart.variants import IN_TURN
from smoltolk.training.workplace import ID_LAYOUT


def ablate(
    out: Path,
    scale: str = "small",
    seeds: Sequence[int] = (0, 1, 2),
    variants: Sequence[str] = IN_TURN,
    rates: Sequence[float] = (),
    steps: int | None = None,
    data: Sequence[Path] = (),
) -> dict[str, Any]:
    """Train and ask every variant on every seed that is not done yet, and return what ``OUT/ablation.json`` holds.

    It is written anew, with ``ablation.md`` and ``ablation.svg``, whenever a training has been asked. The same command
    goes on where it stopped; more variants and more seeds may be named later.

    Args:
        out: run directory.
        scale: of the quick start.
        seeds: of worlds and of what is trained in them; the first one chooses rates.
        variants: names of :data:`~smoltolk.quickstart.variants.VARIANTS`, in the order of work.
        rates: learning rates that each variant chooses from by what it knows of heard facts; none: the recipe's.
        steps: of the recipe, all stages together, in place of the scale's.
        data: directories of quick starts of this scale and of some of the seeds, whose data is used.

    Raises:
        InputError: a bad setting, a directory that holds something else, a quick start of another scale or unfinished.
        MissingExtraError: ``smoltolk[offline]`` is not installed.
        WorkerError: a worker process was killed; the same call continues.
    """
    ablation = Ablation(out, scale, tuple(seeds), tuple(variants), tuple(rates), steps)
    given = _given(ablation, data)
    require("espeakng_loader", "the offline synthesizer")
    record = {
        "ablation_of": scale,
        "first_seed": ablation.seeds[0],
        "rates": list(rates),
        "steps": steps,
        "id_layout": ID_LAYOUT,
    }
    with hold(out):
        run = RunDirectory(out, record)
        settings = {seed: _data(run, ablation, seed, given.get(seed)) for seed in ablation.seeds}
        told = {seed: run.figures(f"data-{seed}") for seed in settings}

        def finished(job: Job) -> None:
            _, _, trial = job.arguments
            shutil.rmtree(work_of(ablation, trial), ignore_errors=True)  # by now its figures are kept
            factor = run.figures(job.name)["factor"]
            if trial.rate is not None and (chosen := ablation.rate(trial.variant)) is not None:
                console.print(f"  {trial.variant}: rate {chosen:g} chosen", highlight=False)
            if trial == first_trials(ablation, trial.variant)[0] and factor != 1:
                console.print(f"  {trial.variant}: trained {factor:g} times as long, as measured", highlight=False)
            _write(gather(ablation, told), out)

        jobs = jobs_of(ablation, settings)
        run.side_by_side(jobs, title=f"{len(jobs)} trainings, each asked when it ends", finished=finished)
        results = gather(ablation, told)
        _write(results, out)
        shutil.rmtree(out / "work", ignore_errors=True)
        names = ("ablation.md", "ablation.svg", "ablation.json")
        for kind, name in zip(("table", "figure", "figures"), names, strict=True):
            console.print(f"  {kind:8} {out / name}", highlight=False, soft_wrap=True)
        return results


def _write(results: dict[str, Any], out: Path) -> None:
    write_json(out / "ablation.json", results)
    write_text(out / "ablation.md", markdown(results))
    write_text(out / "ablation.svg", ablation_svg(results))


def _given(ablation: Ablation, folders: Iterable[Path]) -> dict[int, Path]:
    """Quick starts by seed.

    Raises:
        NotFoundError: no quick start there.
        InputError: one of another scale, of another seed, of a text model of one's own, or whose data is not whole.
    """
    found: dict[int, Path] = {}
    for folder in folders:
        if not (folder / "run.json").is_file():
            raise NotFoundError(
                "--data is the directory of a quick start",
                f"no run.json in {folder}",
                f"make one (`smoltolk quickstart --out {folder}`), or leave it out: then the data is made here",
            )
        record = read_json(folder / "run.json")
        seed = record.get("seed")
        wanted = run_record(Settings(folder, ablation.scale_name, seed))
        missing = [name for name in DATA_STEPS if not (folder / "steps" / f"{name}.json").is_file()]
        if seed not in ablation.seeds or seed in found or record != wanted or missing:
            raise InputError(
                f"--data is a quick start of scale {ablation.scale_name} and one of the seeds {list(ablation.seeds)},"
                " one for each, whose data is whole",
                f"{folder}: " + (f"without the steps {', '.join(missing)}" if missing else f"{record}"),
                "let `smoltolk quickstart` finish it, or leave it out: then the data is made here",
            )
        found[seed] = folder.absolute()
    return found


def _data(run: RunDirectory, ablation: Ablation, seed: int, given: Path | None) -> Settings:
    """The data of a seed: of a quick start that was given, or made in ``OUT/data/SEED``, a quick start that can go on.

    Raises:
        InputError: another place than before.
    """
    name = f"data-{seed}"
    if run.done(name):
        used = run.path.absolute() / run.figures(name)["place"]
        if given not in (None, used) or not (used / "run.json").is_file():
            raise InputError(
                f"an ablation keeps its data: that of seed {seed} lies in {used}",
                f"now {given}" if given else "nothing there",
                "put it back, or choose another directory for a new ablation",
            )
        return Settings(used, ablation.scale_name, seed)
    known = f"data/{seed}" if given is None else str(given)
    place = run.path.absolute() / known
    settings = Settings(place, ablation.scale_name, seed)
    if given is None:
        console.print(f"[bold]Data of seed {seed}[/bold]", highlight=False)
        with hold(place):
            make_data(settings, RunDirectory(place, run_record(settings)))
            shutil.rmtree(settings.work, ignore_errors=True)
    before = read_json(place / "steps" / "backbone.json")["figures"]["text_nll"]
    run.step(name, f"Data of seed {seed}: {place}", lambda: {"place": known, "text_nll_before": before})
    return settings
