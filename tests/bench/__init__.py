# SPDX-License-Identifier: MIT
"""What scripts/bench runs: vitald beside nginx, HAProxy and the least that the kernel asks for."""
