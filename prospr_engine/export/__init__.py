"""A network as an ONNX file, and the proof that the file is what its label says.

``export.export_onnx`` writes, ``verify.verify`` judges.
"""
