# The front door.  `make demo` and `make test` do everything on a fresh Debian machine.
BUILD ?= build
JOBS  ?= $(shell nproc)
# Offer ninja when it is there; plain make otherwise.
CMAKE_FLAGS ?=

all: r1

# What the project needs from the system, installed when missing (with sudo when not root).
setup:
	@tools/setup.sh build
setup-test:
	@tools/setup.sh build test

r1: setup
	@cmake -S . -B $(BUILD) -DR1_TESTS=OFF $(CMAKE_FLAGS) > $(BUILD).log 2>&1 || (cat $(BUILD).log; exit 1)
	@cmake --build $(BUILD) -j $(JOBS)
	@cp -f $(BUILD)/r1 ./r1

# The program with its web page: installs node and npm, which bundle it.
web:
	@tools/setup.sh build web
	@rm -f $(BUILD)/assets_table.c
	@$(MAKE) --no-print-directory r1

demo: r1
	./r1 demo

# SmolLM2-135M-Instruct (98 MB) into the model cache, as `smollm2`.
model:
	@tools/setup.sh model
	@tools/get_model.sh

test: setup-test
	@cmake -S . -B $(BUILD)-test $(CMAKE_FLAGS) > $(BUILD)-test.log 2>&1 || (cat $(BUILD)-test.log; exit 1)
	@cmake --build $(BUILD)-test -j $(JOBS)
	@tools/get_model.sh --for-tests
	@ctest --test-dir $(BUILD)-test --output-on-failure -j $(JOBS)

# Speed and perplexity against llama.cpp on this machine, written into docs/performance.md.
bench: r1 setup-test model
	@tools/setup.sh bench
	@tools/bench.sh

# Style and analysis: formatting, layers, names, clang, clang-tidy, cppcheck.
check: setup-test
	@tools/setup.sh check
	@tools/check.sh

# Fuzz every parser for FUZZ_SECONDS each.
FUZZ_SECONDS ?= 600
fuzz:
	@tools/setup.sh build test check
	@tools/fuzz.sh $(FUZZ_SECONDS)

format:
	clang-format -i $$(git ls-files 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]')

install: r1
	cmake --install $(BUILD)

clean:
	rm -rf $(BUILD) $(BUILD)-test $(BUILD).log $(BUILD)-test.log r1

.PHONY: all setup setup-test r1 web demo model test bench check fuzz format install clean
