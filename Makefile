# Everything works from a clean checkout with nothing but Go: what else a target
# needs it installs where it can (internal/need), or says what is missing.

PKGS     ?= ./...
ARGS     ?=
FUZZTIME ?= 30s
BENCH    ?= .
COUNT    ?= 10
PACKAGES ?=
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# A checkout that belongs to another user must build too. And what is tested is built
# as what is shipped, so that each package is built once for both.
export GOFLAGS += -buildvcs=false -trimpath

.PHONY: build test everywhere interop lint fmt vuln fuzz bench bench-compare storm cover swagger clean

build: ## the one binary, static, into bin/
	CGO_ENABLED=0 go build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/doorward ./cmd/doorward

test: bin/testrun ## every test, with PostgreSQL and the race detector; PKGS=./internal/store for some
	bin/testrun $(if $(filter ./...,$(PKGS)),-canaries) $(ARGS) $(PKGS)

everywhere: ## the same, with every test of the server on both databases: by night
	DOORWARD_TEST_EVERYWHERE=1 $(MAKE) test

interop: ## clients that others wrote, and a browser, against the real program
	CGO_ENABLED=0 go test -tags interop -count=1 -timeout 10m -run '^TestInterop' $(ARGS) ./internal/e2e

fuzz: bin/testrun ## every fuzz target for FUZZTIME
	bin/testrun -fuzz-only -race=false -fuzz=$(FUZZTIME) -fuzz-max=24h $(ARGS) $(PKGS)

cover: bin/testrun ## what the tests reach, by function
	bin/testrun -race=false -fuzz=0 -cover=bin/cover.out $(ARGS) $(PKGS)
	go tool cover -func=bin/cover.out | tail -n 1
	go tool cover -html=bin/cover.out -o bin/cover.html

bench: ## the tables of docs/performance.md
	go run ./bench $(ARGS)

bench-compare: bin/benchstat ## the benchmarks of the revision OLD and of this checkout; BENCH, PACKAGES and COUNT choose
	go run ./internal/testpg/cmd go run ./bench/compare -old '$(OLD)' -bench '$(BENCH)' -count $(COUNT) $(ARGS) $(PACKAGES)

storm: ## a server that is killed again and again, and what it must not lose
	go run ./internal/storm $(ARGS)

swagger: ## Swagger UI anew from npm, as internal/reference/swaggergen names it
	go generate ./internal/reference

lint: bin/golangci-lint ## what a machine can see (.golangci.yml)
	CGO_ENABLED=0 bin/golangci-lint run $(PKGS)
	CGO_ENABLED=0 go vet -tags faults,interop $(PKGS)
	go mod tidy -diff

fmt: bin/golangci-lint ## as lint wants it
	bin/golangci-lint fmt

vuln: bin/govulncheck ## known holes in what we call; asks vuln.go.dev
	bin/govulncheck ./...

clean:
	rm -rf bin

# The go command knows best whether a program is out of date.
.PHONY: bin/testrun
bin/testrun:
	CGO_ENABLED=0 go build -o $@ ./internal/testrun

# Tools are modules of their own, so that their dependencies are not ours.
bin/golangci-lint: tools/golangci-lint/go.mod tools/golangci-lint/go.sum
	cd tools/golangci-lint && CGO_ENABLED=0 go build -trimpath -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/govulncheck: tools/govulncheck/go.mod tools/govulncheck/go.sum
	cd tools/govulncheck && CGO_ENABLED=0 go build -trimpath -o ../../$@ golang.org/x/vuln/cmd/govulncheck

bin/benchstat: tools/benchstat/go.mod tools/benchstat/go.sum
	cd tools/benchstat && CGO_ENABLED=0 go build -trimpath -o ../../$@ golang.org/x/perf/cmd/benchstat
