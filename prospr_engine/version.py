"""The version of this software: part of every result and of what makes two runs the same."""

VERSION = "0.6.0"
