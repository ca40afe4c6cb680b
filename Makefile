# Every target works on a fresh clone: tools are pinned in tools/go.mod and built by Go on first use.

# Without cgo the tools need no C compiler, and sqlc builds in half the time.
TOOL := CGO_ENABLED=0 go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help run test races crash stock schedules batches reconcile overload outages watches bench parts dashboards gen rules alerts lint verify collector postgres

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: postgres ## Build, and start everything on this machine (ARGS="--http-addr :9000" is passed on)
	@go build -o bin/tieout ./cmd/tieout
	@exec bin/tieout dev $(ARGS)

test: postgres ## Run the whole test suite, on a private Postgres and NATS that it starts itself
	go test -vet=off -timeout 10m ./... # lint vets

races: postgres ## Run the tests of the kit under the race detector (needs a C compiler; about four minutes)
	CGO_ENABLED=1 go test -race -timeout 10m ./pkg/...

crash: postgres ## Kill processes at each cut that they pass, and print what came of each death (about half an hour)
	@mkdir -p bin
	go test -count=1 -tags failpoints ./pkg/failpoint
	go test -count=1 -parallel 9 -timeout 2h ./test/crash -every -table $(CURDIR)/bin/crash.txt; \
		status=$$?; cat bin/crash.txt; exit $$status

stock: postgres ## Reserve and release one SKU with 64 clients for a minute, while the service is killed again and again
	go test -count=1 -v -timeout 10m -run TestStock ./test/stock -stock.for 60s

schedules: postgres ## Run ten thousand random schedules of faults against payments (about a quarter of an hour)
	go test -count=1 -timeout 2h -run TestSchedule ./services/payment -payment.schedules=10000

batches: postgres ## Kill services at random while batches of 20,000 payments run, with ten seeds (about half an hour)
	go test -count=1 -timeout 3h -v -run ServicesWhileABatchRuns ./test/fault -fault.batch-items=20000 -fault.batch-seeds=10

overload: postgres ## Put up to ten times the measured capacity on the whole system, and print what came of it (about seven minutes)
	@mkdir -p bin
	go test -count=1 -timeout 30m -v ./test/overload -overload.for 30s -overload.table $(CURDIR)/bin/overload.md -overload.plot $(CURDIR)/bin/overload.svg

outages: postgres ## Stop Postgres, NATS and both under a steady load, and see that every acknowledged order ends (about six minutes)
	go test -count=1 -v -timeout 30m -parallel 1 -run TestOutage ./test/fault -fault.outage 30s -fault.outage-rate 500

reconcile: postgres ## Place 5,000 orders, plant what may be wrong in what the provider and the bank say of them, and find it (about two minutes)
	go test -count=1 -v -timeout 30m -run TestReconciliation_Finds ./test/e2e -e2e.recon-orders=5000

bench: postgres ## Measure the system side by side with its peers and the machine's limits (CASES=orders,temporal SECONDS=10 PROFILE=dir)
	cd bench && go vet . $(if $(CASES),,&& go -C temporal vet .) && go run . $(if $(CASES),-cases $(CASES),-results results) \
		$(if $(SECONDS),-seconds $(SECONDS)) $(if $(PROFILE),-profile $(abspath $(PROFILE)))

parts: postgres ## Measure the parts by themselves: sagas, orders, charges and reservations per second, and what each costs (about ten minutes)
	go test -run '^$$' -bench 'Engine$$' -benchtime 5000x ./services/orchestrator
	go test -run '^$$' -bench Takeover -benchtime 1x ./services/orchestrator
	go test -run '^$$' -bench 'Charge|AuthorizeCapture' -benchtime 5000x ./services/payment
	go test -run '^$$' -bench Orders -benchtime 5000x ./test/e2e
	go test -run '^$$' -bench ReadStock ./services/inventory
	go test -run '^$$' -bench Reserve -benchtime 20000x ./services/inventory
	go test -run '^$$' -bench Rebuild -benchtime 1x ./services/inventory
	go test -run '^$$' -bench Import -benchtime 4x ./services/reconciliation
	BENCH_CASES=1000000 go test -run '^$$' -bench Run -benchtime 1x -timeout 30m ./services/reconciliation
	go test -run '^$$' -bench 'Batch/|BesideABatch' -benchtime 1x ./test/e2e
	go test -run '^$$' -bench Watches -benchtime 1x ./test/e2e

watches: postgres ## Open 20,000 watches at one process, over gRPC and over WebSocket, and change 1,000 orders a second
	go test -run '^$$' -bench Watches -benchtime 1x ./test/e2e

dashboards: postgres ## Make the dashboards of their sketches, and run the query of every panel on a Prometheus (about two minutes)
	go test -count=1 ./test/metrics -run AreMade -update
	go test -count=1 -v -timeout 10m ./test/metrics -run NoPanelIsEmpty -metrics.prometheus

gen: ## Generate code from the contracts (proto/) and the queries (services/*/sql), and rules from the objectives
	$(TOOL) buf generate
	$(TOOL) sqlc generate
	go run ./cmd/tieout slo rules -f deploy/observability/slo.yaml --output deploy/observability/slo-rules.yaml

rules: ## Check the rules and alerts of Prometheus, and run their unit tests (needs promtool)
	go test -count=1 -v -run Rules ./test/alerts

alerts: postgres ## Hurt systems in every way that a real Prometheus is to notice, and print when each alert fires (about a quarter of an hour)
	@mkdir -p bin
	go test -count=1 -timeout 2h -v -parallel 3 -run TestAlerts ./test/alerts -alerts.live -alerts.table $(CURDIR)/bin/alerts.md

lint: ## Check formatting, vet, modern Go, static analysis and the contracts
	@unformatted=$$(gofmt -l bench $$(go list -f '{{.Dir}}' ./...)); \
		[ -z "$$unformatted" ] || { echo "run gofmt -w on:" $$unformatted >&2; exit 1; }
	go vet ./...
	go fix -diff ./...
	$(TOOL) staticcheck ./...
	$(TOOL) buf lint
	$(TOOL) buf format --diff --exit-code

verify: ## Fail when committed generated code is not what its sources generate
	@scripts/verify-generated

collector: ## Build the telemetry collector and have it check deploy/observability/collector.yaml (minutes, the first time)
	cd deploy/observability/collector && CGO_ENABLED=0 go build -o $(CURDIR)/bin/collector .
	bin/collector validate --config deploy/observability/collector.yaml

postgres:
	@scripts/ensure-postgres
