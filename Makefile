# make demo   a whole energy experiment on the virtual bench
# make test   every test, on two workers: JOBS=4 make test
# make bench  the figures, as a table and bench.json
# make gpu-check   the TensorRT backend on this machine's NVIDIA GPU
# make fuzz   every parser under coverage-guided fuzzing, 20 s each; FUZZ_SECONDS=600 make fuzz for longer
# make firmware | flash PORT=/dev/ttyUSB0   the INA bridge's microcontroller

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
RUN := runs
JOBS ?= 2
RERUNS ?= 0
FUZZ_SECONDS ?= 20

# The versions of TensorRT whose bindings the backend is checked against, and of its type stubs.
BINDINGS := tensorrt-bindings==8.6.1 tensorrt-cu12-bindings==10.3.0 tensorrt-cu12-bindings==10.13.3.9 \
	tensorrt-cu13-bindings==11.4.0.106
STUBS := tensorrt-stubs==10.13.0.35.1

.PHONY: demo test bench gpu-check fuzz check lint types contracts lock clean firmware emulator flash

demo: $(VENV)/.run
	$(BIN)/testbed run examples/suites/autoscale-demo.yaml --bench examples/benches/virtual-jetson.yaml --out $(RUN)

test: $(VENV)/.develop
	$(BIN)/python -m pytest -n $(JOBS) --reruns $(RERUNS) --cov --cov-report=term:skip-covered

bench: $(VENV)/.develop
	$(BIN)/python -m bench

gpu-check: $(VENV)/.run
	$(BIN)/python -m bench.gpu_check

fuzz: $(VENV)/.fuzz
	$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

firmware: $(VENV)/.run $(VENV)/.avr
	@$(MAKE) --no-print-directory -C firmware $@

emulator: firmware $(VENV)/.simavr
	@$(MAKE) --no-print-directory -C firmware $@

flash: firmware
	@command -v avrdude >/dev/null || { $(call INSTALL,avrdude); }
	@$(MAKE) --no-print-directory -C firmware $@

check: lint types contracts

lint: $(VENV)/.develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.develop
	$(BIN)/mypy

contracts: $(VENV)/.develop
	$(BIN)/lint-imports

# One lock serves Python 3.10-3.12 on x86-64 and aarch64; its lines carry the markers. What runs is what is developed with.
lock: $(VENV)/.develop
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-header \
		pyproject.toml --group dev --output-file requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-header \
		pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage

# Debian packages: installed as root, else named.
INSTALL = [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends $(1) >/dev/null || \
	{ echo "This needs $(1); install it with: sudo apt-get install $(1)" >&2; exit 1; }

$(VENV)/.avr: | $(BIN)/pip
	@command -v avr-gcc >/dev/null && [ -f /usr/lib/avr/include/avr/io.h ] || { $(call INSTALL,gcc-avr avr-libc binutils-avr); }
	@touch $@

# libsimavr is GPL-3: it is in the emulator, a program of its own, and in nothing else.
$(VENV)/.simavr: | $(BIN)/pip
	@pkg-config --exists simavr 2>/dev/null && command -v cc >/dev/null || \
		{ $(call INSTALL,libsimavr-dev libelf-dev pkg-config gcc libc6-dev); }
	@touch $@

# A Jetson has TensorRT among the system's packages.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
		{ echo "This needs Python 3.10, 3.11 or 3.12; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv; } || \
		{ echo "Python's venv module is missing; install it with: sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $$([ ! -e /etc/nv_tegra_release ] || echo --system-site-packages) $(VENV)

# A virtual board shows its files through fuse3; without it its clocks are set directly, and its runs say so.
$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@command -v fusermount3 >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends fuse3 >/dev/null; } || true
	@touch $@

# The agent is tested over a real SSH server, the driver against the real firmware, pages in a real browser, co-runners with
# stress-ng, the netem link in a User-Mode Linux where this kernel has no netem; what cannot be installed without root its
# tests skip, and say so. Of pnnx the program is used, not its Python package: its dependency, PyTorch, stays out.
$(VENV)/.develop: requirements-dev.lock $(VENV)/.run $(VENV)/.tensorrt
	@command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || [ "$$(id -u)" != 0 ] || \
		{ apt-get update -qq && apt-get install -y -qq openssh-server >/dev/null; }
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }
	@command -v linux.uml >/dev/null || [ "$$(uname -m)" != x86_64 ] || [ "$$(id -u)" != 0 ] || \
		{ apt-get update -qq && apt-get install -y -qq user-mode-linux iproute2 kmod procps util-linux >/dev/null; }
	@command -v stress-ng >/dev/null || [ "$$(id -u)" != 0 ] || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends stress-ng >/dev/null; }
	@[ "$$(id -u)" != 0 ] || $(MAKE) --no-print-directory $(VENV)/.avr $(VENV)/.simavr
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps pnnx==20261020
	@touch $@

# Not in the lock, because all of them depend on TensorRT's libraries, which PyPI does not have. The stubs do not parse as
# they are (a keyword names a parameter, a default precedes none). Old bindings have no wheel for a new Python, nor any for
# aarch64: their tests say so.
$(VENV)/.tensorrt: | $(BIN)/pip
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --upgrade \
		--target $(VENV)/tensorrt-stubs $(STUBS)
	@sed -i -e 's/, in: /, in_: /' -e 's/power: Weights = None, channel_axis: int)/power: Weights = None, channel_axis: int = 0)/' \
		$(VENV)/tensorrt-stubs/tensorrt_bindings/tensorrt.pyi
	@[ "$$(uname -m)" != x86_64 ] || for wheel in $(BINDINGS); do \
		$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
			--dest $(VENV)/tensorrt-bindings $$wheel || echo "no wheel of $$wheel for this Python" >&2; done
	@touch $@

# Not in the lock: each Python has its own atheris, and only x86-64 has wheels; elsewhere `python -m fuzz` says so.
$(VENV)/.fuzz: pyproject.toml $(VENV)/.run
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group fuzz
	@touch $@
