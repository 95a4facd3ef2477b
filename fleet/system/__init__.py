"""What the operating system gives, one module a concern: Linux's own calls, or what macOS has, too.

The choice is made once, when a module here is imported, so a node on Linux calls the kernel as directly as if
there were no other. `FLEET_PORTABLE=1` chooses the portable side on Linux, for tests.
"""

import os
import sys
from typing import Final

PORTABLE: Final = sys.platform != "linux" or os.environ.get("FLEET_PORTABLE") == "1"
