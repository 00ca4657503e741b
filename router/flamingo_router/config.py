"""Implements `flamingo config show router` and `flamingo config schema router`."""

import os
import sys

from flamingo_common.service import config_command
from flamingo_router.settings import Settings

if __name__ == "__main__":
    sys.exit(config_command.main(Settings, sys.argv[1:], os.environ, prog="flamingo router"))
