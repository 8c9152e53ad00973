"""Validation of request lines before money is spent: what the service would refuse, or worse, run otherwise.

    fast    one typed decode; whatever it accepts, `walk` accepts
    walk    every other line: each problem with code, JSON pointer, sentence and fix

No message quotes a value: a rejection names fields and positions only.
"""

from batchdrop.core.validation.check import Checked, check_line, check_request
from batchdrop.core.validation.codes import Code, Problem

__all__ = ["Checked", "Code", "Problem", "check_line", "check_request"]
