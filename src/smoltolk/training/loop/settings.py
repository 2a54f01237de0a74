"""What a run measures and writes down while it trains, as data."""

from __future__ import annotations

from dataclasses import dataclass

from smoltolk.common.errors import InputError

LOGGERS = ("tensorboard", "trackio", "wandb", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """What a run measures and writes down while it trains.

    ``log.jsonl`` is always written. Nothing here changes what is trained, except which utterances are left out of
    the rows where ``eval_steps`` is given and ``held_out`` is not.

    Attributes:
        log_steps: optimizer steps between two lines of the log; None: a hundred lines a stage.
        loggers: who else is told: of :data:`LOGGERS`; ``none`` stands alone.
        project: what trackio and wandb file the run under.
        peak_flops: of one device, FLOPs a second, for the MFU; None: what is known of the GPU, and no MFU elsewhere.
        eval_steps: optimizer steps between two validations, counted over all stages, and one at the end of each stage;
            None: none.
        eval_rows: held-out rows of each task.
        held_out: directory of shards that are held out; None: the last utterances of the training shards, which are
            then trained on no longer.
        cloze: small question sets, ``QUESTIONS=SHARDS`` each: a directory of ``smoltolk world``, and shards of it.
        cloze_items: questions asked of each kind in each set.
        samples: held-out sentences that are written down and said, for word error rates and to listen to; 0: none.
        vocoder: directory of what speaks the samples; None: they are not spoken.
        best: held-out figure that chooses the best model, lower is better; ``speech_nll``: nats per unit, all tasks.
        milestones: steps, counted over all stages, at which the model is kept.
        milestone_steps: keep one every so many steps, too; None: no others.
    """

    log_steps: int | None = None
    loggers: tuple[str, ...] = ("tensorboard",)
    project: str = "smoltolk"
    peak_flops: float | None = None
    eval_steps: int | None = None
    eval_rows: int = 16
    held_out: str | None = None
    cloze: tuple[str, ...] = ()
    cloze_items: int = 64
    samples: int = 0
    vocoder: str | None = None
    best: str = "speech_nll"
    milestones: tuple[int, ...] = ()
    milestone_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("log_steps", "eval_steps", "eval_rows", "cloze_items", "milestone_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more", f"{value}", "give a positive number, or leave it out")
        if self.samples < 0:
            raise InputError("samples must be 0 or more", f"{self.samples}", "give 0 for none")
        unknown = sorted(set(self.loggers) - set(LOGGERS))
        if unknown or ("none" in self.loggers and len(self.loggers) > 1):
            raise InputError(
                f"loggers are of {', '.join(LOGGERS)}, and none stands alone",
                ", ".join(self.loggers),
                "choose among them",
            )

    @property
    def written_to(self) -> tuple[str, ...]:
        """Loggers beside the log itself."""
        return tuple(name for name in dict.fromkeys(self.loggers) if name != "none")

    @property
    def decides(self) -> dict[str, int]:
        """What of this decides what comes out: how much of the training data is held out."""
        holds_out = self.eval_steps is not None and self.held_out is None
        return {"held_out_rows": self.eval_rows} if holds_out else {}

    def is_milestone(self, step: int) -> bool:
        """Whether the model is kept after this step, counted over all stages."""
        return step in self.milestones or (self.milestone_steps is not None and step % self.milestone_steps == 0)
