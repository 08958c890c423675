# SPDX-License-Identifier: MIT
"""What only the integration tests need; servers and the daemon come from tests/conftest.py."""
