"""The stages of the greenhouse pipeline that are Python modules."""
