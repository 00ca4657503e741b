"""`flamingo config show | schema pod`; imports no torch."""

import os
import sys

from flamingo_common.service import config_command
from flamingo_pod.settings import Settings

if __name__ == "__main__":
    sys.exit(config_command.main(Settings, sys.argv[1:], os.environ, prog="flamingo serve"))
