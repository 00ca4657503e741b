"""Implements `flamingo config show operator` and `flamingo config schema operator`."""

import os
import sys

from flamingo_common.service import config_command
from flamingo_operator.settings import Settings

if __name__ == "__main__":
    sys.exit(config_command.main(Settings, sys.argv[1:], os.environ, prog="flamingo operator"))
