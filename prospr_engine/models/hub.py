"""Published weights from the Hugging Face Hub, as safetensors and nothing else."""

from __future__ import annotations

from pathlib import Path

from prospr_engine.errors import ModelError

WEIGHTS = "model.safetensors"
"""What the file is called by the Hub's convention."""


def fetch_weights(network: str, repository: str | None) -> Path:
    """The file of weights for ``network``, downloaded unless it is in the Hub's cache on this
    machine.

    Raises ``ModelError`` if there is no safetensors file, or no network to download it through.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if not repository:
        raise ModelError(f"{network} has no published weights; use weights='fresh'.")
    try:
        return Path(hf_hub_download(repository, WEIGHTS, local_files_only=True))
    except LocalEntryNotFoundError:
        pass  # the first time
    try:
        return Path(hf_hub_download(repository, WEIGHTS))
    except LocalEntryNotFoundError as error:
        raise _unreachable(network, repository, error) from error
    except EntryNotFoundError as error:
        raise ModelError(
            f"The published weights of {network} (huggingface.co/{repository}) are not stored as "
            "safetensors, and other formats are not opened: they can contain programs. Use "
            "weights='fresh', or another network."
        ) from error
    except Exception as error:  # whatever the client and its transport may raise
        raise _unreachable(network, repository, error) from error


def _unreachable(network: str, repository: str, error: Exception) -> ModelError:
    return ModelError(
        f"The published weights of {network} could not be downloaded from "
        f"huggingface.co/{repository} ({type(error).__name__}). Check the network, or download "
        f"{WEIGHTS} there yourself and give its path as the weights; or use weights='fresh'."
    )
