"""`PYTHONPATH=tests python -m bench.engines engine`: our engine beside other projects' engines.

All options are those of `flamingo bench engine`.
"""

import sys

from bench.engines.catalog import ALL

from flamingo_pod.bench.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], ALL))
