"""Libraries that are used when the stage has them and never required."""

from __future__ import annotations

from typing import Any


def numpy() -> Any:
    """The numpy module, or None. Imported on first need: it costs a tenth of a second."""
    try:
        import numpy as module
    except ImportError:
        return None
    return module


def pandas() -> Any:
    """The pandas module, or None. Imported on first need: it costs half a second."""
    try:
        import pandas as module
    except ImportError:
        return None
    return module
