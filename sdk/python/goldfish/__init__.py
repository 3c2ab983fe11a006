"""Goldfish's library for stages: inputs, outputs, config, metrics, progress, checkpoints.

Standard library only; numpy and pandas are used when the stage has them. Every error is a GoldfishError with one
line. Outside of a run each function raises one that says how to start a run.
"""

from __future__ import annotations

from .checkpoints import list_checkpoints, load_checkpoint, save_checkpoint
from .errors import GoldfishError
from .liveness import heartbeat, should_stop
from .liveness import start as _start_heartbeat
from .metrics import log_metric, log_metrics, progress
from .run import config, input_path, output_path, run_info
from .signals import load_input, log_artifact, save_output

__version__ = "0.1.0"

__all__ = [
    "GoldfishError",
    "config",
    "heartbeat",
    "input_path",
    "list_checkpoints",
    "load_checkpoint",
    "load_input",
    "log_artifact",
    "log_metric",
    "log_metrics",
    "output_path",
    "progress",
    "run_info",
    "save_checkpoint",
    "save_output",
    "should_stop",
]

_start_heartbeat()
