"""Implements `flamingo config show batches` and `flamingo config schema batches`."""

import os
import sys

from flamingo_batches.settings import Settings
from flamingo_common.service import config_command

if __name__ == "__main__":
    sys.exit(config_command.main(Settings, sys.argv[1:], os.environ, prog="flamingo batches"))
