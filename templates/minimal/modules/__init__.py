"""The stages: one module each, run as `python -m modules.<stage>` from the workspace's root."""
