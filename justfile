# Everyday commands; `just` alone lists them. None of it is needed: ./run and ./test do without.
default:
    @just --list

# Builds what is missing and starts the server: `just run --listen 127.0.0.1:0`
run *options:
    ./run {{options}}

# Runs all tests, or only some steps: `just test style unit`
test *steps:
    ./test {{steps}}

# Asks the OpenAPI document for longer than CI does, with another seed each time: `just openapi 1800`
openapi seconds="600":
    OPENAPI_SECONDS={{seconds}} ./test openapi

# Runs more seeds of the simulation than `./test` does, each a cluster with its own trouble: `just sim 10000`
sim seeds="1000" first="1":
    SIM_SEEDS={{seeds}} SIM_FIRST={{first}} cargo test --test sim all_promises -- --nocapture

# Runs one seed again, exactly, and writes all that happened into a file: `just sim-seed 157`
sim-seed seed:
    SIM_SEED={{seed}} SIM_TRACE=sim-{{seed}}.txt cargo test --test sim all_promises -- --nocapture

# What a review would say before it reads: format, lints, documentation, boundaries, scripts
style:
    ./test style

# Formats all Rust code
fmt:
    cargo fmt --all

# The crates' documentation, with private items, in the browser
doc:
    cargo doc --workspace --no-deps --document-private-items --open

# Known weaknesses of dependencies, which needs the network
advisories:
    cargo deny check advisories

# Measures the server beside bare ceilings, in one table: `just bench --row memory --rounds 5 --json rows.jsonl`
bench *options:
    cargo build --profile dist -p parlance
    cargo run --profile dist -p parlance-bench -- run {{options}}

# Measures an old binary and a new one in turns: `just bench-compare --old OLD --new target/dist/parlance --rounds 5`
bench-compare *options:
    cargo run --profile dist -p parlance-bench -- compare {{options}}
