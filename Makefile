# SPDX-License-Identifier: Apache-2.0
# Thin on purpose: dev.py does the work and needs nothing but a Python. `make` alone lists the targets.
#   make demo [EXIT=1] [ARGS="..."]     make test [ARGS="-k words"]     make check     make bench     make clean
PYTHON ?= python3
EXIT ?=
ARGS ?=

.PHONY: help demo test check bench clean
help:
	@$(PYTHON) dev.py --help
demo:
	@$(PYTHON) dev.py demo $(if $(filter-out 0,$(EXIT)),--exit) $(ARGS)
test check bench clean:
	@$(PYTHON) dev.py $@ $(ARGS)
