"""Say whether this environment can train, and how to mend it: ``python tools/doctor.py [--import MODULE ...]``."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    top = Path(__file__).resolve().parents[1]
    package = top.parent if top.name == ".mim" else top / "mmseg_allspark"  # tools of a wheel, or of a checkout
    # by its path: importing the package would import torch and mmseg
    runpy.run_path(str(package / "environment.py"), run_name="__main__")
