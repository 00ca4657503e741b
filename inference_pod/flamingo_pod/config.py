"""`flamingo config show | schema pod`; imports no torch."""

import os
import sys

from flamingo.service import configuration
from flamingo_pod.settings import Settings

if __name__ == "__main__":
    sys.exit(configuration.main(Settings, sys.argv[1:], os.environ, prog="flamingo serve"))
