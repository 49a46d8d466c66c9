"""Tiny speech-emotion models for low-power devices: train, distil, export, deploy, measure."""

__version__ = "0.1.0"
