"""Say which command makes a result whose content no clone has: DataLad calls this when a `get` fails."""

import sys
from pathlib import Path

dataset, path = (Path(argument) for argument in sys.argv[1:3])
parts = path.relative_to(dataset).parts
if parts[0] == "outputs" and len(parts) > 2:
    models = " (`make extract` makes all that models read)" if parts[1] == "prep" else ""
    print(f"{'/'.join(parts)} is stored nowhere that this clone knows; `make {parts[1]}` makes it{models}", file=sys.stderr)
elif parts[0] == "figures":
    print(f"{'/'.join(parts)} is stored nowhere that this clone knows; `make plot` makes it", file=sys.stderr)
