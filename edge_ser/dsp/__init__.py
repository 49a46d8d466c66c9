"""Signal processing shared by host and device: the description of a front end and its log-mel."""

from edge_ser.dsp.backends import backend
from edge_ser.dsp.logmel import LogMelStream, log_mel
from edge_ser.dsp.spec import MelSpec

__all__ = ["LogMelStream", "MelSpec", "backend", "log_mel"]
