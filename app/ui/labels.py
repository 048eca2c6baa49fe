"""What settings are called on screen, where their own name is not a word."""

AUTOMATIC = "automatic"
OWN_IMAGES = "Your own images"
PATH = "A folder or zip on this machine"
OWN_WEIGHTS = "Your own weights"

# What a network can start from.
WEIGHTS = {"fresh": "New weights", "pretrained": "Trained on ImageNet"}

# Nothing is changed on purpose: the criterion's choice is trained as it is.
WITHOUT_CONTROL = "None"

# What everyday settings do, in more or plainer words than the engine's.
EXPLAINED = {
    "method": "How to judge which weights matter, before any training",
    "epochs": "How long both networks train: one epoch is one pass through all training images",
    "control": "What to change on purpose once the criterion has chosen, to see whether its choice "
    "matters",
}

LABELS = {
    "batches": "Calibration batches",
    "device": "Compute on",
    "epochs": "Epochs",
    "image_size": "Image size (pixels)",
    "layer_floor": "Fewest weights per layer",
    "lr": "Learning rate",
    "most_probes": "Tries at most",
    "momentum_graph": "Momentum in the gradient",
    "order": "Derivatives",
    "rehearse": "Check whether the ranking can be trusted",
    "schedule": "Learning rate schedule",
    "skip_broken": "Skip broken images",
    "steps": "Steps looked ahead",
    "test_fraction": "Share for the test",
    "test_limit": "At most this many test images",
    "train_limit": "At most this many training images",
    "validation_fraction": "Share for validation",
    "weights": "Initial weights",
    "method": "Criterion",
    "seed": "Seed",
}


# Where two settings would be called the same, by their group ("option": those of a criterion).
APART = {
    "option.lr": "Learning rate of the look ahead",
    "option.momentum": "Momentum of the look ahead",
    "scoring.batch_size": "Images in a calibration batch",
    "scoring.precision": "Arithmetic of the scoring",
    "training.batch_size": "Images in a training batch",
    "training.lr": "Learning rate of the training",
    "training.momentum": "Momentum of the training",
    "training.precision": "Arithmetic of the training",
}

# What an empty field of an optional number means, where "automatic" would be too little.
UNSET = {"image_size": "as the data come", "test_limit": "all", "train_limit": "all"}


def label(name: str, group: str = "") -> str:
    """``weight_decay`` is called "Weight decay"; ``lr`` differs by ``group``."""
    apart = APART.get(f"{group.partition('.')[0]}.{name}")
    return apart or LABELS.get(name) or name.replace("_", " ").capitalize()
