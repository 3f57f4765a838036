"""What the interpreter imports first under `lowtide run`: it starts what the environment names and steps aside.

Any Python may meet this file, an old one too, and one without lowtide: it stays plain, and silent.
"""

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [_entry for _entry in sys.path if _entry != _folder]
sys.path_importer_cache.pop(_folder, None)

try:
    from lowtide._autostart import start_from_environment
except Exception:  # noqa: BLE001 - whatever is wrong with this lowtide, the program does not want to know
    pass
else:
    start_from_environment()

# The user's own sitecustomize takes our place; where there is none, the interpreter sees the error it expects.
del sys.modules["sitecustomize"]
__import__("sitecustomize")
