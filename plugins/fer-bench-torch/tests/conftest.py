"""Tests on torch run where it is installed: `tox run -e parity`."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") and find_spec("timm") else ["test_timm.py", "test_own_module.py"]
