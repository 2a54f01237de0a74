"""What a text model, its tokenizer and a recipe must be for each other, told before any work begins."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from smoltolk.common.errors import InputError
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.text_models.assembly import tried_text_model
from smoltolk.model.text_models.positions import longest_row
from smoltolk.training.recipe import Recipe
from smoltolk.training.recipes.tree import ModelSettings
from smoltolk.training.rows import id_space


def check_fit(text_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *recipes: Recipe) -> None:
    """Hold a text model against its tokenizer and against what it shall be trained on.

    Args:
        text_model: as it was loaded; left as it is.
        tokenizer: whose ids the rows have.
        recipes: whose rows it shall read.

    Raises:
        InputError: something that speech cannot be put around, a tokenizer with more ids than the text table has rows,
            or rows longer than its positions.
    """
    tried_text_model(text_model)
    id_space(text_model.config, tokenizer, num_units=1).check_tokenizer(tokenizer)
    longest = longest_row(text_model.config)
    for recipe in recipes:
        if longest is not None and recipe.row_length > longest:
            raise InputError(
                "a row is no longer than the text model has positions",
                f"rows of {recipe.row_length:,} ids, {longest:,} positions",
                f"train on shorter rows (--row-length {longest}), or take another text model",
            )


def check_build(asked: ModelSettings, config: SmolTolkConfig, system: str | None) -> None:
    """Hold what is asked of a model's build against a model to go on with, which is built.

    Args:
        asked: of a recipe.
        config: of the model.
        system: that it is, where that is known.

    Raises:
        InputError: it is built otherwise.
    """
    wrong = [
        f"{name} is {built!r}, asked for {value!r}"
        for name, value in asked.given.items()
        if (built := getattr(config, name, value)) != (list(value) if isinstance(value, tuple) else value)
    ]
    if system is not None and asked.system not in (ModelSettings().system, system):
        wrong.append(f"system is {system!r}, asked for {asked.system!r}")
    if wrong:
        raise InputError(
            "a model that is trained on stays as it was built",
            "; ".join(wrong),
            "leave these out, or start from its text model",
        )
