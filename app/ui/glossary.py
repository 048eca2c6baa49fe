"""Every term on screen in one or two plain sentences, for tooltips and the glossary."""

from __future__ import annotations

TERMS: dict[str, str] = {
    "accuracy": "The share of images that a network gets right. Test accuracy counts images "
    "that it has never seen.",
    "batch": "A handful of images that a network learns from at once.",
    "bias": "A number that a layer adds whatever the input is. Biases are few, and are not pruned.",
    "budget search": "Trying sparsities one after the other, each chosen by what the last ones "
    "gave, until it is known how sparse a network may be and still meet a goal.",
    "calibration batch": "The training images with which the weights are scored before training. "
    "No test image is among them.",
    "channel": "One of the pictures that a layer works on: three for the colours of a photograph, "
    "and as many as the layer has detectors after it.",
    "class": "What an image can be: one of the names that a network chooses from.",
    "confidence": "The share of its belief that a network gives to a class; those of all classes "
    "make 100\N{NO-BREAK SPACE}%. A network can be sure and wrong.",
    "control": "The same run with one thing left to chance on purpose: the places of the kept "
    "weights, or the values they begin with. If it does as well, that thing did not matter.",
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
    "whose channel is connected to nothing does no work and counts as gone.",
    "epoch": "One pass through all training images.",
    "ERK": "Erdős–Rényi kernel: how many weights each layer keeps follows from its size alone, "
    "and small layers keep a larger share. Within a layer chance decides.",
    "FORCE": "A criterion: SNIP in many rounds, in which a weight that was removed too early may "
    "come back.",
    "gradient": "How the error of a network changes with each of its weights.",
    "GraSP": "A criterion: keep the weights without which the network would learn more slowly.",
    "health": "An examination of the pruned network before training: is every layer still "
    "connected, and does a signal get from the input to the output?",
    "histogram": "How many weights have a score of about this size.",
    "image size": "Height and width in pixels of what the network sees; images are scaled to it.",
    "interval": "Where the mean over all seeds probably lies: in 95\N{NO-BREAK SPACE}% of such "
    "experiments the interval holds it. It needs at least two seeds, and is wide with few.",
    "iterative SNIP": "A criterion: SNIP in many small rounds, each judging the weights that are "
    "left.",
    "Jaccard": "How alike two masks are: of the weights that either keeps, the share that both "
    "keep. 100\N{NO-BREAK SPACE}% is the same mask.",
    "kernel": "A small square of weights (often 3 × 3) that joins one input channel to one output "
    "channel.",
    "layer": "One step of a network: it takes channels of numbers and makes new ones.",
    "layer collapse": "A layer lost all its weights, so that no signal gets through: the network "
    "can only guess.",
    "learning rate": "How far a weight moves in one training step.",
    "loss": "How wrong a network is, as one number that training makes smaller.",
    "magnitude": "The size of a weight without its sign. As a criterion: keep the largest weights "
    "as they are before training.",
    "mask": "Which weights are kept (1) and which are removed (0). It is made before training and "
    "stays as it is.",
    "meta-gradient": "How the error after some steps of training depends on each weight at the "
    "start. It is found by going back through those training steps.",
    "momentum": "A part of each training step that carries on in the direction of those before.",
    "network": "A function with many weights that learns from examples to name images.",
    "normalisation": "A step that keeps the numbers inside a network at a steady size. Its few "
    "parameters are not pruned.",
    "ONNX": "An open file format for trained networks, which programs on phones, servers and in "
    "browsers can run.",
    "operations": "Multiplications and additions for one image. Removed weights need none, if the "
    "program that runs the network makes use of that.",
    "overlap": "The share of the kept weights that two masks have in common.",
    "parameters": "All numbers that a network learns: weights, biases and normalisation.",
    "point": "One percentage point: from 97\N{NO-BREAK SPACE}% to 96\N{NO-BREAK SPACE}% is one "
    "point lower.",
    "proof": "What was checked on the finished ONNX file: removed weights are zero in it, it "
    "answers as the trained network does, and its label is true.",
    "ProsPr": "A criterion: how much the error after some steps of training depends on each "
    "weight at the start.",
    "pruned": "With most of its weights removed before training. What is removed is zero and stays "
    "zero.",
    "pruning": "Removing weights from a network: they are set to zero and stay zero.",
    "random": "As a criterion: chance keeps the weights. Whatever cannot beat it has learned "
    "nothing of the network.",
    "safetensors": "A file of plain numbers for the weights of a network. Unlike a pickle, "
    "opening it cannot run a program.",
    "saliency": "How much a weight matters, as one number: its score.",
    "score": "How much a weight matters by the chosen criterion. The weights with the highest "
    "scores are kept.",
    "seed": "The number from which all chance in a run comes. The same seed and settings give the "
    "same run.",
    "SNIP": "A criterion: how much the error would change at once if a weight were taken away.",
    "sparsity": "The share of the weights that is removed: 90\N{NO-BREAK SPACE}% keeps one weight "
    "in ten.",
    "steps": "How many training steps ProsPr looks ahead before it judges the weights.",
    "sweep": "Many runs that differ only in what is compared: criteria, sparsities, seeds.",
    "SynFlow": "A criterion that looks at no image: how much can flow from the input to the "
    "output through each weight. It prunes in many rounds, so that no layer runs dry.",
    "test images": "Images that are not used for training or scoring, only once, at the end.",
    "threshold": "The score at the border: weights above it are kept, those below are removed.",
    "training": "Changing the weights in many small steps so that the network gets the training "
    "images right.",
    "trust": "Whether the ranking of the weights would come out the same if the arithmetic rounded "
    "a little differently. If not, the scores are partly noise.",
    "validation images": "Images that are held back to follow the progress of training. The "
    "network does not learn from them.",
    "weights": "The numbers that a network learns in its convolutions and linear layers; they are "
    "what is pruned. Biases and normalisation are not counted.",
}  # fmt: skip
