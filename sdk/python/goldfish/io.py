"""The names of the data side alone: `from goldfish.io import load_input, save_output`."""

from __future__ import annotations

from .run import config as get_config
from .run import input_path, output_path
from .signals import load_input, save_output

get_input_path = input_path
get_output_path = output_path

__all__ = [
    "get_config",
    "get_input_path",
    "get_output_path",
    "input_path",
    "load_input",
    "output_path",
    "save_output",
]
