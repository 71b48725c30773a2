# Everyday commands; `just` alone lists them.
default:
    @just --list

# Measures the server beside bare ceilings, in one table: `just bench --row memory --rounds 5 --json rows.jsonl`
bench *options:
    cargo build --release -p parlance
    cargo run --release -p parlance-bench -- run {{options}}
