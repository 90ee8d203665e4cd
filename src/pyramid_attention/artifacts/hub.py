"""The Hugging Face hub: the only place that asks it."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UserError, require


def download(
    name: str,
    files: list[str],
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
) -> Path:
    """The folder of a model of the hub, in the cache.

    Args:
        name: "owner/name".
        files: what to download.
        revision, token, cache_dir, local_files_only: see `locate`.

    Raises:
        UserError: the hub does not have it, or cannot be reached.
        MissingExtra: the package that asks it is not installed.
    """
    require(f"the model {name} of the Hugging Face hub", "huggingface_hub")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        found = huggingface_hub.snapshot_download(
            name,
            allow_patterns=files,
            revision=revision,
            token=token,
            cache_dir=None if cache_dir is None else Path(cache_dir),
            local_files_only=local_files_only,
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"there is no model {name} here, and '{name}' cannot be had from the Hugging Face hub ({reason})"
        ) from error
    return Path(found)


def upload(
    folder: Path, name: str, private: bool | None, token: str | bool | None, branch: str | None, commit_message: str
) -> None:
    """Upload a folder to the hub as "owner/name"; see `push_model`.

    Raises:
        UserError: the hub cannot be reached or refuses.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        huggingface_hub.create_repo(name, private=private, token=token, exist_ok=True)
        huggingface_hub.upload_folder(
            repo_id=name, folder_path=folder, token=token, revision=branch, commit_message=commit_message
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(f"cannot upload to '{name}' on the Hugging Face hub ({error}); log in first") from error
