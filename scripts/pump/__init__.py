"""A native load generator for SRTP: `Pump` sends many peers' media and measures what returns."""

from scripts.pump.engine import Pump
from scripts.pump.figures import Figures

__all__ = ["Figures", "Pump"]
