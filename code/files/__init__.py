"""How every result is written, read back and compared: rounded, with the same bytes on every machine."""

TABLE_ENDINGS = (".tsv", ".csv", ".txt", ".dat", ".json")  # of tables that are read, and searched before publishing


def flatten(table, prefix=""):
    """Turn nested settings into one level with dotted keys."""
    flat = {}
    for key, value in table.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
