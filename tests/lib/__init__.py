# SPDX-License-Identifier: MIT
"""What the integration and system tests share: real servers, broken peers, and the daemon itself.

Everything listens on loopback at a port of its own, keeps its files in the test's temporary
directory and is stopped by its pid, so that several runs on one machine do not meet. Children
die with the test process (PDEATHSIG), however that ends.
"""
