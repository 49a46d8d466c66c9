"""Checkpoint to bundle: a table of formats, the converters, and the gate that holds them to the trained model."""
