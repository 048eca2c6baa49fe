"""Files, tensors and names of uploads: what touches the disk."""
