"""``python -m prospr_engine``: see ``cli.py``."""

import sys

from prospr_engine.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
