"""How every result is written, read back and compared: rounded, with the same bytes on every machine."""
