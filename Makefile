# SPDX-License-Identifier: GPL-3.0-or-later
#
# "make help" lists the targets. Everything that is made lies under build/.

# Release archives have no git and say here what they are.
-include dist/version.mk
# As semver.org: what comes after a tag is 1.2.3+4.g0123456.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null | \
  sed -E 's/^v//; s/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/; s/(\+.*)-dirty$$/\1.dirty/; s/-dirty$$/+dirty/' | grep . || echo 0.1.0-dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

GO      ?= go
GOFLAGS := $(shell grep '^-' deploy/goflags)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
HOSTGO  := GOOS= GOARCH= $(GO)
BUILD    = CGO_ENABLED=0 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)'

# The tests and the demo mount and attach loop devices, so they run as root;
# for another user through sudo, with the environment kept. The tools they use
# lie partly in sbin.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
ROOT     := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,HOME,CI,GORACE,USBAGENT_REQUIRE,USBAGENT_BOARD,USBAGENT_BOARD_CACHE,USBAGENT_POWERCUTS,USBAGENT_SOAK,USBAGENT_PERFORMANCE,USBAGENT_PERFORMANCE_RUNS,USBAGENT_PERFORMANCE_HASH)
TESTEXEC := $(if $(ROOT),-exec '$(ROOT)')
# The race detector needs a C compiler.
RACE     := $(if $(shell command -v gcc),-race)

.DEFAULT_GOAL := help
.PHONY: help build cross setup test lint vuln demo soak bench bench-hash bench-go bench-compare docs clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: build/usbagent ## build/usbagent for this machine, one static binary

build/usbagent: FORCE
	$(BUILD) -o $@ ./cmd/usbagent

# The programs for boards and for desks, and what tells Go so.
LINUX := build/usbagent-linux-armv7 build/usbagent-linux-arm64 build/usbagent-linux-amd64
DESK  := build/usbagent-windows-amd64.exe build/usbagent-darwin-arm64 build/usbagent-darwin-amd64
build/usbagent-linux-armv7: FOR = GOOS=linux GOARCH=arm GOARM=7
build/usbagent-linux-arm64: FOR = GOOS=linux GOARCH=arm64
build/usbagent-linux-amd64: FOR = GOOS=linux GOARCH=amd64
build/usbagent-windows-amd64.exe: FOR = GOOS=windows GOARCH=amd64
build/usbagent-darwin-arm64: FOR = GOOS=darwin GOARCH=arm64
build/usbagent-darwin-amd64: FOR = GOOS=darwin GOARCH=amd64

# Segments begin at pages, which have 4 kB on every 32-bit ARM; the linker takes
# 64, of which half are empty on average.
build/usbagent-linux-armv7: LDFLAGS += -R 4096

$(LINUX) $(DESK): FORCE
	$(FOR) $(BUILD) -o $@ ./cmd/usbagent

cross: $(LINUX) $(DESK) ## build/usbagent-linux-{armv7,arm64,amd64} and the desk tools for Windows and macOS

setup: ## install the Debian packages that the tests need and this machine lacks
	@bash test/setup

# One package after the other (-p 1): a daemon under test with
# devices.allow = ["loop"] sees every loop device of the machine, those of
# other tests too. The emulated board has its own, and takes as long as all the
# others together, so it runs beside them; what it says comes last.
BOARD_OUT := build/board-test.out
test: export USBAGENT_REQUIRE = root,rauc,board,tools
# A process with the race detector sleeps a second before it ends, if nobody objects.
test: export GORACE = atexit_sleep_ms=50
test: setup lint package-test ## everything there is: lint, all tests, the emulated board included
	@$(MAKE) --no-print-directory bench-compare
	@echo 'go test ./... (usbagent/test/board beside the others)'
	@$(GO) test -count=1 -timeout 80m $(RACE) $(TESTEXEC) ./test/board >$(BOARD_OUT) 2>&1 & board=$$!; \
	  $(GO) test -p 1 -count=1 -timeout 80m $(RACE) $(TESTEXEC) $$($(GO) list ./... | grep -v '/test/board$$'); others=$$?; \
	  wait $$board; board=$$?; cat $(BOARD_OUT); \
	  [ $$board = 0 ] || { echo 'usbagent/test/board, in short:'; grep -E '^(--- FAIL|panic:|FAIL|    [a-z]+_test\.go:)' $(BOARD_OUT) | cut -c-200; }; \
	  exit $$((others | board))

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(find . -name '*.go' -not -path './build/*' -exec gofmt -l {} +); \
	  [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./cmd/usbagent
	GOOS=darwin $(GO) vet ./cmd/usbagent
	$(GO) tool staticcheck ./...

# Not part of lint: its database (vuln.go.dev) is not reachable from every machine.
vuln: ## known vulnerabilities in what we call (govulncheck; needs the network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

SOAK ?= 5000
soak: export USBAGENT_SOAK = $(SOAK)
soak: ## thousands of sticks on loop devices (SOAK=5000): nothing may leak
	$(GO) test -count=1 -timeout 24h -v $(TESTEXEC) -run TestManyRounds ./agent

demo: build ## the main job, shown step by step in this terminal (under a minute, needs root)
	@bash test/setup demo
	$(GO) build -o build/usbagent-demo ./test/demo
	$(ROOT) build/usbagent-demo

bench: ## measure on the emulated board, against the shell way and the floor: writes docs/performance.md (an hour)
	bash test/setup
	USBAGENT_PERFORMANCE=$(CURDIR)/docs/performance.md $(GO) test -count=1 -timeout 180m -v $(TESTEXEC) -run '^TestPerformance$$' ./test/board

bench-hash: ## the largest script's verification on the emulated board, in instructions: writes docs/performance.md (half an hour)
	bash test/setup
	USBAGENT_PERFORMANCE_HASH=$(CURDIR)/docs/performance.md $(GO) test -count=1 -timeout 60m -v $(TESTEXEC) -run '^TestPerformanceOfHashing$$' ./test/board

bench-go: ## the Go benchmarks; what they say is for people, it is no test
	$(GO) test -run '^$$' -bench . -benchmem ./...

# The hot parts, shortly: what is between the event and the script. The figures
# that they are compared with are those of docs/performance.md; another machine
# has others, and that fails nothing.
HOT = $(GO) test -run '^$$' -benchtime 10ms -count 6 -bench
bench-compare: ## some of them compared with the committed figures (docs/benchmarks.txt), as information
	@mkdir -p build
	@{ $(HOT) '^Benchmark(RefreshUSB|Event|Show)$$' ./netlink ./led; \
	  $(HOT) '^Benchmark(Contains|GrowFiles)$$/^10(00)?(_lines)?$$' ./executedlist ./agent; \
	  $(HOT) '^BenchmarkVerify$$/^(RSA-2048|P-256)$$/^1kB$$' ./signature; } >build/benchmarks.txt || cat build/benchmarks.txt
	@$(GO) tool benchstat -ignore goos,goarch,cpu docs/benchmarks.txt build/benchmarks.txt || :

docs: build ## manual pages, shell completions and the default configuration, into build/docs
	@rm -rf build/docs && mkdir -p build/docs
	@for page in usbagent.8 usbagent.toml.5; do build/usbagent manual $$page >build/docs/$$page || exit 1; done
	@$(HOSTGO) run ./deploy/exampleconf >build/docs/config.toml
	@for shell in bash zsh fish powershell; do build/usbagent completion $$shell >build/docs/usbagent.$$shell || exit 1; done

clean: ## remove build/
	$(ROOT) rm -rf build

-include deploy/package/package.mk
-include test/board/board.mk
