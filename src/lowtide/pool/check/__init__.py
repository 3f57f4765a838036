"""Check mode: pools that report misuse, for tests; the counterpart of a race detector.

`Pool(check=True)` and `BufferPool(check=True)` make the classes of this package, which keep the contract and its bounds
but not its speed. `check=None` makes them where LOWTIDE_POOL_CHECK asks for it; the pytest plugin sets that to 1.
"""

from lowtide import _pool
from lowtide.pool.check.ledger import report_unreturned
from lowtide.pool.check.pools import CheckedBufferPool, CheckedPool
from lowtide.pool.check.settings import Settings, settings

__all__ = ["CheckedBufferPool", "CheckedPool", "Settings", "report_unreturned", "settings"]

for _checked in (CheckedPool, CheckedBufferPool):
    _pool._set_check(_checked, settings.is_default)
