"""The stages of the penguins pipeline: one module each, run as `python -m modules.<stage>`."""
