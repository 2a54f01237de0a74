"""Bundles to the Hugging Face Hub and back."""

from __future__ import annotations

import shutil
from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.common.files import atomic_directory, check_place, read_text
from smoltolk.inference.bundle import CARD, RECORD, Bundle, fetch_bundle, open_bundle
from smoltolk.inference.bundle_card import bundle_card
from smoltolk.inference.parts import load_config


def push_bundle(bundle: Path | str, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a bundle in one commit; every file is read and held against its digest first.

    Files of the repository that are no part of the bundle are taken away. The card names the repository, unless
    somebody has changed it.

    Args:
        bundle: directory.
        repo_id: ``owner/name``; made if it does not exist.
        private: of a new repository.
        token: default: that of `hf auth login`.

    Returns:
        The address of the repository.

    Raises:
        NotFoundError, InputError: no bundle, a damaged one, or the hub refuses it.
    """
    from httpx import HTTPError
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    held = open_bundle(bundle, whole=True)
    api = HfApi(token=token)
    names = [RECORD, *held.record["files"]]
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, str(held.path / name)) for name in names
    ]
    operations.append(CommitOperationAdd(CARD, _card_for(held, repo_id).encode()))
    try:
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        stale = set(api.list_repo_files(address.repo_id)) - {*names, CARD, ".gitattributes"}
        operations += [CommitOperationDelete(name) for name in sorted(stale)]
        api.create_commit(address.repo_id, operations, commit_message=f"Bundle of {held.record['made_by']}")
    except (HfHubHTTPError, HFValidationError) as error:
        raise InputError(
            "the hub takes a bundle from who may write there", f"{repo_id}: {first_line(error)}", "hf auth login"
        ) from error
    except HTTPError as error:
        raise NotFoundError(
            "a push takes a way to the hub", f"{repo_id}: {first_line(error)}", "check the network, and push again"
        ) from error
    return str(address)


def pull_bundle(repo_id: str, out: Path | str, *, revision: str | None = None) -> Bundle:
    """Fetch a bundle of the hub into a directory, which appears whole or not at all; every file is read.

    Args:
        repo_id: ``owner/name``; never a directory here, whatever lies there.
        out: the directory; a former bundle there is replaced.
        revision: a branch, a tag or a commit; None: the newest.

    Raises:
        NotFoundError: no such repository.
        InputError: no bundle, a damaged one, or a place that is taken.
    """
    out = Path(out)
    if not (out / RECORD).is_file():
        check_place(out, kind="the directory of a bundle")
    held = open_bundle(fetch_bundle(repo_id, revision), whole=True)
    with atomic_directory(out) as place:
        for name in (RECORD, CARD, *held.record["files"]):
            if (held.path / name).is_file():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(held.path / name, place / name)
    return open_bundle(out)


def _card_for(held: Bundle, repo_id: str) -> str:
    """The card with the name of the repository; what somebody has written stays."""
    config, there = load_config(held.path), read_text(held.path / CARD)
    own = bundle_card(config, held.record, held.record["name"])
    return bundle_card(config, held.record, repo_id) if there in (None, own) else str(there)
