"""Start the factory where nothing can take a module's place: `python3 -I src/gitops/isolated.py COMMAND …`.

`-I` leaves PYTHONPATH, the current folder and the user's own packages out of the path, and this adds the factory alone:
no file beside it (`src/json.py`, `src/sitecustomize.py`) is imported in a job that may write.
"""

import runpy
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__":
    spec = spec_from_file_location("gitops", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)])
    if spec is None or spec.loader is None:
        sys.exit(f"error: there is no factory in {FOLDER}")
    sys.modules["gitops"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["gitops"])
    runpy.run_module("gitops.__main__", run_name="__main__", alter_sys=True)
