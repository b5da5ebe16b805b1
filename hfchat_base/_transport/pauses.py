"""How long a pause of a flow really is: the one switch that tests have (`hfchat_base.testing`)."""

from __future__ import annotations

factor: float = 1.0
"""What every pause is multiplied by."""
