.PHONY: check test build

check: ## everything that CI checks
	.ci/run

test:
	go test ./...

build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o edgerelay .
