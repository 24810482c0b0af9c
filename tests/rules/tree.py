#!/usr/bin/env python3
"""tree.py ROOT checks the tree against rules.py and prints each breach."""

import sys

import rules

complaints = list(rules.check(sys.argv[1]))
print("\n".join(complaints))
print(f"{len(complaints)} breaches of the tree's rules")
sys.exit(1 if complaints else 0)
