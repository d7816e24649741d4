"""Probes as scikit-learn estimators: `from cog.sklearn import LogisticProbe`.

`cog.probes` fits them; here they take labels of any kind and keep scikit-learn's conventions.
"""

from __future__ import annotations

from cog.sklearn.linear import LogisticProbe, NearestMeanProbe, RidgeProbe
from cog.sklearn.neighbours import KNNProbe

__all__ = ["KNNProbe", "LogisticProbe", "NearestMeanProbe", "RidgeProbe"]
