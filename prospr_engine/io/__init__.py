"""Disk access: files, tensors and names of uploads."""
