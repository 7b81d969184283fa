"""Byte formats that no single dialect owns. Bytes in, values out; errors are `WireError`."""
