"""Results as a Process Run Crate, for tools that know no DataLad."""
