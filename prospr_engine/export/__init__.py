"""A network as an ONNX file, and the proof that the file matches its record.

``export.export_onnx`` writes the file, ``verify.verify`` checks it.
"""
