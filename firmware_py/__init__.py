"""What runs on the device: sources, capture, engines, gate, sinks, meter.

Importing this package, or any module in it, loads numpy and the standard library only; an engine's or a microphone's
package is loaded when it is opened.
"""
