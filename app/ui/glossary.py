"""Every term on screen in one or two plain sentences, for tooltips and the glossary."""

from __future__ import annotations

TERMS: dict[str, str] = {
    "accuracy": "The share of images that a network gets right. Test accuracy counts images "
    "that it has never seen.",
    "batch": "A handful of images that a network learns from at once.",
    "bias": "A number that a layer adds whatever the input is. Biases are few, and are not pruned.",
    "budget search": "Trying one sparsity after the other to find the highest one at which the "
    "network still meets a goal.",
    "calibration batch": "Training images used to score the weights before training. Test images "
    "are never used.",
    "channel": "One of the images that a layer takes as input or produces: three for a colour "
    "photo, more inside the network.",
    "class": "A kind of image, such as cat or dog: one of the answers that a network can give.",
    "confidence": "The probability that a network assigns to a class; the probabilities add "
    "up to 100\N{NO-BREAK SPACE}%. A network can be confident and wrong.",
    "control": "The same run with one thing left to chance on purpose: which weights are kept, or "
    "their initial values. If it does as well, that thing did not matter.",
    "convolution": "A layer that slides small kernels over an image and notes where they fit.",
    "criterion": "The rule that gives every weight its score, such as ProsPr, SNIP, magnitude or "
    "chance.",
    "dead channel": "A channel that no longer carries a signal from the input to the output, "
    "because all its weights on one side are gone.",
    "dense": "With all its weights. The dense network is trained the same way as the pruned one, "
    "to compare with.",
    "density": "The share of the weights that is kept: 1 minus the sparsity.",
    "digest": "A fingerprint of a file or of data: if one bit changes, the digest changes.",
    "effective sparsity": "The share of the weights that is removed or cut off. A kept weight "
    "whose channel is disconnected has no effect and counts as removed.",
    "epoch": "One pass through all training images.",
    "ERK": "Erdős–Rényi kernel: the size of a layer alone decides how many weights it keeps, and "
    "small layers keep a larger share. Which ones is random.",
    "FORCE": "A criterion: SNIP in many rounds, in which a weight that was removed too early may "
    "come back.",
    "gradient": "How the error of a network changes with each of its weights.",
    "GraSP": "A criterion: keep the weights without which the network would learn more slowly.",
    "health": "A check of the pruned network before training: is every layer still connected, and "
    "can a signal get from the input to the output?",
    "histogram": "How many weights have scores in each range.",
    "image size": "Height and width in pixels of what the network sees; images are scaled to it.",
    "interval": "Where the mean over all possible seeds probably lies: in 95\N{NO-BREAK SPACE}% of "
    "such experiments the interval contains it. It needs two or more seeds, and is wide with few.",
    "iterative SNIP": "A criterion: SNIP in many small rounds, each scoring the remaining weights.",
    "Jaccard": "The similarity of two masks: of the weights that either keeps, the share that both "
    "keep. 100\N{NO-BREAK SPACE}% means the same mask.",
    "kernel": "A small square of weights (often 3 × 3) that joins one input channel to one output "
    "channel.",
    "kind of pruning": "Single weights become zeros, and the network runs no faster. Without whole "
    "channels the network itself is smaller and faster.",
    "latency": "How long a network takes to answer, from the image to the prediction.",
    "layer": "One step of a network: it takes channels of numbers and makes new ones.",
    "layer collapse": "A layer lost all its weights, so no signal gets through and the network can "
    "only guess.",
    "learning rate": "How far a weight moves in one training step.",
    "loss": "How wrong a network is, as one number that training makes smaller.",
    "magnitude": "The size of a weight without its sign. As a criterion: keep the largest weights "
    "as they are before training.",
    "mask": "Which weights are kept (1) and which are removed (0). It is set before training and "
    "does not change.",
    "meta-gradient": "How the error after some steps of training depends on each weight at the "
    "start. It is found by going back through those training steps.",
    "momentum": "The part of each training step that continues in the direction of earlier steps.",
    "network": "A function with many weights that learns from examples to classify images.",
    "normalisation": "A step that keeps the numbers inside a network at a steady scale. Its few "
    "parameters are not pruned.",
    "ONNX": "An open file format for trained networks, which programs on phones, servers and in "
    "browsers can run.",
    "operations": "Multiply-adds for one image: a multiplication and an addition each. Removed "
    "channels need none; removed weights need none only if the software that runs the network "
    "skips them.",
    "overlap": "The share of the kept weights that two masks have in common.",
    "parameters": "All numbers that a network learns: weights, biases and normalisation.",
    "point": "One percentage point: from 97\N{NO-BREAK SPACE}% to 96\N{NO-BREAK SPACE}% is one "
    "point lower.",
    "proof": "The checks of the finished ONNX file: its removed weights are zero or gone, it "
    "gives the same answers as the trained network, and its metadata is correct.",
    "ProsPr": "A criterion: how much the error after some steps of training depends on each "
    "weight at the start.",
    "pruned": "With most of its weights removed before training. They are zero and stay zero, or "
    "are gone with their channels.",
    "pruning": "Removing weights from a network: single ones are set to zero and stay zero, or "
    "whole channels are taken out.",
    "random": "As a criterion: keeps random weights. A criterion that cannot beat it is useless.",
    "safetensors": "A file of plain numbers for the weights of a network. Unlike a pickle, "
    "opening it cannot run a program.",
    "saliency": "How much a weight matters, as one number: its score.",
    "score": "How much a weight matters by the chosen criterion. The weights with the highest "
    "scores are kept.",
    "seed": "The number that determines everything random in a run. The same seed and settings "
    "give the same run.",
    "SNIP": "A criterion: how much the error would change right away if a weight were removed.",
    "sparsity": "The share of the weights that is removed: 90\N{NO-BREAK SPACE}% keeps one weight "
    "in ten.",
    "steps": "How many training steps ProsPr looks ahead before it scores the weights.",
    "sweep": "Many runs that differ only in what is compared: criteria, sparsities, seeds.",
    "SynFlow": "A criterion that needs no images: how much can flow from the input to the output "
    "through each weight. It prunes in many rounds, so that no layer becomes empty.",
    "test images": "Images that are never used for training or scoring, only once, at the end.",
    "threshold": "The score that separates kept weights (above) from removed ones (below).",
    "training": "Changing the weights in many small steps so that the network gets the training "
    "images right.",
    "trust": "Whether the scores decide which weights are kept, not rounding errors, ties, or a "
    "look-ahead that diverged.",
    "validation images": "Images that are held back to follow the progress of training. The "
    "network does not learn from them.",
    "weights": "The numbers that a network learns in its convolutions and linear layers; they are "
    "what is pruned. Biases and normalisation are not counted.",
}  # fmt: skip
