# What ./run and ./test have in common: finding or getting the tools that they need.
# shellcheck shell=bash

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages where that is possible without asking.
apt_install() {
  have apt-get && [ "$(id -u)" = 0 ] || return 1
  say "installing $*"
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

# The version that rust-toolchain.toml names.
toolchain() { sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml; }

# Whether the cargo that is there can build this: rustup fetches the right one, others must be new enough.
cargo_fits() {
  have cargo || return 1
  have rustup && return 0
  local found wanted
  found="$(cargo --version 2>/dev/null | cut -d ' ' -f 2)"
  wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
  [ -n "$found" ] && [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}

# A C compiler builds the embedded SQLite and the cryptography; cargo builds the rest.
need_rust() {
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  if ! have cc && ! apt_install gcc libc6-dev; then
    die "a C compiler is missing: run 'apt-get install gcc libc6-dev' (or your system's like) as root, then this again"
  fi
  if ! cargo_fits; then
    local by_hand
    by_hand="install Rust $(toolchain) from https://rustup.rs, then run this again"
    have curl || apt_install curl ca-certificates || die "Rust is missing, or too old, and curl to get it: $by_hand"
    say "Rust is missing, or too old: getting rustup into $HOME/.cargo"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs \
      | sh -s -- -y --quiet --profile minimal --default-toolchain none --no-modify-path >/dev/null 2>&1 \
      || die "rustup could not be fetched: $by_hand"
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  if ! cargo --version >/dev/null 2>&1; then
    say "getting Rust $(toolchain)"
    rustup toolchain install "$(toolchain)" --profile minimal --component rustfmt --component clippy >/dev/null 2>&1 \
      || die "Rust $(toolchain) could not be fetched: is the network there? 'rustup toolchain install $(toolchain)' says more"
  fi
}
