"""Weights from a user's file for a network of the tables, and networks from a user's ONNX file.

Files are not trusted. ``header`` checks safetensors without reading numbers or importing torch;
``state_dict`` turns files of PyTorch into them, in a process with limits; ``refusals`` says what
to do about files of other programs. ``recognise`` finds the network that weights belong to, and
``weights`` matches them tensor by tensor.
"""
