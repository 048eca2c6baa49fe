"""Labels and explanations of settings, where their own names will not do."""

AUTOMATIC = "automatic"
OWN_IMAGES = "Your own images"
PATH = "A folder or zip on this machine"
OWN_WEIGHTS = "Your own weights"
OWN_NETWORK = "Your own network"
FROM_NETWORK = "From its file"

# Initial weights.
WEIGHTS = {"fresh": "New weights", "pretrained": "Trained on ImageNet"}

# How pixels are scaled.
NORMALISATIONS = {
    "data": "by the training images",
    "imagenet": "by ImageNet",
    "unit": "to 0 \N{EN DASH} 1",
    "centred": "to \N{MINUS SIGN}1 \N{EN DASH} 1",
    "bytes": "not at all (0 \N{EN DASH} 255)",
}

# What is removed.
KINDS = {"weights": "Weights", "channels": "Channels"}
BUDGETS = {"parameters": "Weights", "operations": "Multiply-adds", "channels": "Channels"}

# What that means for files.
NO_ZEROS = (
    "Removed channels are not in any file. No zeros are left, so only fewer bits make a file "
    "smaller."
)

# The control of a run that is not a control.
WITHOUT_CONTROL = "None"

# Explanations of everyday settings, plainer than the engine's.
EXPLAINED = {
    "method": "How to decide which weights matter; all but one decide before any training",
    "epochs": "How long both networks train: one epoch is one pass through all training images",
    "encodings": "The files to download after the run, by how they store the weights. The dense "
    "file is always written: every tool can read it",
    "control": "What to leave to chance once the criterion has chosen, to see whether its choice "
    "matters",
}

LABELS = {
    "batches": "Calibration batches",
    "channel_budget": "The percentage counts",
    "channel_multiple": "Channels in multiples of",
    "device": "Compute on",
    "encodings": "Files to write",
    "epochs": "Epochs",
    "image_size": "Image size (pixels)",
    "kind": "What to remove",
    "layer_floor": "Minimum weights per layer",
    "lr": "Learning rate",
    "normalisation": "Scale of the pixels",
    "most_probes": "Most tries",
    "momentum_graph": "Momentum in the gradient",
    "order": "Derivatives",
    "schedule": "Learning rate schedule",
    "skip_broken": "Skip broken images",
    "steps": "Look-ahead steps",
    "test_fraction": "Share for testing",
    "test_limit": "Most test images",
    "train_limit": "Most training images",
    "validation_fraction": "Share for validation",
    "weights": "Initial weights",
    "method": "Criterion",
    "seed": "Seed",
}


# Where two settings would have the same label, by group ("option": a criterion's).
BY_GROUP = {
    "option.lr": "Learning rate of the look-ahead",
    "option.momentum": "Momentum of the look-ahead",
    "scoring.batch_size": "Images per calibration batch",
    "scoring.precision": "Precision of scoring",
    "scoring.check_ranking": "Score twice to see what rounding changes",
    "training.batch_size": "Images per training batch",
    "training.lr": "Learning rate of training",
    "training.momentum": "Momentum of training",
    "training.precision": "Precision of training",
}

# The meaning of an empty field, where it is not "automatic".
UNSET = {"image_size": "as in the data", "test_limit": "all", "train_limit": "all"}


def label(name: str, group: str = "") -> str:
    """The label of a setting: "Weight decay" for ``weight_decay``; ``lr`` differs by ``group``."""
    own = BY_GROUP.get(f"{group.partition('.')[0]}.{name}")
    return own or LABELS.get(name) or name.replace("_", " ").capitalize()
