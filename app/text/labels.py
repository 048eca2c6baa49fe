"""What settings are called on screen, where their own name is not a word."""

LABELS = {
    "batch_size": "Images in a batch",
    "batches": "Calibration batches",
    "device": "Compute on",
    "epochs": "Epochs",
    "image_size": "Image size (pixels)",
    "layer_floor": "Fewest weights per layer",
    "lr": "Learning rate",
    "momentum_graph": "Momentum in the gradient",
    "order": "Derivatives",
    "precision": "Arithmetic",
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


def label(name: str) -> str:
    """``weight_decay`` is called "Weight decay"."""
    return LABELS.get(name) or name.replace("_", " ").capitalize()
