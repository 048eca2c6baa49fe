"""From an ONNX graph to a network that can be trained and pruned.

``load.import_network`` reads a checked file in five steps, each in a module of its own:

1. ``graph`` turns the protobuf into plain nodes and constants, and refuses what is no network of
   standard operators.
2. ``fold`` evaluates what depends on constants alone. A weight behind ``Transpose`` or ``Cast``
   becomes a weight again, and keeps a note of what was done to it (``homes``), so that trained
   values can be brought back into the file.
3. ``outputs`` chooses the output with the class scores, leaves a final softmax out, and drops what
   does not lead there.
4. ``assemble`` makes each node a step: a layer of PyTorch with the weights of the file, or a
   function (``operators/``, one file per kind). It runs every step on the meta device as soon as
   it is made, so that later ones know the shapes of their inputs.
5. ``load`` puts the values in, and checks that images do not influence each other.

Shapes. Exporters write ``x.view(x.size(0), -1)`` as a graph: Shape → Gather → Concat → Reshape. As
tensors, these integers would be computed on the device, and torch.export could not see that the
batch size is free. So ``Shape`` gives a shape value (``shape_values``): a NumPy array of Python
integers or of PyTorch's symbolic ones, with which operators compute as with any numbers.

Batches. Many files fix the batch size, mostly at 1, in the targets of ``Reshape`` and ``Expand``.
``assemble`` therefore runs every step twice, with the file's batch size and with another one: the
axis whose size differs holds the batch, and ``batch`` rewrites the constants that fix it.

The package itself imports no torch.
"""
