"""Say which command makes a result whose content no clone has: DataLad calls this when a `get` fails."""

import sys
from pathlib import Path

dataset, path = (Path(argument) for argument in sys.argv[1:3])
parts = path.relative_to(dataset).parts
stage = "plot" if parts[0] == "figures" else parts[1] if parts[0] == "outputs" and len(parts) > 2 else None
if stage:
    models = " (`make extract` makes all that models read)" if stage == "prep" else ""
    shown = "/".join(parts)
    print(
        f"{shown} is stored nowhere that this clone knows; `make {stage}` makes it{models}; "
        "after `make on-demand`, `datalad get` recomputes it alone",
        file=sys.stderr,
    )
