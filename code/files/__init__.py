"""How every result is written, read back and compared: rounded, with the same bytes on every machine."""

TABLE_ENDINGS = (".tsv", ".csv", ".txt", ".dat", ".json")  # of tables that are read, and searched before publishing
