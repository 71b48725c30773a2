# syntax=docker/dockerfile:1
# The server as an image: `docker build -t parlance .`. It needs BuildKit, whose caches keep crates and what was built of them.

# The version is that of rust-toolchain.toml; `./test deploy` compares them.
FROM rust:1.95.0-slim-trixie AS builder
# The image's own toolchain builds: what rust-toolchain.toml asks for besides is for developers.
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_DIST_STRIP=debuginfo
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY schema schema
COPY domain domain
COPY actors actors
COPY wal wal
COPY bench bench
COPY web web
COPY src src
# What is built stays in a cache, which is no part of the image: the binary is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --profile dist --locked --bin parlance \
    && install -D --mode=0755 target/dist/parlance /out/parlance

FROM debian:trixie-20260803-slim
# A folder that is there gives a new volume its owner and mode. Both are the server's alone: one for its data, one for the
# signing keys that nodes of a cluster share.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/parlance --shell /usr/sbin/nologin parlance \
    && install -d --owner=10001 --group=10001 --mode=0700 /var/lib/parlance /keys
COPY --from=builder /out/parlance /usr/local/bin/parlance
COPY --chmod=0755 deploy/docker/health /usr/local/bin/parlance-health
COPY LICENSE /usr/share/doc/parlance/
USER 10001:10001
# Nothing is written outside these two folders and /tmp: the root file system may be read-only.
WORKDIR /var/lib/parlance
VOLUME ["/var/lib/parlance"]
ENV PARLANCE_SERVER__LISTEN=0.0.0.0:8080 \
    PARLANCE_DATA__DIR=/var/lib/parlance \
    PARLANCE_LOG__FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s --retries=3 CMD ["parlance-health"]
ENTRYPOINT ["parlance"]
