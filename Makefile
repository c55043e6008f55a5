# The project's commands. Each works on a fresh checkout, as root or as an
# ordinary user with sudo.

.PHONY: build demo test lint fuzz bench

# build makes build/wsfpm.
build:
	go build -trimpath -o build/wsfpm ./cmd/wsfpm

# demo runs the chat on this machine until Ctrl-C.
demo:
	scripts/demo

# test installs what the tests need and runs all of them, those of soak aside.
test:
	scripts/test

# soak runs what judges time and memory against the machine, and what takes
# long: before a release, with nothing beside. SOAK_TIME=20m runs a part, which
# SEED (default the date) draws; SOAK=Restart those parts whose names match.
.PHONY: soak
soak:
	scripts/soak

# lint runs the checks that read the code and run none of it.
lint:
	scripts/lint

# goals shows what is promised, which test holds it, and what it reached here.
.PHONY: goals
goals:
	go run ./test/report goals

# fuzz runs every fuzz target for FUZZTIME each.
FUZZTIME ?= 30s
fuzz:
	scripts/fuzz $(FUZZTIME)

# install puts build/wsfpm, the systemd units and an example configuration in
# place, below PREFIX (default /usr/local) and, for packages, DESTDIR.
.PHONY: install
install:
	scripts/install

# release puts into dist/ what others install: archives, packages, container images,
# SBOMs and checksums, all from the last commit.
.PHONY: release
release:
	scripts/release

# bench compares wsfpm with what its users would otherwise pick, and puts the
# figures into the README. BENCH="-quick" tries everything in about a minute;
# BENCH="-only fanout -rounds 5" measures the delivery only, with its ratios.
BENCH ?= -update
bench:
	scripts/bench $(BENCH)

# faults breaks one thing after another under load and checks what comes of it;
# see test/faults. The same SEED is the same plan.
.PHONY: faults
SEED ?=
EVENTS ?= 1000000
FAULTS ?= 500
faults:
	SEED=$(SEED) EVENTS=$(EVENTS) FAULTS=$(FAULTS) scripts/faults
