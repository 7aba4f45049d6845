"""Score the JSON list of records in one file into a JSON list in another."""

import json
import sys
from pathlib import Path

from scorecard import core

Path(sys.argv[2]).write_text(json.dumps(core.score(json.loads(Path(sys.argv[1]).read_text()))))
