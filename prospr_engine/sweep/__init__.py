"""Many runs that differ in what is compared: criteria, sparsities, seeds, steps, controls.

``pe.sweep(...)`` is ``prospr_engine.sweep.run.sweep(...)``. Importing any part of a package makes
the package an attribute of the one above it, so the name ``pe.sweep`` is this package's, and the
package can be called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class _Callable(ModuleType):
    """https://docs.python.org/3/reference/datamodel.html#customizing-module-attribute-access"""

    def __call__(self, config: Any = None, **settings: Any) -> pd.DataFrame:
        """See ``prospr_engine.sweep.run.sweep``."""
        from prospr_engine.sweep.run import sweep

        return sweep(config, **settings)


sys.modules[__name__].__class__ = _Callable
